"""What must survive from a source besides its pixels, in a file of its own between decode and encode. Pure but I/O."""

from __future__ import annotations

import base64
import json
import os
import re
from dataclasses import asdict, dataclass, replace
from typing import Final

from srwatchd.storage import host_errors

__all__ = ["Carry", "read_carry", "write_carry"]

_MAGIC: Final = "srwatchd-carry-1"
_XMP_ORIENTATION: Final = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|>))\s*\d+")
_XMP_GPS: Final = re.compile(
    rb"\s+exif:GPS\w+\s*=\s*(?:\"[^\"]*\"|'[^']*')|<exif:(GPS\w+)\b[^>]*?(?:/>|>.*?</exif:\1\s*>)", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Carry:
    r"""Metadata of a source. Empty bytes stand for absent.

    ``exif`` starts with ``Exif\0\0`` and a TIFF header, ``icc`` is the profile that the raster's values are in (not
    necessarily the file's), ``dpi`` horizontal and vertical in dots per inch, None when the source does not say.
    """

    exif: bytes = b""
    xmp: bytes = b""
    iptc: bytes = b""
    icc: bytes = b""
    dpi: tuple[float, float] | None = None

    def upright(self) -> Carry:
        """The same with no trace of a rotation in its XMP; EXIF's is reset where it is written."""
        return replace(self, xmp=_XMP_ORIENTATION.sub(rb"\g<1>1", self.xmp))

    def without_gps(self) -> Carry:
        """The same without a position in its XMP; EXIF's is left out where it is written."""
        return replace(self, xmp=_XMP_GPS.sub(b"", self.xmp))

    def only_colour(self) -> Carry:
        """Nothing but the profile and the resolution: what "strip" leaves."""
        return Carry(icc=self.icc, dpi=self.dpi)

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
        dpi = fields.pop("dpi")
        blobs = {key: base64.b64decode(value) for key, value in fields.items()}
        return cls(**blobs, dpi=None if dpi is None else (float(dpi[0]), float(dpi[1])))


def write_carry(carry_fd: int, carry: Carry) -> None:
    """Replace the content of an open file by ``carry``. HostError when that fails."""
    data = memoryview(carry.to_bytes())
    with host_errors("scratch", "writing metadata to"):
        os.ftruncate(carry_fd, 0)
        offset = 0
        while offset < len(data):
            offset += os.pwrite(carry_fd, data[offset:], offset)


def read_carry(carry_fd: int) -> Carry:
    """What :func:`write_carry` wrote. HostError when reading fails."""
    with host_errors("scratch", "reading metadata from"):
        size = os.fstat(carry_fd).st_size
        data = b""
        while chunk := os.pread(carry_fd, size - len(data), len(data)):
            data += chunk
    return Carry.from_bytes(data)
