"""ONNX networks on ``cv2.dnn``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from srwatchd.engine.base import PROBE, plane_count
from srwatchd.engine.budget import bytes_per_input_pixel
from srwatchd.engine.colour import finish, prepare
from srwatchd.engine.failures import loading, running
from srwatchd.engine.onnxshuffle import without_depth_to_space
from srwatchd.engine.opencv_cuda import classic, put_on
from srwatchd.engine.wire import WireError
from srwatchd.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from srwatchd.config.models import ModelSpec
    from srwatchd.engine.base import Samples

__all__ = ["OpenCVOnnxNetwork"]

_CV: Final[Any] = cv2


class OpenCVOnnxNetwork:
    """An ONNX network of ``cv2.dnn``; keeps the contract of :class:`~srwatchd.engine.base.Network`."""

    engine: Final = "opencv"

    def __init__(self, spec: ModelSpec, *, device: str = "cpu", precision: str = "f32") -> None:
        self.spec: Final = spec
        self.device: Final = device
        with loading(spec, self.engine):
            try:
                model = without_depth_to_space(spec.path.read_bytes())
            except WireError as error:
                raise ModelError("model_unusable", f"{spec.name} on the opencv engine: {error}") from error
            self._network: Final = _CV.dnn.readNetFromONNX(np.frombuffer(model, np.uint8), **classic(device))
            self.precision: Final = put_on(self._network, device, precision)

    @property
    def bytes_per_input_pixel(self) -> int:
        """See :class:`~srwatchd.engine.base.Network`."""
        return bytes_per_input_pixel(self.spec, self.engine)

    def upscale(self, tile: Samples) -> Samples:
        """See :class:`~srwatchd.engine.base.Network`."""
        plane_count(tile)
        with running(self.spec, self.engine):
            prepared = prepare(tile, self.spec)
            planes = self.infer(prepared.blob)
            expected = (self.spec.channels, tile.shape[0] * self.spec.scale, tile.shape[1] * self.spec.scale)
            if planes.shape != expected:
                raise ModelError("model_unusable", f"{self.spec.name} gave {planes.shape} instead of {expected}")
            return finish(planes, prepared, self.spec)

    def release(self) -> None:
        """See :class:`~srwatchd.engine.base.Network`."""
        self.upscale(np.zeros((PROBE, PROBE, self.spec.channels), np.uint8))

    def infer(self, blob: NDArray[np.float32]) -> NDArray[np.float32]:
        """The output for an input of H x W x C, C x H x W whatever its size."""
        laid = blob if self.spec.input_layout == "nhwc" else blob.transpose(2, 0, 1)
        self._network.setInput(np.ascontiguousarray(laid)[np.newaxis])
        given: NDArray[np.float32] = self._network.forward()[0]
        return given if self.spec.output_layout == "nchw" else given.transpose(2, 0, 1)
