"""What bf16 costs in quality, on a processor that need not have it: ``python -m benchmarks.precision [MODEL ...]``.

Every convolution's input and weights, and every sum of two branches, are rounded to the 8 significant bits of bf16 and
computed on in f32, as the matrix units of AMX do. ``all`` is that for the whole network; ``inner`` leaves the first
convolution, the last one and the sums as they are. Printed is a table in Markdown: luma PSNR of the pictures reduced
bicubically and enlarged again, without as many pixels at the edge as the model's scale (as these papers do), and the
mean difference in levels from f32. Where the processor has bf16, ``real`` is what the engine does with it.

Rounding by T. J. Dekker, "A floating-point technique for extending the available precision", 1971: with
c = x (2^16 + 1) the number c - (c - x) has 16 bits fewer than x.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
import openvino
from openvino import opset13 as operations

from srwatchd.config.models import find_models
from srwatchd.engine.openvino import OpenVINOEngine, OpenVINONetwork
from srwatchd.engine.picture import upscale_raster
from srwatchd.engine.quality import psnr, reduced

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from srwatchd.config.models import ModelSpec
    from srwatchd.engine.base import Network, Samples

__all__ = ["main", "rounded"]

_PICTURES: Final = Path(__file__).resolve().parents[2] / "shared" / "bench" / "Set5"
_BITS: Final = 16
"""Of the 24 significant ones of f32 that bf16 has not."""
_TILE: Final = 768


def rounded(value: Any) -> Any:
    """An OpenVINO expression for ``value`` in the precision of bf16, to the nearest."""
    wide = operations.multiply(value, operations.constant(np.float32((1 << _BITS) + 1)))
    return operations.subtract(wide, operations.subtract(wide, value))


def main(words: Sequence[str]) -> int:
    """Print the table."""
    models = find_models(None)
    parser = argparse.ArgumentParser(prog="python -m benchmarks.precision", description="The quality that bf16 costs.")
    parser.add_argument("models", nargs="*", metavar="MODEL", help="[default: all that are shipped]")
    parser.add_argument("--pictures", type=Path, default=_PICTURES, metavar="DIR", help="[default: Set5 in ../shared]")
    asked = parser.parse_args(words)
    if unknown := sorted(set(asked.models) - set(models)):
        parser.error(f"there is no model {', '.join(unknown)}; known are {', '.join(sorted(models))}")
    pictures = [_read(path) for path in sorted(asked.pictures.glob("*.png"))]
    if not pictures:
        parser.error(f"there are no PNG pictures in {asked.pictures}")
    real = "bf16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    ways = ("all", "inner", *(("real",) if real else ()))
    print("| model | f32, dB |", *(f"{way}, dB | levels |" for way in ways))
    print("|---|---:|", *("---:|---:|" for _ in ways))
    for name in asked.models or models:
        _row(models[name], pictures, ways)
    return 0


def _row(spec: ModelSpec, pictures: Sequence[Samples], ways: Sequence[str]) -> None:
    reference = [_enlarged(_network(spec, _unchanged), reduced(each, spec.scale)) for each in pictures]
    exact = _quality(reference, pictures, spec.scale)
    cells = [f"`{spec.name}` | {exact:.3f}"]
    changes = {"all": _bf16, "inner": _bf16_inside}
    for way in ways:
        network = _network(spec, changes[way]) if way in changes else OpenVINOEngine().open(spec, precision="bf16")
        made = [_enlarged(network, reduced(each, spec.scale)) for each in pictures]
        levels = np.mean([cv2.absdiff(one, other).mean() for one, other in zip(made, reference, strict=True)])
        cells.append(f"{_quality(made, pictures, spec.scale) - exact:+.3f} | {levels:.2f}")
    print("|", *(f"{cell} |" for cell in cells), flush=True)


def _read(path: Path) -> Samples:
    return np.ascontiguousarray(cv2.imread(str(path), cv2.IMREAD_COLOR)[:, :, ::-1])


def _whole(picture: Samples, scale: int) -> Samples:
    """``picture`` without the rows and columns that are no multiple of ``scale``."""
    height, width = (size // scale * scale for size in picture.shape[:2])
    return np.ascontiguousarray(picture[:height, :width])


def _luma(picture: Samples) -> Samples:
    """Studio-range luma of ITU-R BT.601, as these papers compare it; in levels, not rounded."""
    weights = np.array([65.738, 129.057, 25.064]) / 256.0
    return 16.0 + picture.astype(np.float64) @ weights


def _quality(made: Sequence[Samples], pictures: Sequence[Samples], scale: int) -> float:
    pairs = zip(made, pictures, strict=True)
    return float(np.mean([psnr(_luma(one), _luma(_whole(other, scale)), border=scale) for one, other in pairs]))


def _enlarged(network: Network, picture: Samples) -> Samples:
    height, width, channels = picture.shape
    result = np.empty((height * network.spec.scale, width * network.spec.scale, channels), picture.dtype)
    upscale_raster(network, picture, result, tile=_TILE, on_tile=lambda _done, _total: None)
    return result


# -- networks in other precisions ----------------------------------------------------------------------------------


class _Core:
    """OpenVINO's, which changes what it reads."""

    def __init__(self, change: Callable[[Any], None]) -> None:
        self._core = openvino.Core()
        self._change = change

    def read_model(self, path: str) -> Any:
        model = self._core.read_model(path)
        self._change(model)
        return model

    def compile_model(self, *words: Any) -> Any:
        return self._core.compile_model(*words)


def _network(spec: ModelSpec, change: Callable[[Any], None]) -> Network:
    return OpenVINONetwork(spec, core=_Core(change), device="cpu", precision="f32", threads=0)


def _unchanged(_model: Any) -> None:
    return


def _bf16(model: Any) -> None:
    nodes = model.get_ordered_ops()
    _convolutions([node for node in nodes if node.get_type_name() == "Convolution"])
    for node in nodes:
        if node.get_type_name() == "Add" and not any(_is_constant(each) for each in node.inputs()):
            taken = list(node.output(0).get_target_inputs())
            result = rounded(node).output(0)
            for each in taken:
                each.replace_source_output(result)


def _bf16_inside(model: Any) -> None:
    _convolutions([node for node in model.get_ordered_ops() if node.get_type_name() == "Convolution"][1:-1])


def _convolutions(nodes: Sequence[Any]) -> None:
    for node in nodes:
        for each in node.inputs():
            each.replace_source_output(rounded(each.get_source_output()).output(0))


def _is_constant(taken: Any) -> bool:
    return str(taken.get_source_output().get_node().get_type_name()) == "Constant"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
