"""One model on one engine before it is taken in: whether it does what is claimed, how well, and what it takes."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from srwatchd.engine.memory import private, trim
from srwatchd.engine.picture import upscale_raster
from srwatchd.engine.probing import probe_picture
from srwatchd.engine.quality import interpolated, leaves, psnr
from srwatchd.engine.smoke import smoke_test
from srwatchd.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from srwatchd.engine.base import Network, Samples

__all__ = ["COMPARED", "Trial", "differences", "measured_memory", "try_out"]

COMPARED: Final = (64, 72)
"""Height and width of the picture on which engines are compared."""
_ODD: Final = ((1, 1), (1, 23), (31, 20))
_CUT: Final = (29, 41)
_LARGE: Final = 512
_DEEP_ALLOWED: Final = 8
"""Levels of 65535 by which cutting into tiles may change a picture; a level of 255 is allowed at 8 bit."""
_WORST: Final = 3.0
_MEMORY_EDGE: Final = 128
_LARGE_SCALE: Final = 8
_MARGIN: Final = 1.2
_SAMPLING: Final = 0.001
_DEEP: Final = 257


@dataclass(frozen=True, slots=True)
class Trial:
    """What was seen: decibels on a picture of known detail, those of interpolation, seconds per megapixel of input."""

    decibels: float
    interpolation: float
    seconds_per_megapixel: float
    memory_per_pixel: int
    picture: Samples
    """A known picture of :data:`COMPARED` pixels, enlarged."""


def try_out(network: Network, *, said: Callable[[str], None], measure: bool = True) -> Trial:
    """Smoke-test ``network``, then odd sizes, tiles against the whole, quality; with ``measure`` its memory, else 0.

    Raises ``ModelError("model_unusable")`` with the reason when anything is not as its manifest says.
    """
    spec = network.spec
    said("its memory")
    memory = measured_memory(network) if measure else 0
    said("the smoke test")
    smoke = smoke_test(network)
    said("odd sizes")
    for height, width in _ODD:
        network.upscale(leaves(32)[:height, :width].copy())
    said("tiles against the whole picture")
    _compare_tiles(network)
    small, whole = probe_picture(spec.scale)
    border = spec.scale
    said("its quality")
    seen = psnr(network.upscale(small), whole, border=border)
    plain = psnr(interpolated(small, spec.scale), whole, border=border)
    if seen < plain - _WORST:
        raise ModelError(
            "model_unusable",
            f"{spec.name} on the {network.engine} engine restores a known picture with {seen:.1f} dB, plain "
            f"interpolation with {plain:.1f}: it is fed wrongly",
        )
    picture = network.upscale(leaves(max(COMPARED))[: COMPARED[0], : COMPARED[1]].copy())
    return Trial(seen, plain, smoke.seconds_per_megapixel, memory, picture)


def differences(one: Samples, other: Samples) -> tuple[float, int]:
    """Mean and largest difference of two pictures of 8 bit, in levels."""
    levels = np.abs(one.astype(np.int64) - other.astype(np.int64))
    return float(levels.mean()), int(levels.max())


def measured_memory(network: Network) -> int:
    """Bytes of private memory per input pixel while a tile is inferred, with a margin."""
    network.upscale(leaves(16))
    trim()
    edge = _MEMORY_EDGE if network.spec.scale < _LARGE_SCALE else _MEMORY_EDGE // 2
    tile = leaves(edge)
    before = private()
    with _Highest() as highest:
        network.upscale(tile)
        network.upscale(tile)
    grown = max(highest.seen, private()) - before
    return max(1, round(grown * _MARGIN / edge**2))


class _Highest:
    """Watches this process's private memory, for the time of a block."""

    def __init__(self) -> None:
        self.seen = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(_SAMPLING):
            self.seen = max(self.seen, private())


def _compare_tiles(network: Network) -> None:
    """Raise unless a picture comes out the same in one piece and in tiles that begin anywhere."""
    halo = network.spec.receptive_radius
    shallow = leaves(max(_CUT))[: _CUT[0], : _CUT[1]].copy()
    for source, allowed in ((shallow, 1), (shallow.astype(np.uint16) * _DEEP, _DEEP_ALLOWED)):
        pieces, whole = (_enlarged(network, source, tile=tile) for tile in (2 * halo + 17, 2 * halo + _LARGE))
        _, worst = differences(pieces, whole)
        if worst > allowed:
            raise ModelError(
                "model_unusable",
                f"{network.spec.name} on the {network.engine} engine gives another picture in tiles than in one piece "
                f"({worst} of {np.iinfo(source.dtype).max} levels): a receptive radius of {halo} is too small, or its "
                "result depends on where a tile begins",
            )


def _enlarged(network: Network, source: Samples, *, tile: int) -> Samples:
    scale = network.spec.scale
    target = np.zeros((source.shape[0] * scale, source.shape[1] * scale, source.shape[2]), source.dtype)
    upscale_raster(network, source, target, tile=tile, on_tile=_nothing)
    return target


def _nothing(_done: int, _total: int) -> None:
    return
