"""Every kind of picture that people have, small, with what has to come out of it."""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pictures

from srwatchd.codec.tiff import add_exif, chain_page
from srwatchd.codec.vips import pyvips

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
"""Red, green and blue of Adobe RGB (1998) as XYZ adapted to D50, from its specification's annex C."""
ADOBE_GAMMA = 563 / 256
WIDTH, HEIGHT = 96, 72


@dataclass(frozen=True)
class Document:
    """One file of several pages or frames. ``pages`` is what they show, ``delays`` and ``loop`` an animation's times.

    ``pages`` empty: it cannot be read as a whole and must be refused with the code ``target``.
    """

    name: str
    content: bytes
    pages: list[NDArray[Any]]
    target: str
    delays: tuple[int, ...] = ()
    loop: int = 0
    tolerance: float = 6.0
    dpi: float = 0.0


@dataclass(frozen=True)
class Case:
    """One file. ``pixels`` is what it shows, upright, full range of ``depth``; ``told`` that it has EXIF and the like.

    ``tolerance`` in levels of 255 is what the file's own coding and the enlarging may change on average.
    """

    name: str
    content: bytes
    pixels: NDArray[Any]
    target: str
    told: bool = False
    profile: bytes = b""
    tolerance: float = 5.0

    @property
    def depth(self) -> int:
        return 16 if self.pixels.dtype == np.uint16 else 8

    @property
    def channels(self) -> int:
        return int(self.pixels.shape[2])


def cases() -> list[Case]:
    """The whole set: format x depth x channels x orientation x profile, as far as formats go; no stem twice."""
    return [_named(case) for case in (*_jpegs(), *_pngs(), *_tiffs(), *_others(), *_turned(), *_coloured())]


def documents() -> list[Document]:
    """Files of several pages or frames: all of one kind, of different kinds, animations, and one that is refused."""
    colour = [scene(), np.ascontiguousarray(scene()[::-1]), 255 - scene()]
    deep = [scene(1, depth=16), np.ascontiguousarray(scene(1, depth=16)[:, ::-1])]
    mild = [_mild(), np.ascontiguousarray(_mild()[::-1])]
    cmyk = [pictures.image(each).icc_transform("cmyk", input_profile="srgb") for each in mild]
    mixed = [scene(1), scene()[:50], scene(4, depth=16)[:, :61], _coarse(scene(1), 1)[:33, :33]]
    moving = [_solid(np.roll(scene(4), 6 * number, 1)) for number in range(5)]
    times = (100, 40, 250, 70, 90)
    plain = [each[:, :, :3] for each in moving]
    return [
        Document("pages.tif", _document(map(pictures.image, colour)), colour, "tiff", dpi=300),
        Document("deep-pages.tif", _document(map(pictures.image, deep)), deep, "tiff", dpi=300),
        Document("cmyk-pages.tif", _document(cmyk), mild, "tiff", tolerance=10, dpi=300),
        Document("mixed-pages.tif", _document(map(pictures.image, mixed)), mixed, "tiff", dpi=300),
        Document("moving-gif.gif", animated(moving, "gif", times, loop=4), moving, "gif", times, 4, 14),
        Document("moving-plain.gif", animated(plain, "gif", times, loop=0), plain, "gif", times, 0, 12),
        Document("moving-webp.webp", animated(moving, "webp", times, loop=2), moving, "webp", times, 2, 9),
        Document("moving-png.png", apng(plain[:2]), [], "unsupported_content"),
    ]


def _solid(pixels: NDArray[Any]) -> NDArray[Any]:
    """Without half transparency, which a GIF does not have."""
    pixels[:, :, 3] = np.where(pixels[:, :, 3] > 127, 255, 0)
    return pixels


def animated(frames: list[NDArray[Any]], name: str, delays: tuple[int, ...], *, loop: int) -> bytes:
    """An animation of frames of one form."""
    made = pictures.image(np.concatenate(frames)).copy()
    kind = pyvips().GValue
    made.set_type(kind.gint_type, "page-height", frames[0].shape[0])
    made.set_type(kind.array_int_type, "delay", list(delays))
    made.set_type(kind.gint_type, "loop", loop)
    return pictures.encoded(made, name)


