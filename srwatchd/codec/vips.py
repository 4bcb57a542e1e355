"""The one boundary with libvips: bounded, quiet, through descriptors, and only the loaders that were asked for.

Sources are read with ``pread`` and targets written with ``pwrite`` by callbacks. So a descriptor's offset is neither
used nor moved, nothing is mapped (a source cut short under our hands raises and does not kill the process by SIGBUS),
an errno arrives as the errno it was, and no descriptor is ever closed here.
"""

from __future__ import annotations

import bisect
import functools
import importlib
import logging
import os
from typing import TYPE_CHECKING, Any, Final

from srwatchd.errors import PermanentError, TransientError
from srwatchd.storage import host_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from srwatchd.codec.structure import Edit

__all__ = ["Feed", "Sink", "check_memory", "pyvips", "rows", "strip_height"]

_STRIP_BYTES: Final = 1 << 18
_NEVER_TO_DISK: Final = "1000g"
"""What libvips does not stream (WebP) it would write to a file of its own from 100 MB on, which a worker may not."""
_LONGEST_LINE: Final = 200
_WINDOW_BYTES: Final = 64 << 10
_WHOLE_BYTES: Final = 4 << 20
"""Files up to here are read in one go: libvips asks for 4 KiB at a time, and a question costs more than its answer."""
_SHORTAGES: Final = ("out of memory", "insufficient memory", "failed to allocate", "cannot allocate", "no space for")
_LOADERS: Final[dict[str, str]] = {
    "jpeg": "jpegload",
    "png": "pngload",
    "webp": "webpload",
    "tiff": "tiffload",
    "avif": "heifload",
    "gif": "gifload",
}
_OPTIONS: Final[dict[str, dict[str, Any]]] = {"png": {"unlimited": True}, "gif": {"n": -1}, "webp": {"n": -1}}
"""All frames of an animation come as one tall image."""


@functools.cache
def pyvips() -> Any:
    """The pyvips module, set up once per process: one thread, no operation cache, untrusted loaders blocked.

    libvips' own warnings go to a logger that nobody listens to; what matters of them arrives as an error.
    """
    os.environ.setdefault("VIPS_CONCURRENCY", "1")
    os.environ["VIPS_DISC_THRESHOLD"] = _NEVER_TO_DISK
    logging.getLogger("pyvips").propagate = False
    import pyvips as module  # noqa: PLC0415 - heavy; loaded in workers only

    _tolerant_errors()
    module.concurrency_set(1)
    module.cache_set_max(0)
    module.cache_set_max_mem(0)
    module.cache_set_max_files(0)
    module.vips_lib.vips_block_untrusted_set(1)
    return module


def _tolerant_errors() -> None:
    """Let pyvips report errors that quote a file's bytes.

    As it is, a quoted byte that is no UTF-8 makes ``pyvips.Error`` fail before it empties the buffer of messages, and
    so every later operation, too: one hostile file would spoil the worker for all that follow.
    """
    errors: Any = importlib.import_module("pyvips.error")

    def text(message: Any) -> str:
        """A message of libvips as text, whatever bytes are in it."""
        return "" if message == errors.ffi.NULL else errors.ffi.string(message).decode("utf-8", "backslashreplace")

    errors._to_string = text  # noqa: SLF001 - there is no public way


