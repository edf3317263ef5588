"""Images in and out: video files, folders of images, a rendered scene, drawing."""
