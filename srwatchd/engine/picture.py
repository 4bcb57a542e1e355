"""A whole raster through a network, tile by tile, with bounded memory; grey, RGB, both with alpha, 8 and 16 bit.

Alpha is a plane like any other to the network. Colour goes through it unmultiplied, but what a transparent pixel
happens to hold is first replaced by the average of the visible colours (weighted by their opacity, that is,
premultiplied) as far as the network looks. So nothing hidden bleeds into an edge, and nothing has to be divided by an
opacity that the network has sharpened differently from the colour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from srwatchd.engine.failures import running
from srwatchd.tiling import plan, reflected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from srwatchd.engine.base import Network, Samples
    from srwatchd.tiling import Tile, TilePlan

__all__ = ["upscale_raster", "upscale_rasters"]

_LEAST_CORE: Final = 16
"""Input pixels of a tile that are kept at the least."""

_STRIP: Final = 1 << 20
"""Pixels looked at in one go when the alpha of a picture is examined."""


def upscale_raster(
    network: Network, source: Samples, target: Samples, *, tile: int, on_tile: Callable[[int, int], None]
) -> None:
    """Fill ``target`` (sH x sW x C) with ``source`` (H x W x C) upscaled by ``network``.

    Both are uint8 or uint16 of the same dtype, C is 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha), and may be
    memory maps: no more than a few tiles are held at a time. A tile's input has at most ``tile`` x ``tile`` pixels,
    halo included (:func:`srwatchd.engine.budget.tile_for`); one that leaves no core is enlarged. ``on_tile`` is called
    after each tile with the number done and their total. Fully opaque and fully transparent surroundings keep exactly
    that. Raises :class:`ValueError` for rasters that do not fit, else what :meth:`Network.upscale` raises.
    """
    upscale_rasters(network, [(source, target)], tile=tile, on_tile=on_tile)


def upscale_rasters(
    network: Network, pairs: Iterable[tuple[Samples, Samples]], *, tile: int, on_tile: Callable[[int, int], None]
) -> None:
    """:func:`upscale_raster` for the pages of a picture, each by itself; ``on_tile`` counts the tiles of all."""
    pages = [_page(network, source, target, tile) for source, target in pairs]
    done, total = 0, sum(len(page.tiles) for page in pages)
    for page in pages:
        for place in page.tiles:
            with running(network.spec, network.engine):
                page.target[place.target.slices] = page.one(network, _input(page.source, place), place)
            done += 1
            on_tile(done, total)


@dataclass(frozen=True, slots=True)
class _Page:
    """A raster, its result, its tiles and what is done to each of them."""

    source: Samples
    target: Samples
    tiles: TilePlan
    one: Callable[[Network, Samples, Tile], Samples]


def _page(network: Network, source: Samples, target: Samples, tile: int) -> _Page:
    spec = network.spec
    height, width, channels = source.shape
    expected = (height * spec.scale, width * spec.scale, channels)
    if target.shape != expected or target.dtype != source.dtype or channels not in (1, 2, 3, 4):
        raise ValueError(f"{source.shape} of {source.dtype} at x{spec.scale} does not fit {target.shape}")
    one = _plain if channels in (1, 3) else _opaque if _all_opaque(source) else _blended
    halo = 2 * spec.receptive_radius + 1 if one is _blended else spec.receptive_radius
    border = halo if one is _blended else None
    tiles = plan(width, height, tile=max(tile, 2 * halo + _LEAST_CORE), halo=halo, border=border, scale=spec.scale)
    return _Page(source, target, tiles, one)


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
    """The core of a tile of a picture that is transparent in places.

    Opacity is 0 beyond one pixel from a visible one (:func:`_exact_ends`), so colour matters up to there, and the
    network looks ``radius`` further. The fill there comes from as far again, hence the halo of 2 radius + 1.
    """
    alpha = np.ascontiguousarray(part[:, :, -1:])
    if not alpha.any():
        return np.zeros((tile.core.height, tile.core.width, part.shape[2]), part.dtype)
    scale, reach = network.spec.scale, network.spec.receptive_radius + 1
    colour = network.upscale(_filled(part, reach))[tile.core.slices]
    far = _repeated(cv2.dilate(alpha, _square(reach)) == 0, scale)[tile.core.slices]
    if bool((alpha == np.iinfo(part.dtype).max).all()):
        opacity = np.full((*colour.shape[:2], 1), np.iinfo(part.dtype).max, part.dtype)
    else:
        opacity = _exact_ends(network.upscale(alpha), alpha, scale)[tile.core.slices]
    return np.concatenate((np.where(far, part.dtype.type(0), colour), opacity), axis=2)


def _filled(part: Samples, reach: int) -> Samples:
    """The colour of a tile, where it is transparent the mean of what is visible within ``reach``, or 0."""
    opacity = part[:, :, -1].astype(np.float32)
    premultiplied = part[:, :, :-1] * opacity[:, :, np.newaxis]
    size = (2 * reach + 1, 2 * reach + 1)
    over = cv2.boxFilter(premultiplied, cv2.CV_32F, size, normalize=False, borderType=cv2.BORDER_CONSTANT)
    under = cv2.boxFilter(opacity, cv2.CV_32F, size, normalize=False, borderType=cv2.BORDER_CONSTANT)
    mean = over.reshape(premultiplied.shape) / np.maximum(under, np.float32(1.0))[:, :, np.newaxis]
    near = cv2.dilate(opacity, _square(reach)) > 0
    hidden = np.where(near[:, :, np.newaxis], np.rint(mean), np.float32(0.0)).clip(0, np.iinfo(part.dtype).max)
    filled: Samples = np.where(opacity[:, :, np.newaxis] > 0, part[:, :, :-1], hidden.astype(part.dtype))
    return filled


def _exact_ends(seen: Samples, alpha: Samples, scale: int) -> Samples:
    """The opacity from the network, exactly at an end wherever a source pixel and its eight neighbours agree on it."""
    white = alpha.dtype.type(np.iinfo(alpha.dtype).max)
    opaque = _repeated(cv2.erode(alpha, _square(1)) == white, scale)
    transparent = _repeated(cv2.dilate(alpha, _square(1)) == 0, scale)
    return np.where(opaque, white, np.where(transparent, alpha.dtype.type(0), seen))


def _square(radius: int) -> NDArray[np.uint8]:
    """The neighbourhood of a pixel up to ``radius``."""
    return np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)


def _repeated(mask: NDArray[np.bool_], scale: int) -> NDArray[np.bool_]:
    """A mask of source pixels as one of result pixels, H x W x 1."""
    return np.repeat(np.repeat(mask, scale, axis=0), scale, axis=1)[:, :, np.newaxis]


def _all_opaque(source: Samples) -> bool:
    """Whether the alpha channel is at its maximum everywhere; stops at the first strip where it is not."""
    white = np.iinfo(source.dtype).max
    rows = max(1, _STRIP // source.shape[1])
    return all(bool((source[top : top + rows, :, -1] == white).all()) for top in range(0, source.shape[0], rows))