class _Reader:
    """The callbacks of a source. They must not refer to it: such a cycle would keep each picture for a while.

    ``edits`` change what libvips sees of the file; offsets and sizes are then those of the edited file.
    """

    def __init__(self, descriptor: int, size: int, edits: Sequence[Edit] = ()) -> None:
        self._descriptor = descriptor
        self._pieces: list[tuple[int, int, bytes]] = []  # where each begins, its offset in the file, or its bytes
        at = begin = 0
        for edit in edits:
            self._pieces += [(at, begin, b""), (at + edit.offset - begin, 0, edit.replacement)]
            at += edit.offset - begin + len(edit.replacement)
            begin = edit.offset + edit.length
        self._pieces.append((at, begin, b""))
        self._size = at + size - begin
        self._position = 0
        self.error: OSError | None = None

    def read(self, length: int) -> bytes:
        """The next bytes, ``length`` at most; none at the end, and none after an error, which is kept."""
        number = bisect.bisect_right(self._pieces, self._position, key=lambda piece: piece[0]) - 1
        begin, offset, replacement = self._pieces[number]
        within = self._position - begin
        if number + 1 < len(self._pieces):
            length = min(length, self._pieces[number + 1][0] - self._position)
        try:
            if replacement:
                data = replacement[within : within + length]
            else:
                data = os.pread(self._descriptor, length, offset + within)
        except OSError as error:
            self.error = error
            return b""
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int) -> int:
        """The new position, never before the beginning; ``whence`` as in lseek(2)."""
        base = (0, self._position, self._size)[whence]
        self._position = max(0, base + offset)
        return self._position


class Feed:
    """A source file behind a descriptor, for libvips and for our own looks at its structure. ``size`` in bytes."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        with host_errors("source", "reading the"):
            self.size = os.fstat(descriptor).st_size
            self._whole = os.pread(descriptor, self.size, 0) if self.size <= _WHOLE_BYTES else None
        self._reader = _Reader(descriptor, self.size)
        self._window, self._window_at = b"", 0
        self._source: Any = None  # pyvips frees the callbacks with this object, libvips may still call them

    def read(self, length: int, offset: int) -> bytes:
        """Up to ``length`` bytes from ``offset``, fewer only at the end of the file; HostError when it fails.

        Small pieces come from a window, for a file may consist of a million of them.
        """
        if self._whole is not None:
            return self._whole[offset : offset + length]
        within = offset - self._window_at
        if within >= 0 and within + length <= len(self._window):
            return self._window[within : within + length]
        with host_errors("source", "reading the"):
            if length >= _WINDOW_BYTES:
                return os.pread(self._descriptor, length, offset)
            self._window, self._window_at = os.pread(self._descriptor, _WINDOW_BYTES, offset), offset
        return self._window[:length]

    def open(self, name: str, *, edits: Sequence[Edit] = (), fail_on: str = "warning", **options: Any) -> Any:
        """The header of a picture of format ``name`` as a sequential libvips image; a warning is an error by default.

        ``edits`` change what libvips sees, ``options`` are further ones of its loader. The image may be used until the
        next one is opened.
        """
        if edits:
            self._reader = _Reader(self._descriptor, self.size, edits)
        if self._whole is None or edits:
            load, given = getattr(pyvips().Image, f"{_LOADERS[name]}_source"), self._asking()
        else:
            load, given = getattr(pyvips().Image, f"{_LOADERS[name]}_buffer"), self._whole
        with self.damage():
            image = load(given, access="sequential", fail_on=fail_on, **{**_OPTIONS.get(name, {}), **options})
        return image  # noqa: RET504 - damage() raises, it never swallows

    def _asking(self) -> Any:
        """A source that libvips reads in pieces."""
        self._source = pyvips().SourceCustom()
        self._source.on_read(self._reader.read)
        self._source.on_seek(self._reader.seek)
        return self._source

    def again(self) -> Feed:
        """Another one of the same file, for another image of it."""
        return Feed(self._descriptor)

    def damage(self) -> _Damage:
        """A context in which a libvips error means a damaged file, or the failed read that really caused it."""
        return _Damage(self._reader)


class _Damage:
    """See :meth:`Feed.damage`."""

    def __init__(self, reader: _Reader) -> None:
        self._reader = reader

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        failure = self._reader.error
        if failure is not None:
            with host_errors("source", "reading the"):
                raise failure
        if isinstance(error, pyvips().Error):
            check_memory(error)
            raise PermanentError("incomplete", f"The file is incomplete or damaged: {_first_line(error)}.") from error


def check_memory(error: Exception) -> None:
    """Raise TransientError ``out_of_memory`` if that is what a libvips error is about."""
    text = str(error).lower()
    if any(shortage in text for shortage in _SHORTAGES):
        raise TransientError("out_of_memory", "The codec ran out of memory.") from error


def _first_line(error: BaseException) -> str:
    """The telling line of a libvips error: the first of its details, else its message; printable, not too long."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    line = lines[min(1, len(lines) - 1)].rstrip(".") if lines else "the decoder gave up"
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in line[:_LONGEST_LINE])


