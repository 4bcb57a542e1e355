"""OpenCV's CUDA target: only in an OpenCV that somebody has built with it; the packages on PyPI have none."""

from __future__ import annotations

from typing import Any, Final

import cv2

from srwatchd.engine.accelerators import exact_arithmetic

__all__ = ["classic", "lacks_cuda", "put_on"]

_CV: Final[Any] = cv2


def lacks_cuda() -> str | None:
    """Why this OpenCV runs no network on CUDA here, or None when it does."""
    if not hasattr(_CV.dnn, "DNN_BACKEND_CUDA") or "NVIDIA CUDA: YES" not in " ".join(
        cv2.getBuildInformation().split()
    ):
        return "this OpenCV is built without CUDA"
    if _CV.cuda.getCudaEnabledDeviceCount() < 1:
        return "OpenCV finds no CUDA device"
    return None if _targets() else "this OpenCV is built without cuDNN"


def classic(device: str) -> dict[str, Any]:
    """What a reader of networks is told for ``device``: from OpenCV 5 on, its new engine knows processors only."""
    known = hasattr(_CV.dnn, "ENGINE_CLASSIC")
    return {"engine": _CV.dnn.ENGINE_CLASSIC} if device == "cuda" and known else {}


def put_on(network: Any, device: str, precision: str) -> str:
    """Have ``network`` run on ``device``; the precision in which it will."""
    if device != "cuda":
        return "f32"
    half = precision == "f16" and _CV.dnn.DNN_TARGET_CUDA_FP16 in _targets()
    exact_arithmetic()
    network.setPreferableBackend(_CV.dnn.DNN_BACKEND_CUDA)
    network.setPreferableTarget(_CV.dnn.DNN_TARGET_CUDA_FP16 if half else _CV.dnn.DNN_TARGET_CUDA)
    return "f16" if half else "f32"


def _targets() -> tuple[int, ...]:
    """The CUDA targets that this OpenCV's networks can have here."""
    return tuple(_CV.dnn.getAvailableTargets(_CV.dnn.DNN_BACKEND_CUDA))
