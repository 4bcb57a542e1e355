"""Files as careless software writes them: whole pictures that a strict decoder would refuse."""

from __future__ import annotations

import importlib
import os
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from srwatchd.codec.decode import decode
from srwatchd.codec.encode import EncodeOptions, encode
from srwatchd.codec.verify import verify
from srwatchd.codec.vips import pyvips
from srwatchd.errors import PermanentError

sys.path.append(str(Path(__file__).parents[1] / "golden"))
import pictures

PIXELS = pictures.scene(64, 48)
JPEG = pictures.encoded(pictures.image(PIXELS), "jpeg")
PNG = pictures.encoded(pictures.image(PIXELS), "png")
TIFF = pictures.encoded(pictures.image(PIXELS), "tiff")
FIRST = 2 + 2 + struct.unpack(">H", JPEG[4:6])[0]
END = JPEG.rindex(b"\xff\xd9")


def scan_parameters():
    start = JPEG.index(b"\xff\xda")
    end = start + 2 + struct.unpack(">H", JPEG[start + 2 : start + 4])[0]
    return JPEG[: end - 3] + bytes(3) + JPEG[end:]


def chunk(kind, body):
    return PNG[:33] + pictures.png_chunk(kind, body) + PNG[33:]


def with_tag(*entry):
    """The TIFF with one more entry at the end of its directory."""
    (offset,) = struct.unpack("<I", TIFF[4:8])
    (count,) = struct.unpack_from("<H", TIFF, offset)
    entries = TIFF[offset + 2 : offset + 2 + 12 * count] + struct.pack("<HHII", *entry)
    padding = len(TIFF) % 2
    place = struct.pack("<I", len(TIFF) + padding)
    return TIFF[:4] + place + TIFF[8:] + bytes(padding) + struct.pack("<H", count + 1) + entries + bytes(4)


SLOPPY = {
    "stray bytes between segments": JPEG[:FIRST] + b"\0\0\x11" + JPEG[FIRST:],
    "scan parameters left at zero": scan_parameters(),
    "unknown version of JFIF": JPEG[:2] + b"\xff\xe0\0\x10JFIF\0\x02\x01" + bytes(7) + JPEG[2:],
    "padding before the end": JPEG[:END] + bytes(64) + JPEG[END:],
    "zeros after the end": JPEG + bytes(4096),
    "a second picture after the end": JPEG + JPEG,
    "a maker's trailer": JPEG + b"\0\0\x01\n\x0e\0\0\0Image_UTC_Data1234567890123SEFHe\0\0\0SEFT",
    "a video after the end": JPEG + b"\0\0\0\x18ftypmp42" + bytes(2000),
    "PNG text with a wrong checksum": PNG[:33] + pictures.png_chunk(b"tEXt", b"k\0v")[:-1] + b"?" + PNG[33:],
    "PNG with a senseless profile": chunk(b"iCCP", b"p\0\0" + zlib.compress(b"x" * 200)),
    "PNG with a senseless gamma": chunk(b"gAMA", b"\0"),
    "PNG and rubbish": PNG + b"rubbish",
    "TIFF with a private tag": with_tag(50000, 1, 1, 5),
    "TIFF out of order": with_tag(255, 3, 1, 1),
    "TIFF with an unknown type": with_tag(50000, 77, 1, 5),
    "TIFF text outside of the file": with_tag(305, 2, 1000, 99_999_999),
}


def opened(content):
    return [pictures.memory_file(part) for part in (content, b"", b"", b"")]


@pytest.mark.parametrize("name", SLOPPY)
def test_it_is_read(name):
    """A whole picture is decoded as every viewer shows it."""
    descriptors = opened(SLOPPY[name])
    info = decode(*descriptors[:3], max_pixels=99_999)
    found = np.frombuffer(os.pread(descriptors[1], info.raster_bytes, 0), np.uint8).reshape(PIXELS.shape)
    assert np.abs(found.astype(int) - PIXELS).mean() < 4
    for descriptor in descriptors:
        os.close(descriptor)


def test_metadata_that_a_library_refuses_costs_no_picture(monkeypatch):
    """A result is written without its metadata when it cannot be written with it."""
    source, raster, carry, staged = opened(pictures.encoded(pictures.with_metadata(pictures.image(PIXELS)), "jpeg"))
    info = decode(source, raster, carry, max_pixels=99_999)
    attach = importlib.import_module("srwatchd.codec.metadata").attach

    def refusing(image, told, *, gps):
        if told.exif:
            raise pyvips().Error("unable to write", "this metadata is no good")
        return attach(image, told, gps=gps)

    monkeypatch.setattr("srwatchd.codec.encode.attach", refusing)
    output = EncodeOptions("png")
    encode(raster, carry, staged, width=info.width, height=info.height, info=info, output=output)
    verify(staged, raster, info=info, width=info.width, height=info.height, output=output)
    monkeypatch.setattr(
        "srwatchd.codec.encode.attach", lambda *_, **__: refusing(None, type("Told", (), {"exif": 1}), gps=0)
    )
    with pytest.raises(PermanentError, match="no good"):
        encode(raster, carry, staged, width=info.width, height=info.height, info=info, output=output)
    for descriptor in (source, raster, carry, staged):
        os.close(descriptor)


def test_an_error_that_quotes_bytes_spoils_nothing():
    """A message with bytes that are no text becomes an error like any other, and the next picture is read."""
    pyvips()
    errors = importlib.import_module("pyvips.error")
    assert errors._to_string(errors.ffi.new("char[]", b"bad \xff byte")) == "bad \\xff byte"
    assert errors._to_string(errors.ffi.NULL) == ""
