"""Area averaging of a raster to a small grid, strip by strip, in memory that does not grow with the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["AreaGrid", "grid_edge"]

_MAX_CELLS: Final = 64
_MIN_CELL: Final = 8
_CACHED_SAMPLES: Final = 1 << 17
"""So many that they fit the processor's cache as float32."""
_LEAST_ROWS: Final = 16
"""What is done once for some rows should not be done for each."""


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
        self._scale = np.float32(1 / (65535 if depth == 16 else 255))
        self._sample: Any = np.uint16 if depth == 16 else np.uint8
        self._with_spread = with_spread
        self._cell_pixels = width / reduction / across * height / reduction / down
        self._edges = np.linspace(0.0, height / reduction, down + 1)
        edges = np.linspace(0.0, width / reduction, across + 1)
        self._columns = np.minimum(edges.astype(int), self._shape[0] - 1)
        """The column in which each edge between cells lies, and how much of it is left of the edge."""
        self._part = (edges - self._columns)[:, np.newaxis]
        self._sums = np.zeros((2, down, across, channels))
        """Of the values of every cell and of their squares."""
        self._row = 0

    def feed(self, data: Any) -> None:
        """Take the next strip: a buffer of whole rows."""
        width, _, channels = self._shape
        strip = np.frombuffer(data, self._sample).reshape(-1, width, channels)
        step = max(_LEAST_ROWS, _CACHED_SAMPLES // (width * channels))
        for top in range(0, len(strip), step):
            self._take(strip[top : top + step])

    def _take(self, strip: NDArray[Any]) -> None:
        """Spread a few rows over the cells."""
        first, last = self._row, self._row + len(strip)
        self._row = last
        cells = slice(
            int(np.searchsorted(self._edges, first, "right")) - 1, int(np.searchsorted(self._edges, last, "left"))
        )
        above = np.clip(self._edges[cells.start : cells.stop + 1, np.newaxis] - np.arange(first, last), 0.0, 1.0)
        shares = np.diff(above, axis=0).astype(np.float32)  # how much of each row lies in each cell
        rows = self._weighted(strip).reshape(len(strip), -1)
        self._sums[0, cells] += self._across_cells(shares @ rows)
        if self._with_spread:
            self._sums[1, cells] += self._across_cells(shares @ np.square(rows, out=rows))

    def _across_cells(self, lines: NDArray[np.float32]) -> NDArray[np.float64]:
        """The sums of rows of cells, (rows, across, channels), from those of their columns."""
        columns = lines.reshape(len(lines), self._shape[0], -1)
        whole = np.add.reduceat(columns, self._columns, axis=1, dtype=np.float64)[:, :-1]
        whole[:, np.diff(self._columns) == 0] = 0.0  # what reduceat gives for no columns is the one that comes next
        return np.asarray(whole + np.diff(columns[:, self._columns] * self._part, axis=1))

    def _weighted(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        """Rows scaled to 0..1, colours premultiplied."""
        scaled: NDArray[np.float32] = rows * self._scale
        if self._shape[2] in (2, 4):
            scaled[:, :, :-1] *= scaled[:, :, -1:]
        return scaled

    def result(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation of every cell, each (down, across, channels). Every row must have been fed."""
        if self._row != self._shape[1]:
            raise ValueError(f"{self._row} of {self._shape[1]} rows were fed")
        mean, square = self._sums / self._cell_pixels
        return mean, np.sqrt(np.maximum(square - mean * mean, 0.0))
