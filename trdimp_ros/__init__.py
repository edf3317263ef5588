"""TrDiMP, a transformer-assisted discriminative single-object tracker, for Python, a shell and ROS 2.

Layers, each importing only from those before it: ``models`` (torch modules), ``checkpoints`` (weight files),
``tracking`` (the loop), ``media`` (video in and out), ``cli`` and ``ros``.
"""

import pkgutil

# On a ROS machine the generated messages (trdimp_ros.msg) are installed as a second part of this package.
__path__ = pkgutil.extend_path(__path__, __name__)

__version__ = "0.1.0"
