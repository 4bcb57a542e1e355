"""Small pictures for the tests, made when needed: nothing binary is kept in the repository."""

from __future__ import annotations

import os
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from srwatchd.codec.vips import pyvips

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXIF_FIELDS = {
    "exif-ifd0-Make": "Kamera",
    "exif-ifd2-DateTimeOriginal": "2024:01:02 03:04:05",
    "exif-ifd3-GPSLatitude": "48/1 8/1 0/1",
}
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
    b'xmlns:exif="http://ns.adobe.com/exif/1.0/" tiff:Orientation="6" exif:GPSLatitude="48,8N">'
    b"<exif:GPSLongitude>11,34E</exif:GPSLongitude></rdf:Description></rdf:RDF></x:xmpmeta>"
)


def memory_file(content: bytes = b"") -> int:
    """An open, anonymous file with ``content``; the test closes it or leaves it to the process."""
    descriptor = os.memfd_create("picture")
    os.write(descriptor, content)
    return descriptor


def scene(width: int = 160, height: int = 120, channels: int = 3, *, depth: int = 8) -> NDArray[Any]:
    """A colourful scene: soft gradients, hard-edged discs, a little texture; no symmetry; soft alpha."""
    rows, columns = np.mgrid[0:height, 0:width]
    across, down = columns / max(1, width - 1), rows / max(1, height - 1)
    rng = np.random.default_rng(7)
    planes = [
        0.15 + 0.7 * across,
        0.8 - 0.6 * down,
        0.25 + 0.4 * across * down,
    ]
    for number in range(12):
        x, y, radius = rng.random(3)
        disc = (across - x) ** 2 + (down - y) ** 2 < (0.05 + 0.1 * radius) ** 2
        colour = rng.random(3)
        planes = [np.where(disc, colour[index], plane) for index, plane in enumerate(planes)]
        planes[number % 3] = planes[number % 3] + 0.01 * rng.standard_normal((height, width))
    if channels <= 2:
        planes = [sum(planes) / 3]
    if channels in (2, 4):
        planes.append(np.clip(1.4 - 1.2 * across, 0, 1))
    most = 65535 if depth == 16 else 255
    values = np.clip(np.stack(planes, 2), 0, 1) * most
    return values.round().astype(np.uint16 if depth == 16 else np.uint8)


def image(pixels: NDArray[Any]) -> Any:
    """A libvips image of pixels (height, width, channels) with the interpretation that fits."""
    deep = pixels.dtype == np.uint16
    grey = pixels.shape[2] < 3
    made = pyvips().Image.new_from_array(pixels)
    kind = ("grey16" if deep else "b-w") if grey else ("rgb16" if deep else "srgb")
    return made.copy(interpretation=kind)


def with_metadata(plain: Any, *, orientation: int = 1) -> Any:
    """A copy with EXIF, XMP, a Display P3 profile where it fits, 300 DPI and an orientation."""
    module = pyvips()
    made = plain.copy(xres=300 / 25.4, yres=300 / 25.4)
    for field, value in EXIF_FIELDS.items():
        made.set_type(module.GValue.gstr_type, field, value)
    made.set_type(module.GValue.gstr_type, "resolution-unit", "in")
    made.set_type(module.GValue.gint_type, "orientation", orientation)
    made.set_type(module.GValue.blob_type, "xmp-data", XMP)
    if plain.bands >= 3:
        made.set_type(module.GValue.blob_type, "icc-profile-data", module.Image.profile_load("p3"))
    return made


def encoded(picture: Any, name: str, **options: Any) -> bytes:
    """The file that libvips makes of an image."""
    defaults: dict[str, dict[str, Any]] = {
        "jpeg": {"Q": 95, "subsample_mode": "off"},
        "webp": {"lossless": True, "effort": 0},
        "tiff": {"compression": "lzw", "predictor": "horizontal"},
        "heif": {"compression": "av1", "effort": 0, "Q": 90},
    }
    saver = getattr(picture, f"{name}save_buffer")
    return bytes(saver(**{**defaults.get(name, {}), **options}))


def pages(name: str, **options: Any) -> bytes:
    """A file of two pages or frames."""
    module = pyvips()
    first = image(scene(40, 30))
    both = module.Image.arrayjoin([first, first.invert()], across=1).copy()
    both.set_type(module.GValue.gint_type, "page-height", 30)
    return encoded(both, name, **options)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_bomb(edge: int = 60_000) -> bytes:
    """A complete tiny PNG whose header promises ``edge`` squared pixels."""
    header = struct.pack(">IIBBBBB", edge, edge, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(b"\0" * 999))
    ) + png_chunk(b"IEND", b"")
