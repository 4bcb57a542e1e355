"""Pictures to drop: photographs of a collection where there is one, made ones elsewhere."""

from __future__ import annotations

import hashlib
import itertools
import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyvips

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["FORMATS", "Picture", "decoded", "likeness", "made", "photographs", "resized", "thumbnail"]

Pixels = npt.NDArray[np.uint8]

FORMATS: Final = ("jpg", "png", "webp", "tif")
"""The extensions that a picture keeps on its way to a result (``output.format: same``)."""

_SAVE: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "jpg": (".jpg", {"Q": 90}),
    "png": (".png", {"compression": 1}),
    "webp": (".webp", {"Q": 90, "effort": 0}),
    "tif": (".tif", {"compression": "none"}),
}
_THUMB: Final = 8

pyvips.cache_set_max(0)


@dataclass(frozen=True, slots=True)
class Picture:
    """A source as it will be dropped: its bytes, its size in pixels, and what it looks like from afar."""

    data: bytes
    extension: str
    width: int
    height: int
    afar: Pixels

    @property
    def sha256(self) -> str:
        """The digest of its bytes."""
        return hashlib.sha256(self.data).hexdigest()


def made(rng: random.Random, *, width: int, height: int, extension: str = "png") -> Picture:
    """A colourful picture of soft shapes, unlike any other that this generator makes."""
    seed = np.random.default_rng(rng.getrandbits(64))
    coarse = seed.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    grown = _vips(coarse).resize(width / 4, vscale=height / 4, kernel="cubic").numpy().astype(np.int16)
    return _picture(np.clip(grown + seed.integers(-4, 5, grown.shape), 0, 255).astype(np.uint8), extension)


def photographs(
    folders: Sequence[Path], rng: random.Random, *, count: int, most: int, formats: Sequence[str] = FORMATS
) -> Iterator[Picture]:
    """``count`` different photographs, or parts of one, at most ``most`` pixels wide, of all ``formats`` in turn.

    Where ``folders`` hold none, pictures are made instead.
    """
    files = sorted(path for folder in folders if folder.is_dir() for path in folder.rglob("*") if _is_photo(path))
    rng.shuffle(files)
    turns = itertools.cycle(files) if files else itertools.repeat(None)
    for number, path in enumerate(itertools.islice(turns, count)):
        extension = formats[number % len(formats)]
        width, height = rng.randint(most // 8, most), rng.randint(most // 8, most * 3 // 4)
        if path is None:
            yield made(rng, width=width, height=height, extension=extension)
        else:
            photo = pyvips.Image.thumbnail(str(path), width, height=height, crop="centre", size="both")
            yield _picture(photo.colourspace("srgb").extract_band(0, n=3).numpy(), extension)


def resized(picture: Picture, *, width: int, height: int) -> Picture:
    """The same picture in exactly that size, cropped to fit."""
    image = pyvips.Image.thumbnail_buffer(picture.data, width, height=height, crop="centre", size="both")
    return _picture(image.numpy(), picture.extension)


def decoded(path: Path) -> Pixels:
    """Every pixel of the picture at ``path``; raises ``pyvips.Error`` when anything at all is wrong with the file."""
    image = pyvips.Image.new_from_buffer(path.read_bytes(), "", fail_on="warning", access="sequential")
    pixels: Pixels = image.colourspace("srgb").extract_band(0, n=3).numpy()
    return pixels


def thumbnail(pixels: Pixels) -> Pixels:
    """What a picture looks like from afar: the mean colours of an 8 by 8 grid."""
    small: Pixels = _vips(pixels).thumbnail_image(_THUMB, height=_THUMB, size="force").numpy()
    return small


def likeness(one: Pixels, other: Pixels) -> float:
    """The mean difference of two thumbnails in grey levels; below ten for a picture and its enlargement."""
    return float(np.abs(one.astype(np.int16) - other).mean())


def _picture(pixels: Pixels, extension: str) -> Picture:
    height, width = pixels.shape[:2]
    if extension == "bmp":
        data = _bmp(pixels)
    else:
        suffix, options = _SAVE[extension]
        data = bytes(_vips(pixels).write_to_buffer(suffix, strip=True, **options))
    return Picture(data, extension, width, height, thumbnail(pixels))


def _bmp(pixels: Pixels) -> bytes:
    """A 24-bit BMP, bottom row first, rows padded to four bytes (BITMAPINFOHEADER)."""
    height, width = pixels.shape[:2]
    padded = np.zeros((height, (width * 3 + 3) // 4 * 4), np.uint8)
    padded[:, : width * 3] = pixels[::-1, :, ::-1].reshape(height, width * 3)
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, padded.size, 2835, 2835, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + padded.size, 0, 0, 54) + header + padded.tobytes()


def _vips(pixels: Pixels) -> Any:
    return pyvips.Image.new_from_array(np.ascontiguousarray(pixels), interpretation="srgb")


def _is_photo(path: Path) -> bool:
    return path.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"} and os.path.isfile(path)