def _document(images: Iterable[Any]) -> bytes:
    """A TIFF with a page of each image, at 300 DPI."""
    descriptor = pictures.memory_file()
    made = [image.copy(xres=300 / 25.4, yres=300 / 25.4) for image in images]
    at = link = 0
    for number, image in enumerate(made):
        os.ftruncate(descriptor, at)
        os.pwrite(descriptor, pictures.encoded(image, "tiff", resunit="inch"), at)
        size = (image.width, image.height)
        link, at = chain_page(descriptor, at, link, b"", size=size, gps=True, number=(number, len(made)))
    content = os.pread(descriptor, at, 0)
    os.close(descriptor)
    return content


def apng(frames: list[NDArray[Any]]) -> bytes:
    """An animated PNG of RGB frames (PNG, third edition, 11.3.6)."""
    height, width, _ = frames[0].shape
    content = b"\x89PNG\r\n\x1a\n" + pictures.png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    content += pictures.png_chunk(b"acTL", struct.pack(">II", len(frames), 0))
    sequence = 0
    for number, frame in enumerate(frames):
        control = struct.pack(">IIIIIHHBB", sequence, width, height, 0, 0, 1, 10, 0, 0)
        content, sequence = content + pictures.png_chunk(b"fcTL", control), sequence + 1
        pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in frame))
        if number == 0:
            content += pictures.png_chunk(b"IDAT", pixels)
        else:
            content += pictures.png_chunk(b"fdAT", struct.pack(">I", sequence) + pixels)
            sequence += 1
    return content + pictures.png_chunk(b"IEND", b"")


def _named(case: Case) -> Case:
    stem, dot, suffix = case.name.rpartition(".")
    return replace(case, name=f"{stem}-{suffix}.{suffix}") if dot else case


def scene(channels: int = 3, *, depth: int = 8) -> NDArray[Any]:
    """The scene of all cases; hidden colours under a transparent part are the worst there are."""
    pixels = pictures.scene(WIDTH, HEIGHT, channels, depth=depth)
    if channels in (2, 4):
        white = np.iinfo(pixels.dtype).max
        rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
        disc = np.clip(30.5 - np.hypot(rows - HEIGHT / 2, columns - WIDTH / 2), 0, 1)
        pixels[:, :, -1] = (disc * white).round().astype(pixels.dtype)
        pixels[pixels[:, :, -1] == 0, :-1] = white
    return pixels


def _jpegs() -> list[Case]:
    colour, grey = scene(), scene(1)
    cmyk = pictures.image(_mild()).icc_transform("cmyk", input_profile="srgb")
    bare = cmyk.copy()
    bare.remove("icc-profile-data")
    subsampled = {"subsample_mode": "on"}
    return [
        Case("baseline.jpg", _made(colour, "jpeg"), colour, "jpeg"),
        Case("subsampled.jpg", _made(colour, "jpeg", **subsampled), colour, "jpeg", tolerance=9),
        Case("progressive.jpg", _made(colour, "jpeg", interlace=True), colour, "jpeg"),
        Case("restarts.jpg", _made(colour, "jpeg", restart_interval=2), colour, "jpeg"),
        Case("grey.jpg", _made(grey, "jpeg"), grey, "jpeg"),
        Case("cmyk.jpg", pictures.encoded(cmyk, "jpeg"), _mild(), "jpeg", tolerance=10),
        Case("cmyk-bare.jpg", pictures.encoded(bare, "jpeg"), _mild(), "jpeg", tolerance=10),
    ]


def _pngs() -> list[Case]:
    kinds = [(channels, depth) for channels in (1, 2, 3, 4) for depth in (8, 16)]
    plain = []
    for channels, depth in kinds:
        pixels = scene(channels, depth=depth)
        plain.append(Case(f"png-{channels}x{depth}.png", _made(pixels, "png"), pixels, "png"))
    colour, grey = scene(), scene(1)
    few = [
        Case(f"grey-{bits}bit.png", _made(_coarse(grey, bits), "png", bitdepth=bits), _coarse(grey, bits), "png")
        for bits in (1, 2, 4)
    ]
    palette = _made(colour, "png", palette=True, Q=100)
    return [
        *plain,
        *few,
        Case("palette.png", palette, colour, "png", tolerance=8),
        Case("interlaced.png", _made(colour, "png", interlace=True), colour, "png"),
        Case("no-extension", _made(colour, "png"), colour, "png"),
        Case("wrong-extension.jpg", _made(colour, "png"), colour, "png"),
    ]