class Sink:
    """A target file behind an O_RDWR descriptor, written from offset ``at`` on, whatever was there before.

    For libvips the file begins there.
    """

    def __init__(self, descriptor: int, *, on_progress: Callable[[int], None] | None = None, at: int = 0) -> None:
        os.ftruncate(descriptor, at)
        self._writer = _Writer(descriptor, on_progress, at)
        self._target: Any = None  # as Feed's source

    def target(self) -> Any:
        """A libvips target that can be read and sought in, as TIFF needs."""
        self._target = pyvips().TargetCustom()
        self._target.on_write(self._writer.write)
        self._target.on_read(self._writer.read)
        self._target.on_seek(self._writer.seek)
        return self._target

    def follow(self, image: Any) -> None:
        """Take what libvips computes of ``image`` for progress, too: some encoders write nothing before the end."""
        image.set_progress(True)
        image.signal_connect("eval", self._writer.computed)

    def failure(self) -> BaseException | None:
        """What really went wrong when libvips reports a failed write."""
        return self._writer.error


class _Writer:
    """The callbacks of a target; like a :class:`_Reader` they do not refer to it."""

    def __init__(self, descriptor: int, on_progress: Callable[[int], None] | None, at: int) -> None:
        self._descriptor = descriptor
        self._on_progress = on_progress
        self._begin = self._position = at
        self.error: BaseException | None = None

    def write(self, data: Any) -> int:
        """All of ``data``, or -1 after an error, which is kept."""
        view = memoryview(data)
        done = 0
        try:
            while done < len(view):
                done += os.pwrite(self._descriptor, view[done:], self._position + done)
            self._position += done
            self._tell()
        except BaseException as error:  # noqa: BLE001 - must not cross libvips; the caller raises it again
            self.error = self.error or error
            return -1
        return done

    def computed(self, _image: Any, _progress: Any) -> None:
        """Tell that the encoder works, whether or not it has written anything."""
        try:
            self._tell()
        except BaseException as error:  # noqa: BLE001 - as above; the next write fails
            self.error = self.error or error

    def _tell(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self._position)

    def read(self, length: int) -> bytes:
        """What was written before, from the position on; none after an error, which is kept."""
        try:
            data = os.pread(self._descriptor, length, self._position)
        except OSError as error:
            self.error = self.error or error
            return b""
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int) -> int:
        """The new position, counted from where the file of libvips begins; ``whence`` as in lseek(2)."""
        base = (self._begin, self._position, os.fstat(self._descriptor).st_size)[whence]
        self._position = base + offset
        return self._position - self._begin


def strip_height(row_bytes: int) -> int:
    """How many rows make a strip of about 256 KiB; a multiple of 16 unless that is too many."""
    height = max(1, _STRIP_BYTES // max(1, row_bytes))
    return height if height < 16 else height // 16 * 16


def rows(image: Any) -> Iterator[tuple[int, int, Any]]:
    """The pixels of ``image`` from the top in strips: (page, first row in it, buffer of whole rows).

    Each page of an image that has several, one under another, begins with a strip of its own. The image is read
    strictly in order, so a sequential one streams. libvips errors come out as they are.
    """
    region = pyvips().Region.new(image)
    bytes_per_sample = 2 if image.format == "ushort" else 1
    height, page_height = strip_height(image.width * image.bands * bytes_per_sample), image.get_page_height()
    for begin in range(0, image.height, page_height):
        for top in range(0, page_height, height):
            yield begin // page_height, top, region.fetch(0, begin + top, image.width, min(height, page_height - top))
