#!/usr/bin/env python3
"""A detector beside the tracker: it starts targets, finds lost ones again, and prints what becomes of each.

    ros2 run trdimp_ros tracker_node --ros-args -p candidates.auto_init:=all -p max_targets:=4
    ros2 run trdimp_ros detect_and_track.py --ros-args -r image:=/camera/image_raw -p detector:=people

Both detectors need no download: `people` is OpenCV's pedestrian detector (HOG), `colour` finds blobs of one hue. Put
your own in their place: a function from an image to boxes x, y, w, h with scores.
"""

import cv2
import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

from trdimp_ros.msg import TrackState
from trdimp_ros.ros.image_decoding import decode_image

STATES = {TrackState.NORMAL: "seen", TrackState.UNCERTAIN: "uncertain", TrackState.NOT_FOUND: "lost"}


class DetectAndTrack(Node):
    def __init__(self):
        super().__init__("detect_and_track")
        detectors = {"people": self.people, "colour": self.colour}
        name = self.declare_parameter("detector", "people").value
        if name not in detectors:
            raise SystemExit(f"detector must be one of {', '.join(detectors)}, got {name!r}")
        self.detect, self.label = detectors[name], self.declare_parameter("label", name).value
        self.period = self.declare_parameter("period", 0.5).value  # seconds between two looks at an image
        self.hue = self.declare_parameter("hue", 0).value  # of colour: 0 red, 60 green, 120 blue
        self.hog = cv2.HOGDescriptor()
        self.hog.setSVMDetector(cv2.HOGDescriptor_getDefaultPeopleDetector())
        self.last_look, self.states = 0, {}
        self.candidates = self.create_publisher(Detection2DArray, "tracker/candidates", 10)
        self.create_subscription(Image, "image", self.on_image, qos_profile_sensor_data)
        self.create_subscription(TrackState, "tracker/state", self.on_state, 100)

    def on_image(self, message):
        now = self.get_clock().now().nanoseconds
        if 0 <= now - self.last_look < 1e9 * self.period:
            return
        self.last_look = now
        # The header is the image's: so the tracker knows in which image the boxes are, however late they come.
        seen = Detection2DArray(header=message.header)
        for (x, y, w, h), score in self.detect(np.ascontiguousarray(decode_image(message))):
            detection = Detection2D(header=message.header, results=[ObjectHypothesisWithPose()])
            detection.bbox.center.position.x, detection.bbox.center.position.y = float(x + w / 2), float(y + h / 2)
            detection.bbox.size_x, detection.bbox.size_y = float(w), float(h)
            detection.results[0].hypothesis.class_id = self.label
            detection.results[0].hypothesis.score = float(min(max(score, 0.0), 1.0))
            seen.detections.append(detection)
        self.candidates.publish(seen)

    def people(self, image):
        boxes, scores = self.hog.detectMultiScale(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), winStride=(8, 8), scale=1.05)
        found = zip(boxes, np.ravel(scores), strict=True)
        # HOG's boxes have a margin all round.
        return [((x + w / 8, y + h / 16, 3 * w / 4, 7 * h / 8), score) for (x, y, w, h), score in found]

    def colour(self, image):
        hue, saturation, value = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2HSV))
        distance = np.abs((hue.astype(int) - self.hue + 90) % 180 - 90)
        mask = ((distance <= 8) & (saturation > 120) & (value > 60)).astype(np.uint8)
        mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
        _, _, blobs, _ = cv2.connectedComponentsWithStats(mask)
        return [((x, y, w, h), area / (w * h)) for x, y, w, h, area in blobs[1:] if area >= 300]

    def on_state(self, state):
        if state.target_id and self.states.get(state.target_id) != state.state:
            self.states[state.target_id] = state.state
            self.get_logger().info(f"{state.target_id}: {STATES[state.state]}")


def main():
    rclpy.init()
    try:
        rclpy.spin(DetectAndTrack())
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
