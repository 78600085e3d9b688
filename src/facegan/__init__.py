"""facegan trains a GAN on your own images and serves it, on a laptop or on Amazon SageMaker."""

import sys

__version__ = "0.1.0"

# OpenVINO's Python package reports its use to Google Analytics when it is imported. Without this
# package it uses a stub of its own. Blocked here, before any of our files can import OpenVINO.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
