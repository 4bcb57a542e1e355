"""Area averaging of a raster to a small grid, strip by strip, in memory that does not grow with the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["AreaGrid", "grid_edge"]

_MAX_CELLS: Final = 64
_MIN_CELL: Final = 8
_CACHED_SAMPLES: Final = 1 << 16


def grid_edge(pixels: int) -> int:
    """How many cells an edge of ``pixels`` source pixels is divided into: at most 64, each of at least 8 pixels."""
    return max(1, min(_MAX_CELLS, pixels // _MIN_CELL))


class AreaGrid:
    """Averages a picture of ``width`` x ``height`` over ``across`` x ``down`` cells of equal area.

    Cells may begin and end inside a pixel; it counts by the part that is covered. Values are scaled to 0..1. Colours of
    a picture with alpha are weighted by it (premultiplied); alpha itself is averaged as it is. Strips are fed from the
    top, whole rows, in order. ``with_spread`` false saves time and leaves the standard deviations meaningless. What is
    fed may be reduced already: its pixels are means of ``reduction`` by ``reduction`` ones, of fewer at the far edges.
    """

    def __init__(
        self,
        width: int,
        height: int,
        channels: int,
        *,
        depth: int,
        across: int,
        down: int,
        with_spread: bool = True,
        reduction: int = 1,
    ) -> None:
        self._shape = (-(-width // reduction), -(-height // reduction), channels)
        self._extent = (width / reduction, height / reduction)
        self._most = 65535 if depth == 16 else 255
        self._sample: Any = np.uint16 if depth == 16 else np.uint8
        self._across = across
        self._with_spread = with_spread
        self._edges = np.linspace(0.0, self._extent[1], down + 1)
        self._lines: dict[int, NDArray[np.float64]] = {}
        """Sums of values and of squares of every column (2, width * channels), of the cells that are not complete."""
        self._cells = np.zeros((2, down, across, channels))
        self._row = 0

    def feed(self, data: Any) -> None:
        """Take the next strip: a buffer of whole rows."""
        width, _, channels = self._shape
        strip = np.frombuffer(data, self._sample).reshape(-1, width, channels)
        step = max(1, _CACHED_SAMPLES // (width * channels))
        for top in range(0, len(strip), step):
            self._take(strip[top : top + step])

    def _take(self, strip: NDArray[Any]) -> None:
        """Spread a few rows, few enough to stay in the processor's cache, over the cells."""
        first, last = self._row, self._row + len(strip)
        self._row = last
        cells = range(
            max(0, int(np.searchsorted(self._edges, first, "right")) - 1),
            min(len(self._edges) - 1, int(np.searchsorted(self._edges, last, "left"))),
        )
        for cell in cells:
            self._add(cell, strip, first)
        for cell in [cell for cell in self._lines if self._edges[cell + 1] <= last]:
            self._cells[:, cell] = self._across_cells(self._lines.pop(cell))

    def _add(self, cell: int, strip: NDArray[Any], first: int) -> None:
        """Add the rows of ``strip`` (its top is row ``first``) that ``cell`` covers, the border rows by their part."""
        top, bottom = self._edges[cell], self._edges[cell + 1]
        begin, end = max(int(top), first), min(int(np.ceil(bottom)), first + len(strip))
        if begin >= end:
            return
        rows = self._weighted(strip[begin - first : end - first])
        weights = np.ones(end - begin, np.float32)
        weights[0] -= max(0.0, top - begin)
        weights[-1] -= max(0.0, end - bottom)
        flat = rows.reshape(len(rows), -1)
        lines = self._lines.setdefault(cell, np.zeros((2, flat.shape[1])))
        lines[0] += weights @ flat
        if self._with_spread:
            lines[1] += weights @ (flat * flat)

    def _across_cells(self, lines: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sums of a row of cells, (2, across, channels), from those of its columns."""
        width, _, channels = self._shape
        running = np.zeros((2, width + 1, channels))
        np.cumsum(lines.reshape(2, width, channels), axis=1, out=running[:, 1:])
        edges = np.linspace(0.0, self._extent[0], self._across + 1)
        below = np.minimum(edges.astype(int), width - 1)
        part = (edges - below)[:, np.newaxis]
        at_edges = running[:, below] * (1 - part) + running[:, below + 1] * part
        return np.asarray(np.diff(at_edges, axis=1))

    def _weighted(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        """Rows scaled to 0..1, colours premultiplied."""
        scaled = rows.astype(np.float32) * np.float32(1 / self._most)
        if self._shape[2] in (2, 4):
            scaled[:, :, :-1] *= scaled[:, :, -1:]
        return scaled

    def result(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation of every cell, each (down, across, channels). Every row must have been fed."""
        if self._row != self._shape[1]:
            raise ValueError(f"{self._row} of {self._shape[1]} rows were fed")
        down = len(self._edges) - 1
        mean, square = self._cells / (self._extent[0] / self._across * self._extent[1] / down)
        return mean, np.sqrt(np.maximum(square - mean * mean, 0.0))
