"""OpenCV: ``cv2.dnn_superres`` for 8 bit, the reference; the same file through ``cv2.dnn`` for 16 bit.

A luma model gets the luma only, rounded to 8 bit; colour is resized here as for every engine, better than
``dnn_superres`` does it (see :mod:`srwatchd.engine.colour`).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from srwatchd.engine.accelerators import NO_SUCH_DEVICE, missing_device
from srwatchd.engine.base import PROBE, plane_count
from srwatchd.engine.budget import bytes_per_input_pixel
from srwatchd.engine.colour import finish, prepare
from srwatchd.engine.failures import loading, running
from srwatchd.engine.opencv_cuda import classic, lacks_cuda, put_on
from srwatchd.engine.opencv_onnx import OpenCVOnnxNetwork
from srwatchd.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from srwatchd.config.models import ModelSpec
    from srwatchd.engine.base import Network, Samples

__all__ = ["OpenCVEngine", "OpenCVNetwork"]

_CV: Final[Any] = cv2
"""Its stubs know no dnn_superres."""

_ALGORITHMS: Final = ("edsr", "espcn", "fsrcnn", "lapsrn")
_EDSR_MEAN: Final = (103.1545782, 111.561547, 114.35629928)
"""Blue, green and red of DIV2K, as ``dnn_superres`` has them built in."""


class OpenCVNetwork:
    """A network of ``cv2.dnn``; keeps the contract of :class:`~srwatchd.engine.base.Network`.

    Only one of the two forms (8 bit, 16 bit) is loaded at a time: each holds the memory of its last tile. On CUDA there
    is only the second one, for both depths: ``dnn_superres`` cannot ask for the older engine that knows CUDA.
    """

    engine: Final = "opencv"

    def __init__(self, spec: ModelSpec, *, device: str = "cpu", precision: str = "f32") -> None:
        self.spec: Final = spec
        self.device: Final = device
        self._allowed: Final = precision
        self.precision = "f32"
        # Its constructor registers the pixel shuffle behind a flag that is not atomic: here, in the main thread.
        self._superres: Any = _CV.dnn_superres.DnnSuperResImpl_create()
        self._raw: Any = None
        self._superres_fits: Final = device == "cpu" and _superres_fits(spec)
        with loading(spec, self.engine):
            if self._superres_fits:
                self._load_superres()
            else:
                self._load_raw()

    @property
    def bytes_per_input_pixel(self) -> int:
        """See :class:`~srwatchd.engine.base.Network`."""
        return bytes_per_input_pixel(self.spec, self.engine)

    def upscale(self, tile: Samples) -> Samples:
        """See :class:`~srwatchd.engine.base.Network`."""
        plane_count(tile)
        with running(self.spec, self.engine):
            eight_bit = tile.dtype == np.uint8 and self._superres_fits
            result = self._by_superres(tile) if eight_bit else self._by_raw(tile)
        expected = (tile.shape[0] * self.spec.scale, tile.shape[1] * self.spec.scale, tile.shape[2])
        if result.shape != expected:
            raise ModelError("model_unusable", f"{self.spec.name} gave {result.shape} instead of {expected}")
        return result

    def _load_superres(self) -> None:
        self._raw = None
        self._superres.readModel(os.fspath(self.spec.path))
        self._superres.setModel(self.spec.architecture, self.spec.scale)

    def _load_raw(self) -> None:
        self._superres = _CV.dnn_superres.DnnSuperResImpl_create()
        self._raw = _CV.dnn.readNetFromTensorflow(os.fspath(self.spec.path), **classic(self.device))
        self.precision = put_on(self._raw, self.device, self._allowed)

    def _by_superres(self, tile: Samples) -> Samples:
        """BGR or luma through ``dnn_superres``."""
        if self._raw is not None:
            self._load_superres()
        grey = tile.shape[2] == 1
        if not grey and self.spec.input_colour == "y":
            prepared = prepare(tile, self.spec)
            seen = self._superres.upsample(_CV.convertScaleAbs(prepared.blob[:, :, 0], alpha=255.0))
            luma = np.multiply(seen, np.float32(1.0 / 255.0), dtype=np.float32)
            return finish(luma[np.newaxis], prepared, self.spec)
        if not grey:
            bgr: Samples = self._superres.upsample(_CV.cvtColor(tile, _CV.COLOR_RGB2BGR))
            rgb: Samples = _CV.cvtColor(bgr, _CV.COLOR_BGR2RGB, dst=bgr)
            return rgb
        plane = np.ascontiguousarray(tile[:, :, 0])
        if self.spec.input_colour == "y":
            return np.asarray(self._superres.upsample(plane))[:, :, np.newaxis]
        bgr = self._superres.upsample(_CV.merge([plane] * 3))
        mean = _CV.transform(bgr, np.full((1, 3), 1.0 / 3.0, np.float32))
        return np.asarray(mean).reshape(*bgr.shape[:2], 1)

    def _by_raw(self, tile: Samples) -> Samples:
        prepared = prepare(tile, self.spec)
        planes = self.infer(prepared.blob)
        if planes.shape[0] != prepared.blob.shape[2]:
            raise ModelError("model_unusable", f"{self.spec.name} gave {planes.shape[0]} channels")
        return finish(planes, prepared, self.spec)

    def release(self) -> None:
        """See :class:`~srwatchd.engine.base.Network`."""
        self.upscale(np.zeros((PROBE, PROBE, self.spec.channels), np.uint8))

    def infer(self, blob: NDArray[np.float32]) -> NDArray[np.float32]:
        """The output for an input of H x W x C, C x H x W whatever its size."""
        if self._raw is None:
            self._load_raw()
        self._raw.setInput(np.ascontiguousarray(blob.transpose(2, 0, 1))[np.newaxis])
        names = list(self._raw.getUnconnectedOutLayersNames())
        if self.spec.output_node not in names:
            raise ModelError("model_unusable", f"{self.spec.name} has no output {self.spec.output_node!r}")
        # OpenCV 5 wants to be asked for every leaf or for none.
        planes: NDArray[np.float32] = self._raw.forward(names)[names.index(self.spec.output_node)][0]
        return planes


def _superres_fits(spec: ModelSpec) -> bool:
    """Whether ``dnn_superres``, which reads no manifest, feeds the network what its manifest says."""
    if spec.input_colour == "y":
        return spec.architecture != "edsr" and spec.input_range == (0.0, 1.0) and not any(spec.mean)
    built_in = len(spec.mean) == len(_EDSR_MEAN) and np.allclose(spec.mean, _EDSR_MEAN, atol=1e-3)
    return spec.architecture == "edsr" and spec.input_range == (0.0, 255.0) and bool(built_in)


class OpenCVEngine:
    """OpenCV on processors, and on CUDA if built so; keeps the contract of :class:`~srwatchd.engine.base.Engine`."""

    name: Final = "opencv"

    def available(self) -> str | None:
        """See :class:`~srwatchd.engine.base.Engine`."""
        if not hasattr(cv2, "dnn_superres"):
            return "this OpenCV has no dnn_superres: install opencv-contrib-python-headless"
        if not hasattr(_CV.dnn, "readNetFromTensorflow"):
            return f"OpenCV {cv2.__version__} does not read TensorFlow files any more: install one below 6"
        return None

    def installed(self) -> bool:
        """See :class:`~srwatchd.engine.base.Engine`; nothing works without OpenCV."""
        return True

    def reads(self, spec: ModelSpec) -> bool:
        """See :class:`~srwatchd.engine.base.Engine`; frozen graphs and ONNX."""
        del spec
        return True

    def devices(self) -> tuple[str, ...]:
        """See :class:`~srwatchd.engine.base.Engine`."""
        return tuple(device for device in ("cpu", "cuda") if self.lacks(device) is None)

    def lacks(self, device: str) -> str | None:
        """See :class:`~srwatchd.engine.base.Engine`."""
        if device == "cuda":
            return lacks_cuda()
        return None if device == "cpu" else NO_SUCH_DEVICE

    def open(self, spec: ModelSpec, *, device: str = "auto", precision: str = "f32", threads: int = 0) -> Network:
        """See :class:`~srwatchd.engine.base.Engine`; ``auto`` is the processor, which computes in f32 in any case."""
        if (reason := self.available()) is not None:
            raise ModelError("engine_unavailable", f"opencv: {reason}")
        device = "cpu" if device == "auto" else device
        if (reason := self.lacks(device)) is not None:
            raise missing_device(self.name, device, reason, self.devices())
        onnx = spec.path.suffix == ".onnx"
        if not onnx and spec.architecture not in _ALGORITHMS:
            raise ModelError("model_unusable", f"{spec.name}: dnn_superres knows no {spec.architecture!r}")
        if not os.path.isfile(spec.path):
            raise ModelError("model_missing", f"{spec.name}: there is no file {os.fspath(spec.path)!r}")
        if threads > 0:
            _CV.setNumThreads(threads)
        network = OpenCVOnnxNetwork if onnx else OpenCVNetwork
        return network(spec, device=device, precision=precision)
