"""How a picture is cut into tiles: every input pixel has its context, every result pixel is written exactly once.

Pure integer arithmetic. A tile is what goes through the network: a *core*, the pixels that are kept, and a *halo* of
context on each side. All tiles of one plan have the same input shape, because an engine prepares itself for a
shape: a tile at the far edge is shifted back, not shrunk, and keeps only what is new. Beyond the picture there is a
*border*, filled by reflection without repeating the edge pixel, which a picture of one pixel survives, too. It is no
wider than :data:`BORDER`, however far a network sees.

Memory goes with a tile's area, so that is what is bounded; of the shapes within it the plan takes the one that computes
the fewest pixels: the picture's own where one tile is enough, else of multiples of 8. What is compiled for one shape
only takes it from a short ladder of lengths (:func:`rung`), so that pictures of many sizes share few shapes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BORDER", "LARGEST_EDGE", "Padding", "Tile", "TilePlan", "Window", "plan", "reflected", "rung"]

BORDER: Final = 8
"""Reflected pixels after which a network's zero padding no longer matters at the edge of a picture.

Against a border as wide as the network sees (19 pixels for EDSR and LapSRN x2) at most 2 of 255 levels differ, 0.03 on
average over the four pixels at the edge; with 4 it is 23, with 6 it is 7 (8 photographs of Kodak and Set5).
"""
LARGEST_EDGE: Final = 768
"""Input pixels. The time per pixel hardly depends on the tile beyond it; memory and the time per tile grow."""

_FIRST_RUNG: Final = 32
_STEPS_PER_OCTAVE: Final = 4
_STEP: Final = 8


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of pixels: ``top`` and ``left`` inclusive, ``bottom`` and ``right`` exclusive."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        """Rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Columns."""
        return self.right - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        """The index of these rows and columns in an array of H x W x C."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


@dataclass(frozen=True, slots=True)
class Padding:
    """Rows and columns that reflection adds around what was read."""

    top: int
    left: int
    bottom: int
    right: int

    def __bool__(self) -> bool:
        return bool(self.top or self.left or self.bottom or self.right)


@dataclass(frozen=True, slots=True)
class Tile:
    """One pass through the network.

    ``read`` (source pixels) extended by ``padding`` is the network's input; of its output the part ``core`` (output
    pixels, relative to the tile) is written to ``target`` (pixels of the result).
    """

    read: Window
    padding: Padding
    core: Window
    target: Window


@dataclass(frozen=True, slots=True)
class _Span:
    """A tile along one axis: read [start, stop) and reflect, write [first, last) of the source's pixels."""

    start: int
    stop: int
    before: int
    after: int
    first: int
    last: int

    @property
    def origin(self) -> int:
        """Where the tile with its halo begins, in input pixels; negative where the halo is reflected at the edge."""
        return self.start - self.before


@dataclass(frozen=True, slots=True)
class TilePlan:
    """The tiles of one picture, row by row. ``len(plan)`` is their number, iteration yields each :class:`Tile`.

    ``input_height`` and ``input_width`` are the one shape of every tile, halo and border included.
    """

    width: int
    height: int
    scale: int
    halo: int
    border: int
    input_height: int
    input_width: int

    def __len__(self) -> int:
        return self._count(self.height, self.input_height) * self._count(self.width, self.input_width)

    def __iter__(self) -> Iterator[Tile]:
        for row in self._spans(self.height, self.input_height):
            for column in self._spans(self.width, self.input_width):
                yield _tile(row, column, self.scale)

    def _count(self, extent: int, edge: int) -> int:
        return _count(extent, edge, self.halo, self.border)

    def _spans(self, extent: int, edge: int) -> Iterator[_Span]:
        return _spans(extent, edge, self.halo, self.border)


