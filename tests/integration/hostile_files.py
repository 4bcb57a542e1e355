"""Files that mean harm, or were harmed: what the tests of hostile files drop into an inbox."""

from __future__ import annotations

import functools
import struct
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np

sys.path.append(str(Path(__file__).parents[1] / "golden"))
import pictures

from srwatchd.codec.vips import pyvips

SEALED = ("jpeg", "progressive", "png", "gif", "frames-gif")


@functools.cache
def whole() -> dict[str, bytes]:
    """One good file of each format."""
    made = pictures.image(pictures.scene(120, 90))
    files = {name: pictures.encoded(made, name) for name in ("jpeg", "png", "webp", "tiff", "gif")}
    files["progressive"] = pictures.encoded(made, "jpeg", interlace=True)
    files["flat-tiff"] = pictures.encoded(made, "tiff", compression="none", predictor="none")
    files["avif"] = pictures.encoded(made, "heif")
    files |= {"pages-tiff": pictures.pages("tiff"), "frames-gif": pictures.pages("gif")}
    files["frames-webp"] = pictures.pages("webp")
    files |= {name: cv2.imencode(f".{name}", pictures.scene(120, 90))[1].tobytes() for name in ("bmp", "jp2")}
    return files


@functools.cache
def cut() -> dict[str, bytes]:
    """Every format cut at every tenth."""
    return {
        f"cut-{tenth}-{name}": content[: len(content) * tenth // 10]
        for name, content in whole().items()
        for tenth in range(1, 10)
    }


@functools.cache
def zero_tails() -> dict[str, bytes]:
    """Formats that prove their own end, with zeros in place of the last part."""
    return {
        f"zeros-{tenth}-{name}": content[: len(content) * tenth // 10]
        + bytes(len(content) - len(content) * tenth // 10)
        for name, content in whole().items()
        if name in SEALED
        for tenth in (1, 5, 9)
    }


@functools.cache
def flipped() -> dict[str, bytes]:
    """Bytes changed here and there; some of these may still be pictures."""
    rng = np.random.default_rng(3)
    made = {}
    for name, content in whole().items():
        for number in range(4):
            data = bytearray(content)
            for place in rng.integers(0, len(data), 3):
                data[place] ^= int(rng.integers(1, 256))
            made[f"flipped-{number}-{name}"] = bytes(data)
    return made


@functools.cache
def refused() -> dict[str, tuple[bytes, str]]:
    """Files that must end in the error folder, with the code that says why."""
    png = _png
    jpeg = whole()["jpeg"]
    huge = struct.pack(">HH", 60000, 60000)
    frame = jpeg.index(b"\xff\xc0")
    return {
        "empty.jpg": (b"", "empty"),
        "zeros.png": (bytes(5000), "incomplete"),
        "words.jpg": (b"not a picture at all\n" * 40, "not_a_picture"),
        "bomb.png": (pictures.png_bomb(), "too_many_pixels"),
        "bomb.jpg": (jpeg[: frame + 5] + huge + jpeg[frame + 9 :], "too_many_pixels"),
        "bomb.gif": (b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\0\0\0" + _gif_picture(65535), "too_many_pixels"),
        "bomb.bmp": (_bmp(50000), "too_many_pixels"),
        "bomb.webp": (_webp(16383), "too_many_pixels"),
        "bomb.tif": (_tiff(60000), "too_many_pixels"),
        "million-segments.jpg": (jpeg[:2] + b"\xff\x01" * 2_100_000 + jpeg[2:], "unsupported_content"),
        "metadata.jpg": (jpeg[:2] + (b"\xff\xe2\xff\xff" + bytes(65533)) * 1100 + jpeg[2:], "unsupported_content"),
        "scans.jpg": (_scans(600), "unsupported_content"),
        "collection.avif": (pictures.pages("heif"), "unsupported_content"),
        "million-frames.gif": (_frames_gif(1_000_000, 1), "unsupported_content"),
        "huge-frames.gif": (_frames_gif(9000, 5000), "too_many_pixels"),
        "huge-frame.gif": (_frames_gif(2, 9, claimed=60000), "too_many_pixels"),
        "million-frames.webp": (_frames_webp(1_000_000, 1), "unsupported_content"),
        "huge-frames.webp": (_frames_webp(9000, 5000), "too_many_pixels"),
        "outside.webp": (_frames_webp(2, 9, claimed=5000), "incomplete"),
        "shared.tif": (_shared_tiff(900, 600), "too_many_pixels"),
        "moving.png": (png(pictures.png_chunk(b"acTL", struct.pack(">II", 2, 0))), "unsupported_content"),
        "document.pdf": (b"%PDF-1.7\n" + bytes(2000), "unsupported_format"),
        "photo.heic": (b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + bytes(500), "unsupported_format"),
        "layers.psd": (b"8BPS\0\x01" + bytes(500), "unsupported_format"),
        "drawing.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
                        "unsupported_format"),
        "loop.tif": (_looping_tiff(), "incomplete"),
        "chain.tif": (_chained_tiff(5000), "unsupported_content"),
    }  # fmt: skip


@functools.cache
def accepted() -> dict[str, bytes]:
    """Odd files that are whole pictures all the same."""
    jpeg, one = whole()["jpeg"], pictures.image(pictures.scene(1, 1))
    tall = pictures.image(np.repeat(pictures.scene(1, 200), 100, 0))
    text = pictures.png_chunk(b"tEXt", b"k\0v")
    inflated = pictures.png_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(50_000_000), 9))
    profile = pictures.png_chunk(
        b"iCCP", b"p\0\0" + zlib.compress(struct.pack(">I", 50_000_000) + bytes(50_000_000), 9)
    )
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHII", 2, 0x8769, 4, 1, 8) + bytes(60_000)
    recursive = pictures.encoded(_tagged(_recursive_profile()), "png")
    return {
        "pages.tif": pictures.pages("tiff"),
        "moving.gif": pictures.pages("gif"),
        "moving.webp": pictures.pages("webp"),
        "one.png": pictures.encoded(one, "png"),
        "tall.png": pictures.encoded(tall, "png"),
        "million.png": _png(text * 1_000_000),
        "inflated.png": _png(inflated * 3),
        "profile.png": _png(profile),
        "recursive.png": recursive,
        "exif.jpg": jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:],
        "inflating.tif": _tiff(50, strip=zlib.compress(bytes(50_000_000), 9), compression=8),
        "trailer.jpg": jpeg + jpeg + b"SEFHe\0\0\0SEFT",
        "stray.jpg": jpeg[:2] + b"\xff\xfe\0\x02\0\0\x11" + jpeg[2:],
        "picture.txt": jpeg,
        "no extension": jpeg,
    }


