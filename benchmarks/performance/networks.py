"""Every way of running a model that takes part, as one function from blue-first pixels to blue-first pixels.

What is not ours runs the whole picture at once, with its own defaults, as its documentation shows it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from benchmarks.performance.conversion import converted

if TYPE_CHECKING:
    from collections.abc import Callable

    from srwatchd.modelspec import ModelSpec

__all__ = ["NAMES", "Enlarge", "opened", "plain"]

_CV: Final[Any] = cv2
_MEMORY_LIMIT: Final = 1 << 30
"""What ``memory_limit`` is unless the configuration says otherwise."""

Pixels = Any
"""H x W x 3 of uint8, blue first."""
Enlarge = Any
"""Pixels to pixels of ``scale`` times the height and width."""

NAMES: Final = {
    "superres": "`dnn_superres`",
    "opencv": "our `opencv`",
    "openvino": "our `openvino`",
    "openvino bf16": "our `openvino`, bf16",
    "onnxruntime": "our `onnxruntime`",
    "plain onnxruntime": "onnxruntime",
    "plain ncnn": "ncnn",
}
"""By name, what a contestant is called in a table. The first is what the others are compared with."""


def opened(name: str, spec: ModelSpec, *, precision: str) -> Enlarge:
    """``spec`` on our engine ``name``, in tiles of the size that the daemon would take. Raises ModelError."""
    from srwatchd.engine.budget import tile_for  # noqa: PLC0415 - nothing of ours in the processes of the others
    from srwatchd.engine.picture import upscale_raster  # noqa: PLC0415
    from srwatchd.engine.select import engines  # noqa: PLC0415
    from srwatchd.pipeline.memory import plan_memory  # noqa: PLC0415

    engine = next((each for each in engines() if each.name == name), None)
    if engine is None:
        raise LookupError(f"srwatchd has no engine {name!r}")
    network = engine.open(spec, device="cpu", precision=precision)
    tile = tile_for(spec, name, plan_memory(_MEMORY_LIMIT, 1).inference)

    def enlarge(picture: Pixels) -> Pixels:
        source = _CV.cvtColor(picture, _CV.COLOR_BGR2RGB)
        height, width = source.shape[:2]
        target = np.empty((height * spec.scale, width * spec.scale, 3), np.uint8)
        upscale_raster(network, source, target, tile=tile, on_tile=_nothing)
        return _CV.cvtColor(target, _CV.COLOR_RGB2BGR, dst=target)

    return enlarge


def plain(name: str, spec: ModelSpec) -> Enlarge:
    """``spec`` on the library ``name`` itself. Raises ImportError and whatever that library raises."""
    match name:
        case "superres":
            return _superres(spec)
        case "plain onnxruntime":
            return _around(spec, _onnxruntime(spec))
        case "plain ncnn":
            return _around(spec, _ncnn(spec))
        case _:
            raise LookupError(f"there is no contestant {name!r}")


def _superres(spec: ModelSpec) -> Enlarge:
    network = _CV.dnn_superres.DnnSuperResImpl_create()
    network.readModel(str(spec.path))
    network.setModel(spec.architecture, spec.scale)
    return network.upsample


def _onnxruntime(spec: ModelSpec) -> Callable[[Pixels], Pixels]:
    import onnxruntime  # noqa: PLC0415

    onnxruntime.set_default_logger_severity(3)
    session = onnxruntime.InferenceSession(str(spec.onnx), providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0].name
    return lambda blob: session.run([spec.output_node], {given: blob[np.newaxis]})[0][0]


def _ncnn(spec: ModelSpec) -> Callable[[Pixels], Pixels]:
    """Ncnn on what pnnx, its converter, makes of the ONNX twin."""
    import ncnn  # noqa: PLC0415

    network = ncnn.Net()
    with tempfile.TemporaryDirectory() as made:
        layers = converted(spec, Path(made))
        network.load_param(str(layers))
        network.load_model(str(layers.with_suffix(".bin")))

    def infer(blob: Pixels) -> Pixels:
        with network.create_extractor() as extractor:
            extractor.input("in0", ncnn.Mat(np.ascontiguousarray(blob)).clone())
            _, given = extractor.extract("out0")
            return np.array(given)

    return infer


def _around(spec: ModelSpec, infer: Callable[[Pixels], Pixels]) -> Enlarge:
    """What a network wants around it, as ``dnn_superres`` does it: luma of floats, colour resized beside it."""

    def by_luma(picture: Pixels) -> Pixels:
        luma, red, blue = _CV.split(_CV.cvtColor(picture.astype(np.float32) / 255.0, _CV.COLOR_BGR2YCrCb))
        planes = infer(luma[:, :, np.newaxis])
        size = (planes.shape[2], planes.shape[1])
        colour = [_CV.resize(plane, size, interpolation=_CV.INTER_CUBIC) for plane in (red, blue)]
        merged = _CV.cvtColor(_CV.merge([planes[0], *colour]), _CV.COLOR_YCrCb2BGR)
        return _CV.convertScaleAbs(np.maximum(merged, 0.0), alpha=255.0)

    def by_colour(picture: Pixels) -> Pixels:
        mean = np.asarray(spec.mean, np.float32)
        planes = infer(picture.astype(np.float32) - mean) + mean[:, np.newaxis, np.newaxis]
        return np.rint(planes.transpose(1, 2, 0)).clip(0, 255).astype(np.uint8)

    return by_luma if spec.input_colour == "y" else by_colour


def _nothing(_done: int, _total: int) -> None:
    return
