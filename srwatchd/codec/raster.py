"""Rasters: plain C-order pixels in a file behind a descriptor, and how they get there upright in bounded memory.

EXIF orientations 1 to 4 keep rows as rows: each strip goes where it belongs as it is decoded. 5 to 8 swap the edges:
the unturned raster is first written behind its final place in the same file, then turned in blocks of at most 32 MiB,
and the file is cut. So turning costs disk (twice the raster, while decoding lasts), not memory.
"""

from __future__ import annotations

import errno
import mmap
import os
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from srwatchd.storage import WriteBehind

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["RasterWriter", "map_raster", "read_exactly", "write_all"]

_BLOCK_BYTES: Final = 32 << 20


def map_raster(descriptor: int, shape: tuple[int, int, int], depth: int, *, offset: int = 0) -> NDArray[Any]:
    """A read-only view (height, width, channels) of a raster of ``depth`` 8 or 16 bit; unmapped when it is forgotten.

    Raises ValueError when the file is shorter than that.
    """
    sample = np.dtype(np.uint16 if depth == 16 else np.uint8)
    count = shape[0] * shape[1] * shape[2]
    length = offset + count * sample.itemsize
    mapped = mmap.mmap(descriptor, length, prot=mmap.PROT_READ)
    return np.frombuffer(mapped, sample, count, offset).reshape(shape)


def read_exactly(descriptor: int, length: int, offset: int) -> bytes:
    """``length`` bytes from ``offset``; OSError (EIO) when the file has fewer."""
    data = os.pread(descriptor, length, offset)
    while 0 < len(data) < length:
        more = os.pread(descriptor, length - len(data), offset + len(data))
        if not more:
            break
        data += more
    if len(data) < length:
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    return data


def write_all(descriptor: int, data: Any, offset: int) -> None:
    """``pwrite`` all of ``data`` at ``offset``; OSError when the file system refuses, never a short write."""
    view = memoryview(data).cast("B")
    done = 0
    while done < len(view):
        done += os.pwrite(descriptor, view[done:], offset + done)


class RasterWriter:
    """Takes strips from the top of a stored picture and leaves the upright raster in ``descriptor``.

    ``shape`` is (height, width, channels) as stored; ``orientation`` is EXIF's (1 to 8; EXIF 2.3, tag 274). The space
    is reserved at once, so a full disk is noticed before any decoding. ``behind`` learns of what is written. The raster
    begins at the offset ``at``, and what lies before it stays. Raises OSError.
    """

    def __init__(
        self,
        descriptor: int,
        shape: tuple[int, int, int],
        *,
        depth: int,
        orientation: int,
        behind: WriteBehind | None = None,
        at: int = 0,
    ) -> None:
        self._descriptor = descriptor
        self._behind = behind or WriteBehind(descriptor, None)
        self._height, self._width, self._channels = shape
        self._depth = depth
        self._pixel_bytes = self._channels * depth // 8
        self._orientation = orientation
        self._bytes = self._height * self._width * self._pixel_bytes
        self._at = at
        self._base = at + self._bytes if self.turned else at
        os.ftruncate(descriptor, at)
        os.posix_fallocate(descriptor, at, self._base + self._bytes - at)

    @property
    def turned(self) -> bool:
        """Whether width and height change places."""
        return self._orientation in (5, 6, 7, 8)

    def write(self, top: int, data: Any) -> None:
        """Write the strip that begins at stored row ``top``."""
        strip = np.frombuffer(data, np.uint8).reshape(-1, self._width, self._pixel_bytes)
        if self._orientation in (2, 3):
            strip = strip[:, ::-1]
        if self._orientation in (3, 4):
            top = self._height - top - len(strip)
            strip = strip[::-1]
        place = self._base + top * self._width * self._pixel_bytes
        self._write(strip, place)

    def finish(self) -> None:
        """Turn what was written if it must be turned; after this the file ends with the raster."""
        if not self.turned:
            return
        shape = (self._height, self._width, self._pixel_bytes)
        stored = map_raster(self._descriptor, shape, 8, offset=self._base)
        columns = max(1, _BLOCK_BYTES // (self._height * self._pixel_bytes))
        for first in range(0, self._width, columns):
            self._turn(stored, first, min(first + columns, self._width))
        del stored
        os.ftruncate(self._descriptor, self._at + self._bytes)

    def _turn(self, stored: NDArray[Any], first: int, last: int) -> None:
        """Write the upright rows that the stored columns ``first`` to ``last`` become."""
        block = stored[:, first:last].swapaxes(0, 1)
        top = first
        if self._orientation in (6, 7):
            block = block[:, ::-1]
        if self._orientation in (7, 8):
            block = block[::-1]
            top = self._width - last
        self._write(block, self._at + top * self._height * self._pixel_bytes)

    def _write(self, pixels: NDArray[Any], offset: int) -> None:
        write_all(self._descriptor, np.ascontiguousarray(pixels), offset)
        self._behind.wrote(pixels.nbytes)
