from __future__ import annotations

import struct
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srwatchd.codec.formats import FORMATS
from srwatchd.codec.sniff import sniff


def tiff(*entries, order="<", make=b""):
    """A little TIFF whose first directory has `entries` of (tag, type, value)."""
    start = b"II*\0" if order == "<" else b"MM\0*"
    body = b"".join(
        struct.pack(f"{order}HHI", tag, kind, 1)
        + struct.pack(f"{order}I" if kind != 3 else f"{order}HH", *([value] if kind != 3 else [value, 0]))
        for tag, kind, value in entries
    )
    return start + struct.pack(f"{order}IH", 8, len(entries)) + body + make


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\xff\xd8\xff\xe0", "jpeg"),
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"GIF89a", "gif"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "webp"),
        (b"RIFF\x10\0\0\0WAVEfmt ", None),
        (b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", "bmp"),
        (b"BM, said the letter", None),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "jp2"),
        (b"\xff\x4f\xff\x51", "jp2"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf", "avif"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "avif"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "heic"),
        (b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom", "raw"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isomavc1", "video"),
        (b"8BPS\0\x01", "psd"),
        (b"%PDF-1.4", "pdf"),
        (b"junk\n%PDF-1.4", "pdf"),
        (b"<?xml version='1.0'?><svg xmlns=''>", "svg"),
        (b"P6\n3 2\n255\n", "pnm"),
        (b"II*\0\x10\0\0\0CR\x02\0", "raw"),
        (b"FUJIFILMCCD-RAW", "raw"),
        (b"IIU\0", "raw"),
        (tiff((0x100, 4, 9)), "tiff"),
        (tiff((0x100, 4, 9), order=">"), "tiff"),
        (tiff((0xC612, 4, 1)), "raw"),
        (tiff((0x106, 3, 32803)), "raw"),
        (tiff((0x106, 3, 32803), order=">"), "raw"),
        (tiff((0xFE, 4, 1), (0x10F, 2, 46), (0x14A, 4, 99), make=b"NIKON CORPORATION"), "raw"),
        (tiff((0xFE, 4, 1), (0x10F, 2, 46), (0x14A, 4, 99), make=b"Scanner"), "tiff"),
        (b"II*\0\xff\xff\xff\xff", "tiff"),
        (b"plain text", None),
        (b"", None),
    ],
)
def test_content_decides(head, name):
    """Every format is told by its first bytes."""
    assert sniff(head) == name


@given(
    st.binary(max_size=200), st.sampled_from([b"", b"II*\0", b"MM\0*", b"\0\0\0\x18ftyp", b"RIFF\0\0\0\0WEBP", b"BM"])
)
def test_any_bytes_are_answered(tail, start):
    """No content makes it fail, and every answer is a known format."""
    name = sniff(start + tail)
    assert name is None or name in FORMATS


def test_light_modules_stay_light():
    """The supervising process may import sniff, formats, picture and the package without numpy, OpenCV or libvips."""
    code = (
        "import sys, srwatchd.codec, srwatchd.codec.sniff, srwatchd.codec.formats, srwatchd.codec.picture;"
        "print(sorted({'numpy', 'cv2', 'pyvips'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