def _png(extra: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", 12, 9, 8, 2, 0, 0, 0)
    rows = b"".join(b"\0" + bytes(range(row, row + 36)) for row in range(9))
    chunk = pictures.png_chunk
    parts = (chunk(b"IHDR", header), extra, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _gif_picture(edge: int) -> bytes:
    table = bytes([0, 0, 0, 255, 255, 255])
    return b"\x2c" + struct.pack("<HHHHB", 0, 0, edge, edge, 0x80) + table + b"\x02\x02\x44\x01\0\x3b"


def _frames_gif(count: int, edge: int, *, claimed: int = 0) -> bytes:
    """An animation of ``count`` frames on a square screen; the frames may claim to be larger than it."""
    return b"GIF89a" + struct.pack("<HH", edge, edge) + b"\0\0\0" + _gif_picture(claimed or edge)[:-1] * count + b"\x3b"


def _frames_webp(count: int, edge: int, *, claimed: int = 0) -> bytes:
    """The same as a WebP, its frames without pixels."""
    claimed = claimed or edge
    size = (claimed - 1).to_bytes(3, "little") * 2
    frame = b"ANMF" + struct.pack("<I", 16) + bytes(6) + size + bytes(4)
    canvas = (edge - 1).to_bytes(3, "little") * 2
    body = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + canvas + b"ANIM" + struct.pack("<I", 6) + bytes(6)
    return b"RIFF" + struct.pack("<I", len(body) + len(frame) * count + 4) + b"WEBP" + body + frame * count


def _shared_tiff(count: int, edge: int) -> bytes:
    """A TIFF of many pages that all show the same strip."""
    strip = zlib.compress(bytes(edge * edge), 9)
    content = bytearray(_tiff(edge, strip=strip, compression=8, following=0))
    page = bytes(content[8:200]).rstrip(b"\0").ljust(2 + 9 * 12, b"\0")
    base = len(content) + len(content) % 2
    content += bytes(base - len(content))
    content[8 + len(page) : 12 + len(page)] = struct.pack("<I", base)
    for number in range(1, count):
        following = base + number * (len(page) + 4) if number + 1 < count else 0
        content += page + struct.pack("<I", following)
    return bytes(content)


def _bmp(edge: int) -> bytes:
    return b"BM" + struct.pack("<IIIIiiHHI", 0, 0, 54, 40, edge, edge, 1, 8, 1) + bytes(400)


def _webp(edge: int) -> bytes:
    bits = (edge - 1) | (edge - 1) << 14
    body = b"VP8L" + struct.pack("<I", 20) + b"\x2f" + struct.pack("<I", bits) + bytes(15)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _tiff(edge: int, *, strip: bytes = bytes(100), compression: int = 1, following: int = 0) -> bytes:
    """A TIFF of one strip whose header promises ``edge`` squared grey pixels."""
    entries = [(256, edge), (257, edge), (258, 8), (259, compression), (262, 1), (273, 200), (277, 1), (278, edge),
               (279, len(strip))]  # fmt: skip
    directory = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries
    )
    return (b"II*\0\x08\0\0\0" + directory + struct.pack("<I", following)).ljust(200, b"\0") + strip


def _looping_tiff() -> bytes:
    """Its directory follows itself, and its strip is cut."""
    return _tiff(50, following=8)


def _chained_tiff(count: int) -> bytes:
    """Many directories, one after the other."""
    first = _tiff(8)
    base = len(first) + len(first) % 2
    links = b"".join(
        struct.pack("<HHHIII", 1, 256, 4, 1, 8, base + (number + 1) * 18 if number + 1 < count else 0)
        for number in range(count)
    )
    return _tiff(8, following=base).ljust(base, b"\0") + links


def _scans(count: int) -> bytes:
    """A progressive JPEG with one of its scans many times."""
    content = whole()["progressive"]
    start = content.index(b"\xff\xda")
    end = (
        content.index(b"\xff\xc4", start + 2)
        if b"\xff\xc4" in content[start + 2 :]
        else content.index(b"\xff\xda", start + 2)
    )
    return content[:end] + content[start:end] * count + content[end:]


def _tagged(profile: bytes):
    made = pictures.image(pictures.scene(40, 30)).copy()
    made.set_type(pyvips().GValue.blob_type, "icc-profile-data", profile)
    return made


def _recursive_profile() -> bytes:
    """A profile whose tags all lie in its own table of tags."""
    head = struct.pack(">I4sI4s4s4s", 400, b"none", 0x02400000, b"mntr", b"RGB ", b"XYZ ").ljust(36, b"\0") + b"acsp"
    table = b"".join(
        struct.pack(">4sII", tag, 128, 200) for tag in (b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC")
    )
    return (head.ljust(128, b"\0") + struct.pack(">I", 6) + table).ljust(400, b"\0")
