"""What must survive from a source besides its pixels, in a file of its own between decode and encode. Pure but I/O."""

from __future__ import annotations

import base64
import json
import os
import re
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

from srwatchd.storage import host_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Carry", "CarryWriter", "read_carries", "read_carry", "write_carry"]

_MAGIC: Final = "srwatchd-carry-1"
_CHUNK: Final = 1 << 20
_XMP_ORIENTATION: Final = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|>))\s*\d+")
_XMP_GPS: Final = re.compile(
    rb"\s+[\w.-]+:GPS\w+\s*=\s*(?:\"[^\"]*\"|'[^']*')|<([\w.-]+:GPS\w+)\b[^>]*?(?:/>|>.*?</\1\s*>)", re.DOTALL
)
_POSITION: Final = re.compile(rb"GPSL|\0", re.IGNORECASE)
"""A position in a form that is not understood, or an encoding (UTF-16) that may hide one."""


@dataclass(frozen=True, slots=True)
class Carry:
    r"""Metadata of a source. Empty bytes stand for absent.

    ``exif`` starts with ``Exif\0\0`` and a TIFF header, ``icc`` is the profile that the raster's values are in (not
    necessarily the file's), ``dpi`` horizontal and vertical in dots per inch, None when the source does not say. Of an
    animation ``delays`` says for how many milliseconds each frame is shown, and ``loop`` how often all are (0: for
    ever).
    """

    exif: bytes = b""
    xmp: bytes = b""
    iptc: bytes = b""
    icc: bytes = b""
    dpi: tuple[float, float] | None = None
    delays: tuple[int, ...] = ()
    loop: int = 0

    @property
    def size(self) -> int:
        """Bytes of its metadata."""
        return len(self.exif) + len(self.xmp) + len(self.iptc) + len(self.icc)

    def upright(self) -> Carry:
        """The same with no trace of a rotation in its XMP; EXIF's is reset where it is written."""
        return replace(self, xmp=_XMP_ORIENTATION.sub(rb"\g<1>1", self.xmp))

    def without_gps(self) -> Carry:
        """The same without a position in its XMP, or without XMP where a position cannot be taken out.

        EXIF's is left out where it is written.
        """
        xmp = _XMP_GPS.sub(b"", self.xmp)
        return replace(self, xmp=b"" if _POSITION.search(xmp) else xmp)

    def only_colour(self) -> Carry:
        """Nothing but the profile, the resolution and the times of an animation: what "strip" leaves."""
        return replace(self, exif=b"", xmp=b"", iptc=b"")

    def only_looks(self) -> Carry:
        """Nothing but the resolution and the times of an animation."""
        return replace(self.only_colour(), icc=b"")

    def to_bytes(self) -> bytes:
        """The self-describing form: one JSON object, bytes in base64."""
        fields = {
            key: base64.b64encode(value).decode() if isinstance(value, bytes) else value
            for key, value in asdict(self).items()
        }
        return json.dumps({"magic": _MAGIC, **fields}).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Carry:
        """The inverse of :meth:`to_bytes`; no bytes at all are an empty Carry. Raises ValueError for anything else."""
        if not data:
            return cls()
        fields = json.loads(data)
        if not isinstance(fields, dict) or fields.pop("magic", None) != _MAGIC:
            raise ValueError("not a carry file")
        dpi, delays, loop = fields.pop("dpi"), fields.pop("delays"), fields.pop("loop")
        blobs = {key: base64.b64decode(value) for key, value in fields.items()}
        resolution = None if dpi is None else (float(dpi[0]), float(dpi[1]))
        return cls(**blobs, dpi=resolution, delays=tuple(map(int, delays)), loop=int(loop))


class CarryWriter:
    """Replaces the content of an open file by a carry for each page, a line each. HostError when that fails."""

    def __init__(self, carry_fd: int) -> None:
        self._descriptor, self._offset = carry_fd, 0
        with host_errors("scratch", "writing metadata to"):
            os.ftruncate(carry_fd, 0)

    def add(self, carry: Carry) -> None:
        """Write the next page's."""
        data = memoryview(carry.to_bytes() + b"\n")
        with host_errors("scratch", "writing metadata to"):
            while data:
                done = os.pwrite(self._descriptor, data, self._offset)
                self._offset, data = self._offset + done, data[done:]


def write_carry(carry_fd: int, carry: Carry) -> None:
    """Replace the content of an open file by the carry of a single page. HostError when that fails."""
    CarryWriter(carry_fd).add(carry)


def read_carries(carry_fd: int) -> Iterator[Carry]:
    """What a :class:`CarryWriter` wrote, page by page. HostError when reading fails."""
    offset, rest = 0, b""
    while True:
        with host_errors("scratch", "reading metadata from"):
            data = os.pread(carry_fd, _CHUNK, offset)
        if not data:
            break
        offset += len(data)
        first, *lines = data.split(b"\n")
        for line in lines:
            yield Carry.from_bytes(rest + first)
            rest, first = b"", line
        rest += first
    if rest:
        yield Carry.from_bytes(rest)


def read_carry(carry_fd: int) -> Carry:
    """The first carry of :func:`read_carries`; an empty one from an empty file."""
    return next(read_carries(carry_fd), Carry())
