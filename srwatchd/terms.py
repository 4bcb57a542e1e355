"""Names that the configuration and the command line share. Quick to import."""

from __future__ import annotations

from typing import Literal

__all__ = ["EngineName", "ResultFormat"]

EngineName = Literal["auto", "opencv", "openvino", "onnxruntime"]
ResultFormat = Literal["same", "png", "jpeg", "webp", "tiff", "avif", "gif"]
