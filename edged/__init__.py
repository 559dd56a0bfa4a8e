"""The daemon on the pole: bus -> camera -> plate -> store -> cloud."""

import os

__version__ = "0.1.0"

# OpenCV reads these once, when it is loaded. A small file can unfold to gigabytes, and a box has one; what
# it cannot decode, edged.picture says itself.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", "50000000")
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