def _tiffs() -> list[Case]:
    colour, deep, grey = scene(), scene(depth=16), scene(1)
    cmyk = pictures.image(_mild(16)).icc_transform("cmyk", input_profile="srgb", depth=16)
    lab = pictures.image(deep).colourspace("labs")
    black = _coarse(grey, 1)
    fax = _made(black, "tiff", compression="ccittfax4", bitdepth=1, predictor="none")
    return [
        Case("strips.tif", _made(colour, "tiff", compression="none", predictor="none"), colour, "tiff"),
        Case("lzw.tif", _made(colour, "tiff"), colour, "tiff"),
        Case("tiles.tif", _made(scene(4), "tiff", compression="deflate", tile=True, tile_width=32, tile_height=32),
             scene(4), "tiff"),
        Case("deep.tif", _made(deep, "tiff"), deep, "tiff"),
        Case("big.tif", _made(deep, "tiff", bigtiff=True), deep, "tiff"),
        Case("grey.tif", _made(grey, "tiff"), grey, "tiff"),
        Case("grey-deep.tif", _made(scene(1, depth=16), "tiff"), scene(1, depth=16), "tiff"),
        Case("jpeg.tif", _made(colour, "tiff", compression="jpeg", Q=95, predictor="none"), colour, "tiff"),
        Case("fax.tif", fax, black, "tiff"),
        Case("cmyk.tif", pictures.encoded(cmyk, "tiff"), _mild(16), "tiff", tolerance=10),
        Case("lab.tif", pictures.encoded(lab, "tiff"), deep, "tiff", tolerance=4),
    ]  # fmt: skip


def _others() -> list[Case]:
    colour, alpha = scene(), scene(4)
    solid = alpha.copy()
    solid[:, :, 3] = np.where(solid[:, :, 3] > 127, 255, 0)
    bgr = colour[:, :, ::-1]
    deep_jp2 = cv2.imencode(".jp2", np.ascontiguousarray(scene(depth=16)[:, :, ::-1]))[1].tobytes()
    return [
        Case("lossy.webp", _made(colour, "webp", lossless=False, Q=95), colour, "webp", tolerance=9),
        Case("lossless.webp", _made(colour, "webp"), colour, "webp"),
        Case("alpha.webp", _made(alpha, "webp", exact=True), alpha, "webp"),
        Case("plain.avif", _made(colour, "heif"), colour, "avif", tolerance=5),
        Case("alpha.avif", _made(alpha, "heif"), alpha, "avif", tolerance=6),
        Case("deep.avif", _made(scene(depth=16), "heif", bitdepth=12), scene(depth=16), "avif", tolerance=5),
        Case("still.gif", _made(colour, "gif"), colour, "png", tolerance=10),
        Case("solid.gif", _made(solid, "gif"), solid, "png", tolerance=12),
        Case("plain.bmp", cv2.imencode(".bmp", bgr)[1].tobytes(), colour, "png"),
        Case("grey.bmp", cv2.imencode(".bmp", scene(1))[1].tobytes(), scene(1), "png"),
        Case("plain.jp2", cv2.imencode(".jp2", bgr)[1].tobytes(), colour, "png"),
        Case("deep.jp2", deep_jp2, scene(depth=16), "png"),
    ]


def _turned() -> list[Case]:
    """All eight orientations, with everything that metadata can tell, in each format that has it."""
    p3 = bytes(pyvips().Image.profile_load("p3"))
    upright = scene()
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.swapaxes(0, 1),
        6: upright.swapaxes(0, 1)[::-1], 7: upright.swapaxes(0, 1)[::-1, ::-1], 8: upright.swapaxes(0, 1)[:, ::-1],
    }  # fmt: skip
    made = []
    for name, suffix, target in (("jpeg", "jpg", "jpeg"), ("png", "png", "png"), ("tiff", "tif", "tiff")):
        for orientation, pixels in stored.items():
            told = pictures.with_metadata(pictures.image(np.ascontiguousarray(pixels)), orientation=orientation)
            content = pictures.encoded(told, name)
            content = with_exif(content, pictures.encoded(told, "jpeg")) if name == "tiff" else content
            made.append(Case(f"turned-{orientation}.{suffix}", content, upright, target, told=True, profile=p3))
    told = pictures.with_metadata(pictures.image(np.ascontiguousarray(stored[6])), orientation=6)
    content = pictures.encoded(told, "webp")
    return [*made, Case("turned-6.webp", content, upright, "webp", told=True, profile=p3)]


