"""A whole raster through a network, tile by tile, with bounded memory; grey, RGB, both with alpha, 8 and 16 bit.

Alpha is a plane like any other to the network. Colour is premultiplied by it before and divided by it after, so that
what a transparent pixel happens to hold does not bleed into the edge; pictures with real transparency go through the
network at 16 bit, because a premultiplied 8 bit colour would be too coarse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from srwatchd.engine.failures import running
from srwatchd.tiling import plan, reflected

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from srwatchd.engine.base import Network, Samples
    from srwatchd.tiling import Tile

__all__ = ["upscale_raster"]

_STRIP: Final = 1 << 20
"""Pixels looked at in one go when the alpha of a picture is examined."""

_FAINT: Final = 1.0 / 64.0
"""Below this opacity the network's colour is mostly rounding; the interpolated one is used."""


def upscale_raster(
    network: Network, source: Samples, target: Samples, *, tile: int, on_tile: Callable[[int, int], None]
) -> None:
    """Fill ``target`` (sH x sW x C) with ``source`` (H x W x C) upscaled by ``network``.

    Both are uint8 or uint16 of the same dtype, C is 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha), and may be
    memory maps: no more than a few tiles are held at a time. ``tile`` is the greatest edge of a tile's input in
    pixels, halo included (:func:`srwatchd.engine.budget.tile_for`). ``on_tile`` is called after each tile with the
    number done and their total. Fully opaque and fully transparent surroundings keep exactly that. Raises
    :class:`ValueError` for rasters that do not fit, else what :meth:`Network.upscale` raises.
    """
    spec = network.spec
    height, width, channels = source.shape
    expected = (height * spec.scale, width * spec.scale, channels)
    if target.shape != expected or target.dtype != source.dtype or channels not in (1, 2, 3, 4):
        raise ValueError(f"{source.shape} of {source.dtype} at x{spec.scale} does not fit {target.shape}")
    tiles = plan(width, height, tile=tile, halo=spec.receptive_radius, scale=spec.scale)
    total = len(tiles)
    with running(spec, network.engine):
        one = _plain if channels in (1, 3) else _opaque if _all_opaque(source) else _blended
        for done, place in enumerate(tiles, start=1):
            result = one(network, _input(source, place), place)
            target[place.target.slices] = result
            on_tile(done, total)


def _input(source: Samples, tile: Tile) -> Samples:
    """The network's input for ``tile``, an array of its own or a view of the source."""
    part = source[tile.read.slices]
    pad = tile.padding
    if pad:
        rows = reflected(part.shape[0], before=pad.top, after=pad.bottom)
        columns = reflected(part.shape[1], before=pad.left, after=pad.right)
        part = part.take(rows, axis=0).take(columns, axis=1)
    return np.ascontiguousarray(part)


def _plain(network: Network, part: Samples, tile: Tile) -> Samples:
    """The core of a tile without alpha."""
    return network.upscale(part)[tile.core.slices]


def _opaque(network: Network, part: Samples, tile: Tile) -> Samples:
    """The core of a tile of a picture whose alpha channel hides nothing."""
    colour = _plain(network, np.ascontiguousarray(part[:, :, :-1]), tile)
    alpha = np.full((*colour.shape[:2], 1), np.iinfo(part.dtype).max, part.dtype)
    return np.concatenate((colour, alpha), axis=2)


def _blended(network: Network, part: Samples, tile: Tile) -> Samples:
    """The core of a tile of a picture that is transparent in places."""
    white = np.float32(np.iinfo(part.dtype).max)
    alpha = part[:, :, -1:].astype(np.float32) / white
    if not alpha.any():
        return np.zeros((tile.core.height, tile.core.width, part.shape[2]), part.dtype)
    colour = part[:, :, :-1].astype(np.float32) / white * alpha
    wide = _unit(network.upscale(_wide(colour)))[tile.core.slices]
    if alpha.all() and bool((part[:, :, -1] == white).all()):
        opacity: NDArray[np.float32] = np.ones((*wide.shape[:2], 1), np.float32)
    else:
        opacity = _exact_ends(_unit(network.upscale(_wide(alpha))), alpha, network.spec.scale)[tile.core.slices]
        wide = _divided(wide, opacity, _interpolated(colour, alpha, tile, network.spec.scale))
    result = np.concatenate((wide, opacity), axis=2)
    result *= white
    return np.rint(result, out=result).astype(part.dtype)


def _divided(
    colour: NDArray[np.float32], opacity: NDArray[np.float32], fallback: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Premultiplied ``colour`` as plain colour; ``fallback`` where there is hardly anything to divide by."""
    plain = np.minimum(colour / np.maximum(opacity, _FAINT), 1.0)
    return np.where(opacity >= _FAINT, plain, np.where(opacity > 0.0, fallback, np.float32(0.0)))


def _interpolated(
    colour: NDArray[np.float32], alpha: NDArray[np.float32], tile: Tile, scale: int
) -> NDArray[np.float32]:
    """The plain colour of a tile's core from bilinear interpolation of the premultiplied one."""
    size = (alpha.shape[1] * scale, alpha.shape[0] * scale)
    over = cv2.resize(colour, size, interpolation=cv2.INTER_LINEAR).reshape(size[1], size[0], -1)[tile.core.slices]
    under = cv2.resize(alpha, size, interpolation=cv2.INTER_LINEAR)[:, :, np.newaxis][tile.core.slices]
    tiny = np.float32(1e-6)
    return np.minimum(np.where(under > tiny, over / np.maximum(under, tiny), np.float32(0.0)), 1.0)


def _exact_ends(opacity: NDArray[np.float32], alpha: NDArray[np.float32], scale: int) -> NDArray[np.float32]:
    """``opacity`` with exactly 0 and 1 wherever all eight neighbours of the source pixel agree on it."""
    kernel = np.ones((3, 3), np.uint8)
    lowest, highest = cv2.erode(alpha, kernel), cv2.dilate(alpha, kernel)
    for agreed, value in ((lowest >= 1.0, 1.0), (highest <= 0.0, 0.0)):
        mask = np.repeat(np.repeat(agreed, scale, axis=0), scale, axis=1)
        opacity[mask] = value
    return opacity


def _all_opaque(source: Samples) -> bool:
    """Whether the alpha channel is at its maximum everywhere; stops at the first strip where it is not."""
    white = np.iinfo(source.dtype).max
    rows = max(1, _STRIP // source.shape[1])
    return all(bool((source[top : top + rows, :, -1] == white).all()) for top in range(0, source.shape[0], rows))


def _wide(unit: NDArray[np.float32]) -> Samples:
    """Values of [0, 1] as uint16."""
    return np.rint(unit * np.float32(65535.0)).astype(np.uint16)


def _unit(samples: Samples) -> NDArray[np.float32]:
    """uint16 as values of [0, 1]."""
    unit: NDArray[np.float32] = np.multiply(samples, np.float32(1.0 / 65535.0), dtype=np.float32)
    return unit
