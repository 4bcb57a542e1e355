"""How much memory a tile takes, how large it may therefore be, and how long it should take. Pure.

The figures are measured peaks of resident memory (OpenCV 5.0, OpenVINO 2026.4, ONNX Runtime 1.32, float32, two
threads, tiles of 96 to 400 pixels, colour without alpha, 8 and 16 bit), rounded up. Memory grows with the tile's
area, by the feature maps at the input's size and by the planes at the output's size.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from srwatchd.errors import PermanentError
from srwatchd.tiling import LARGEST_EDGE

if TYPE_CHECKING:
    from srwatchd.config.models import ModelSpec

__all__ = ["bytes_per_input_pixel", "tile_bytes", "tile_deadline", "tile_for"]

_LEAST_CORE: Final = 16
"""Input pixels of a tile that are kept at the least, with the halo of a picture with alpha: 2 radius + 1."""
_MARGIN: Final = 1.25
_DEADLINE_MARGIN: Final = 40.0
_LEAST_DEADLINE: Final = 30.0

# (engine, architecture): bytes per input pixel, and bytes per output pixel
_MEASURED: Final[dict[tuple[str, str], tuple[int, int]]] = {
    ("opencv", "fsrcnn"): (1080, 35),
    ("opencv", "espcn"): (1010, 16),
    ("opencv", "lapsrn"): (0, 390),
    ("openvino", "fsrcnn"): (340, 33),
    ("openvino", "espcn"): (460, 30),
    ("openvino", "lapsrn"): (0, 180),
    ("onnxruntime", "fsrcnn"): (540, 37),
    ("onnxruntime", "espcn"): (560, 36),
    ("onnxruntime", "lapsrn"): (0, 300),
}
_PUBLIC_LAPSRN: Final = 336_512
"""Multiplications of a level of the LapSRN that was measured, per pixel that goes into the level: 64 channels."""
_LEAST_SHARE: Final = 0.25

# EDSR: bytes per feature channel and input pixel, and bytes per output pixel
_RESIDUAL: Final[dict[str, tuple[int, int]]] = {"opencv": (20, 52), "openvino": (13, 48), "onnxruntime": (20, 43)}
_UNKNOWN_ENGINE: Final = "opencv"


def bytes_per_input_pixel(spec: ModelSpec, engine: str) -> int:
    """An upper bound of the memory that a pixel of a tile's input takes while ``engine`` infers it.

    What was measured when a model was imported goes first; an architecture or engine without measurements is taken for
    a residual network of its width on OpenCV.
    """
    if engine in spec.memory_per_pixel:
        return spec.memory_per_pixel[engine]
    area = spec.scale**2
    known = _MEASURED.get((engine, spec.architecture))
    if known is not None:
        share = _lapsrn_share(spec) if spec.architecture == "lapsrn" else 1.0
        return math.ceil(share * (known[0] + known[1] * area))
    per_channel, per_output = _RESIDUAL.get(engine, _RESIDUAL[_UNKNOWN_ENGINE])
    return per_channel * _width(spec) + per_output * area


def tile_for(spec: ModelSpec, engine: str, available: int) -> int:
    """The edge of the greatest square tile, halo included, that fits into ``available`` bytes.

    ``available`` is what the process may still take with the network loaded. At most
    :data:`~srwatchd.tiling.LARGEST_EDGE` unless the halo needs more. Raises
    ``PermanentError("too_large_for_memory")`` when not even the smallest tile fits.
    """
    pixels = available / tile_bytes(spec, engine, 1)
    edge = math.isqrt(max(0, int(pixels)))
    least = 4 * spec.receptive_radius + 2 + _LEAST_CORE
    if edge < least:
        raise PermanentError(
            "too_large_for_memory",
            f"{spec.name} needs tiles of {least}x{least} pixels on {engine}, and {available >> 20} MiB allow {edge}",
        )
    return max(least, min(edge, LARGEST_EDGE))


def tile_bytes(spec: ModelSpec, engine: str, tile: int) -> int:
    """What inferring tiles of ``tile`` x ``tile`` pixels takes, with a margin."""
    return math.ceil(bytes_per_input_pixel(spec, engine) * _MARGIN * tile * tile)


def tile_deadline(seconds_per_megapixel: float, tile: int) -> float:
    """The seconds after which a worker that has not finished a tile of ``tile`` x ``tile`` pixels counts as hung.

    ``seconds_per_megapixel`` of input is what :func:`srwatchd.engine.select.choose` measured. Wide margins: the
    machine may be busy with something else.
    """
    return max(_LEAST_DEADLINE, _DEADLINE_MARGIN * seconds_per_megapixel * tile * tile / 1e6)


def _lapsrn_share(spec: ModelSpec) -> float:
    """How much of the public LapSRN's memory a narrower one takes: memory goes with the width, work with its square.

    The bound is 1.0 to 1.9 times what was measured on the shipped ones (levels of 8 blocks and 32 channels).
    """
    if not spec.macs_per_input_pixel:
        return 1.0
    public = _PUBLIC_LAPSRN * (spec.scale**2 - 1) / 3
    return min(1.0, max(_LEAST_SHARE, math.sqrt(spec.macs_per_input_pixel / public)))


def _width(spec: ModelSpec) -> int:
    """The feature channels of a residual network of 3x3 convolutions: its radius tells how many there are."""
    layers = max(1, spec.receptive_radius - 2)
    return math.ceil(math.sqrt(max(1, spec.macs_per_input_pixel) / (9 * layers)))
