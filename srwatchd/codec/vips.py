"""The one boundary with libvips: bounded, quiet, through descriptors, and only the loaders that were asked for.

Sources are read with ``pread`` and targets written with ``pwrite`` by callbacks. So a descriptor's offset is neither
used nor moved, nothing is mapped (a source cut short under our hands raises instead of killing the process by SIGBUS), an
errno arrives as the errno it was, and no descriptor is ever closed here.
"""

from __future__ import annotations

import functools
import logging
import os
from typing import Any, Final, TYPE_CHECKING

from srwatchd.errors import PermanentError
from srwatchd.storage import host_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Feed", "Sink", "pyvips", "rows", "strip_height"]

_STRIP_BYTES: Final = 4 << 20
_LOADERS: Final[dict[str, str]] = {
    "jpeg": "jpegload_source",
    "png": "pngload_source",
    "webp": "webpload_source",
    "tiff": "tiffload_source",
    "avif": "heifload_source",
    "gif": "gifload_source",
}


@functools.cache
def pyvips() -> Any:
    """The pyvips module, set up once per process: one thread, no operation cache, untrusted loaders blocked.

    libvips' own warnings go to a logger that nobody listens to; what matters of them arrives as an error.
    """
    os.environ.setdefault("VIPS_CONCURRENCY", "1")
    logging.getLogger("pyvips").propagate = False
    import pyvips as module

    module.concurrency_set(1)
    module.cache_set_max(0)
    module.cache_set_max_mem(0)
    module.cache_set_max_files(0)
    module.vips_lib.vips_block_untrusted_set(1)
    return module


class Feed:
    """A source file behind a descriptor, for libvips and for our own looks at its structure."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._position = 0
        self._error: OSError | None = None
        self._source: Any = None  # pyvips frees the callbacks with this object, libvips may still call them
        with host_errors("source", "reading the"):
            self.size = os.fstat(descriptor).st_size

    def read(self, length: int, offset: int) -> bytes:
        """Up to ``length`` bytes from ``offset``, fewer only at the end of the file; HostError when it fails."""
        with host_errors("source", "reading the"):
            return os.pread(self._descriptor, length, offset)

    def open(self, name: str) -> Any:
        """The header of a picture of format ``name`` as a sequential libvips image, any warning being an error."""
        source = pyvips().SourceCustom()
        source.on_read(self._on_read)
        source.on_seek(self._on_seek)
        self._source = source
        options = {"unlimited": True} if name == "png" else {}
        with self.damage():
            image = getattr(pyvips().Image, _LOADERS[name])(source, access="sequential", fail_on="warning", **options)
        return image

    def damage(self) -> _Damage:
        """A context in which a libvips error means a damaged file, or the failed read that really caused it."""
        return _Damage(self)

    def failure(self) -> OSError | None:
        """The error of the last failed read, if any."""
        return self._error

    def _on_read(self, length: int) -> bytes:
        try:
            data = os.pread(self._descriptor, length, self._position)
        except OSError as error:
            self._error = error
            return b""
        self._position += len(data)
        return data

    def _on_seek(self, offset: int, whence: int) -> int:
        base = (0, self._position, self.size)[whence]
        self._position = max(0, base + offset)
        return self._position


class _Damage:
    """See :meth:`Feed.damage`."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        failure = self._feed.failure()
        if failure is not None:
            with host_errors("source", "reading the"):
                raise failure
        if isinstance(error, pyvips().Error):
            raise PermanentError("incomplete", f"The file is incomplete or damaged: {_first_line(error)}.") from error


def _first_line(error: BaseException) -> str:
    """The telling line of a libvips error: the first of its details, else its message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[min(1, len(lines) - 1)].rstrip(".") if lines else "the decoder gave up"


class Sink:
    """A target file behind an O_RDWR descriptor, written from its first byte and cut where the writing ended."""

    def __init__(self, descriptor: int, *, on_progress: Callable[[int], None] | None = None) -> None:
        self._descriptor = descriptor
        self._position = 0
        self._on_progress = on_progress
        self._error: BaseException | None = None
        self._target: Any = None  # as Feed's source
        os.ftruncate(descriptor, 0)

    def target(self) -> Any:
        """A libvips target that can be read and sought in, as TIFF needs."""
        target = pyvips().TargetCustom()
        target.on_write(self._on_write)
        target.on_read(self._on_read)
        target.on_seek(self._on_seek)
        self._target = target
        return target

    def failure(self) -> BaseException | None:
        """What really went wrong when libvips reports a failed write."""
        return self._error

    def _on_write(self, data: Any) -> int:
        view = memoryview(data)
        done = 0
        try:
            while done < len(view):
                done += os.pwrite(self._descriptor, view[done:], self._position + done)
            self._position += done
            if self._on_progress is not None:
                self._on_progress(self._position)
        except BaseException as error:
            self._error = self._error or error
            return -1
        return done

    def _on_read(self, length: int) -> bytes:
        try:
            data = os.pread(self._descriptor, length, self._position)
        except OSError as error:
            self._error = self._error or error
            return b""
        self._position += len(data)
        return data

    def _on_seek(self, offset: int, whence: int) -> int:
        base = (0, self._position, os.fstat(self._descriptor).st_size)[whence]
        self._position = base + offset
        return self._position


def strip_height(row_bytes: int) -> int:
    """How many rows make a strip of about 4 MiB; a multiple of 16 unless that is too many."""
    height = max(1, _STRIP_BYTES // max(1, row_bytes))
    return height if height < 16 else height // 16 * 16


def rows(image: Any) -> Iterator[tuple[int, Any]]:
    """The pixels of ``image`` from the top in strips: (first row, buffer of whole rows).

    The image is read strictly in order, so a sequential one streams. libvips errors come out as they are.
    """
    region = pyvips().Region.new(image)
    bytes_per_sample = 2 if image.format == "ushort" else 1
    height = strip_height(image.width * image.bands * bytes_per_sample)
    for top in range(0, image.height, height):
        yield top, region.fetch(0, top, image.width, min(height, image.height - top))