def _coloured() -> list[Case]:
    """Profiles other than sRGB: the values stay, the profile goes along."""
    module = pyvips()
    p3 = bytes(module.Image.profile_load("p3"))
    adobe = matrix_profile(ADOBE_RGB, ADOBE_GAMMA)
    made = []
    for stem, profile in (("p3", p3), ("adobe", adobe)):
        for suffix, name, target in (("png", "png", "png"), ("tif", "tiff", "tiff"), ("webp", "webp", "webp")):
            content = pictures.encoded(tagged(scene(), profile), name)
            made.append(Case(f"{stem}.{suffix}", content, scene(), target, profile=profile))
        deep = scene(depth=16)
        made.append(
            Case(f"{stem}-16.png", pictures.encoded(tagged(deep, profile), "png"), deep, "png", profile=profile)
        )
    gamma = grey_profile(1.8)
    grey = pictures.encoded(tagged(scene(1), gamma), "png")
    return [*made, Case("grey-gamma.png", grey, scene(1), "png", profile=gamma)]


def with_exif(tiff: bytes, jpeg: bytes) -> bytes:
    """A TIFF file with the EXIF of a JPEG file, which libvips does not write."""
    descriptor = pictures.memory_file(tiff)
    exif = bytes(pyvips().Image.new_from_buffer(jpeg, "").get("exif-data"))
    add_exif(descriptor, exif, width=WIDTH, height=HEIGHT, gps=True)
    content = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    os.close(descriptor)
    return content


def tagged(pixels: NDArray[Any], profile: bytes) -> Any:
    """An image with a profile."""
    made = pictures.image(pixels).copy()
    made.set_type(pyvips().GValue.blob_type, "icc-profile-data", profile)
    return made


def matrix_profile(primaries: tuple[tuple[float, ...], ...], gamma: float) -> bytes:
    """An ICC version 2 display profile of three primaries (XYZ, D50) and one gamma for all."""
    parts = {b"rXYZ": _xyz(primaries[0]), b"gXYZ": _xyz(primaries[1]), b"bXYZ": _xyz(primaries[2])}
    parts |= {tag + b"TRC": _gamma(gamma) for tag in (b"r", b"g", b"b")}
    return _profile(b"RGB ", parts)


def grey_profile(gamma: float) -> bytes:
    """An ICC version 2 profile for grey of one gamma."""
    return _profile(b"GRAY", {b"kTRC": _gamma(gamma)})


def _profile(space: bytes, parts: dict[bytes, bytes]) -> bytes:
    white = (0.9642, 1.0, 0.8249)
    text = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78)
    parts = {b"desc": text, b"cprt": b"text" + bytes(4) + b"none\0", b"wtpt": _xyz(white), **parts}
    table, body, begin = b"", b"", 132 + 12 * len(parts)
    for tag, data in parts.items():
        table += struct.pack(">4sII", tag, begin + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">I4sI4s4s4s12s4s", begin + len(body), b"none", 0x02400000, b"mntr", space, b"XYZ ",
                       struct.pack(">6H", 2024, 1, 1, 0, 0, 0), b"acsp")  # fmt: skip
    return head.ljust(68, b"\0") + _xyz(white)[8:] + bytes(48) + struct.pack(">I", len(parts)) + table + body


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in values))


def _gamma(value: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(value * 256))


def _made(pixels: NDArray[Any], name: str, **options: Any) -> bytes:
    return pictures.encoded(pictures.image(pixels), name, **options)


def _coarse(grey: NDArray[Any], bits: int) -> NDArray[Any]:
    """Grey in as few steps as ``bits`` allow, over the full range; cut as libvips does when it saves them."""
    steps = grey >> (8 - bits)
    return (steps.astype(np.uint16) * 255 // ((1 << bits) - 1)).astype(np.uint8)


def _mild(depth: int = 8) -> NDArray[Any]:
    """The scene in colours that ink can show."""
    pixels = scene(depth=depth)
    return (pixels // 2 + np.iinfo(pixels.dtype).max // 4).astype(pixels.dtype)