def plan(width: int, height: int, *, tile: int, halo: int, scale: int, border: int | None = None) -> TilePlan:
    """The tiles for a picture of ``width`` x ``height`` pixels.

    ``tile`` bounds a tile's area, halo included, to ``tile`` x ``tile`` pixels; an edge may be longer, up to
    :data:`LARGEST_EDGE`. ``halo`` is the network's receptive radius in input pixels, ``border`` what is reflected
    around the picture: at most the halo, by default at most :data:`BORDER`. Raises :class:`ValueError` when a size is
    not positive or a square tile leaves no core.
    """
    border = min(halo, BORDER) if border is None else border
    if min(width, height, scale) < 1 or not 0 <= border <= halo or tile <= 2 * halo:
        raise ValueError(f"no plan for {width}x{height}, tile {tile}, halo {halo}, border {border}, scale {scale}")
    shapes = (
        TilePlan(width, height, scale, halo, border, input_height=down, input_width=across)
        for across, down in _shapes(width, height, tile, halo, border)
    )
    return min(shapes, key=lambda each: (len(each) * each.input_width * each.input_height, len(each)))


def rung(length: int) -> int:
    """The least length of the ladder 32, 40, 48, 56, 64, 80, 96 ... (four per octave) that is not below ``length``."""
    octave = _FIRST_RUNG
    while octave * 2 <= length:
        octave *= 2
    step = octave // _STEPS_PER_OCTAVE
    return max(_FIRST_RUNG, -(-length // step) * step)


def reflected(length: int, *, before: int, after: int) -> list[int]:
    """The indices that extend ``range(length)`` by reflection about its end pixels: 2 1 [0 1 2 3] 2 1.

    Reflection goes to and fro when a side is longer than the range; one pixel repeats itself.
    """
    period = max(1, 2 * (length - 1))
    folded = (index % period for index in range(-before, length + after))
    return [min(index, period - index) if length > 1 else 0 for index in folded]


def _shapes(width: int, height: int, tile: int, halo: int, border: int) -> Iterator[tuple[int, int]]:
    """Widths and heights that a tile may have, from the longest to the shortest width that is of any use."""
    longest = max(tile, LARGEST_EDGE)
    shortest = max(tile * tile // longest, 2 * halo + 1)
    for most in range(longest, shortest - 1, -_STEP):
        across = _edge(width, most, halo, border)
        down = min(longest, tile * tile // across)
        if down > 2 * halo:
            yield across, _edge(height, down, halo, border)


def _edge(extent: int, most: int, halo: int, border: int) -> int:
    """The input's edge, at most ``most``: that of the picture with its border, or one of several of even size."""
    count = _count(extent, most, halo, border)
    read = extent + 2 * border + 2 * halo * (count - 1)
    return read if count == 1 else min(most, math.ceil(read / (count * _STEP)) * _STEP)


def _count(extent: int, edge: int, halo: int, border: int) -> int:
    """The tiles along an axis; the first and the last have a border, not a halo, on one side."""
    return 1 if extent + 2 * border <= edge else -(-(extent - 2 * (halo - border)) // (edge - 2 * halo))


def _spans(extent: int, edge: int, halo: int, border: int) -> Iterator[_Span]:
    core = edge - 2 * halo
    count = _count(extent, edge, halo, border)
    for index in range(count):
        first = index * core + (halo - border if index else 0)
        origin = max(-border, min(index * core - border, extent + border - edge))
        start, stop = max(0, origin), min(extent, origin + edge)
        yield _Span(
            start=start,
            stop=stop,
            before=start - origin,
            after=origin + edge - stop,
            first=first,
            last=extent if index == count - 1 else (index + 1) * core + halo - border,
        )


def _tile(row: _Span, column: _Span, scale: int) -> Tile:
    target = Window(row.first * scale, column.first * scale, row.last * scale, column.last * scale)
    down, across = row.origin * scale, column.origin * scale
    return Tile(
        read=Window(row.start, column.start, row.stop, column.stop),
        padding=Padding(row.before, column.before, row.after, column.after),
        core=Window(target.top - down, target.left - across, target.bottom - down, target.right - across),
        target=target,
    )
