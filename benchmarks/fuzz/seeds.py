"""The whole pictures that the mutations begin with: every format that is read, in its variants."""

from __future__ import annotations

import os
import struct
import zlib
from typing import Any

import cv2
import numpy as np

from srwatchd.codec.tiff import chain_page
from srwatchd.codec.vips import pyvips

__all__ = ["seeds"]

_SIZE = (96, 72)


def seeds() -> dict[str, bytes]:
    """Files by name; the name begins with the format."""
    colour, alpha = _image(_scene()), _image(np.dstack([_scene(), _scene()[:, :, 0]]))
    grey, deep = _image(_scene()[:, :, :1]), _image(_scene().astype(np.uint16) * 257)
    told = _told(colour)
    cmyk = colour.icc_transform("cmyk", input_profile="srgb")
    made = {
        "jpeg-plain": colour.jpegsave_buffer(Q=90),
        "jpeg-progressive": told.jpegsave_buffer(Q=85, interlace=True),
        "jpeg-restarts": colour.jpegsave_buffer(Q=80, restart_interval=4, optimize_coding=True),
        "jpeg-told": told.jpegsave_buffer(Q=95, subsample_mode="off"),
        "jpeg-grey": grey.jpegsave_buffer(),
        "jpeg-cmyk": cmyk.jpegsave_buffer(),
        "png-rgb": told.pngsave_buffer(),
        "png-rgba": alpha.pngsave_buffer(),
        "png-interlaced": alpha.pngsave_buffer(interlace=True),
        "png-palette": colour.pngsave_buffer(palette=True),
        "png-16": deep.pngsave_buffer(bitdepth=16),
        "png-1": grey.pngsave_buffer(bitdepth=1),
        "webp-lossy": told.webpsave_buffer(),
        "webp-lossless": colour.webpsave_buffer(lossless=True),
        "webp-alpha": alpha.webpsave_buffer(),
        "tiff-flat": told.tiffsave_buffer(),
        "tiff-lzw": colour.tiffsave_buffer(compression="lzw", predictor="horizontal"),
        "tiff-tiles": alpha.tiffsave_buffer(compression="deflate", tile=True, tile_width=32, tile_height=32),
        "tiff-jpeg": colour.tiffsave_buffer(compression="jpeg"),
        "tiff-fax": grey.tiffsave_buffer(compression="ccittfax4", bitdepth=1),
        "tiff-packbits": grey.tiffsave_buffer(compression="packbits"),
        "tiff-big": deep.tiffsave_buffer(bigtiff=True, compression="deflate"),
        "tiff-cmyk": cmyk.tiffsave_buffer(),
        "tiff-lab": colour.colourspace("labs").tiffsave_buffer(compression="lzw"),
        "avif-colour": told.heifsave_buffer(compression="av1", effort=0),
        "avif-alpha": alpha.heifsave_buffer(compression="av1", effort=0),
        "avif-deep": deep.heifsave_buffer(compression="av1", effort=0, bitdepth=12),
        "gif-still": colour.gifsave_buffer(),
        "gif-alpha": alpha.gifsave_buffer(interlace=True),
        "gif-frames": _frames(colour).gifsave_buffer(),
        "gif-sparse": _frames(alpha).gifsave_buffer(interlace=True),
        "webp-frames": _frames(alpha).webpsave_buffer(),
        "webp-frames-lossless": _frames(colour).webpsave_buffer(lossless=True),
        "tiff-pages": _frames(told).tiffsave_buffer(compression="lzw"),
        "tiff-mixed": _document([alpha, deep, grey, cmyk]),
        "tiff-pyramid": colour.tiffsave_buffer(pyramid=True, tile=True, tile_width=16, tile_height=16),
        "png-frames": _animated(colour.pngsave_buffer()),
        "bmp-24": cv2.imencode(".bmp", _scene())[1].tobytes(),
        "bmp-8": cv2.imencode(".bmp", _scene()[:, :, 0])[1].tobytes(),
        "jp2-colour": cv2.imencode(".jp2", _scene())[1].tobytes(),
        "jp2-deep": cv2.imencode(".jp2", _scene().astype(np.uint16) * 257)[1].tobytes(),
    }
    return {name: bytes(content) for name, content in made.items()}


def _scene() -> Any:
    """Gradients, a disc and a little noise."""
    width, height = _SIZE
    rows, columns = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(1).integers(0, 12, (height, width))
    disc = ((columns - 30) ** 2 + (rows - 40) ** 2 < height * 6) * 90
    planes = [columns * 2 + noise, rows * 2 + disc, 255 - columns - rows // 2]
    return np.clip(np.stack(planes, 2), 0, 255).astype(np.uint8)


def _image(pixels: Any) -> Any:
    deep, colours = pixels.dtype == np.uint16, pixels.shape[2]
    kind = "b-w" if colours == 1 else "rgb16" if deep else "srgb"
    return pyvips().Image.new_from_array(pixels).copy(interpretation=kind)


def _told(image: Any) -> Any:
    """A copy with EXIF, GPS, XMP, a profile and a rotation."""
    module = pyvips()
    made = image.copy(xres=11.8, yres=11.8)
    text, blob = module.GValue.gstr_type, module.GValue.blob_type
    for field, value in (("exif-ifd0-Make", "Maker"), ("exif-ifd3-GPSLatitude", "48/1 8/1 0/1")):
        made.set_type(text, field, value)
    made.set_type(module.GValue.gint_type, "orientation", 6)
    made.set_type(blob, "xmp-data", b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>")
    made.set_type(blob, "icc-profile-data", module.Image.profile_load("p3"))
    return made


def _frames(image: Any) -> Any:
    """Three pages or frames with times of their own; the second and the third are equal but for a corner."""
    module = pyvips()
    other = image.wrap(x=9)
    last = other.insert(image.crop(0, 0, 20, 10), 5, 5)
    made = module.Image.arrayjoin([image, other, last], across=1).copy()
    made.set_type(module.GValue.gint_type, "page-height", image.height)
    made.set_type(module.GValue.array_int_type, "delay", [100, 0, 33])
    made.set_type(module.GValue.gint_type, "loop", 2)
    return made


def _document(images: list[Any]) -> bytes:
    """A TIFF with a page of each image."""
    descriptor = os.memfd_create("document")
    at = link = 0
    for number, image in enumerate(images):
        os.ftruncate(descriptor, at)
        os.pwrite(descriptor, image.tiffsave_buffer(compression="deflate"), at)
        size = (image.width, image.height)
        link, at = chain_page(descriptor, at, link, b"", size=size, gps=True, number=(number, len(images)))
    content = os.pread(descriptor, at, 0)
    os.close(descriptor)
    return content


def _animated(png: bytes) -> bytes:
    """A PNG that says it has two frames, and has the second."""
    control = _chunk(b"acTL", struct.pack(">II", 2, 0))
    frames = [struct.pack(">IIIIIHHBB", number, *_SIZE, 0, 0, 1, 10, 0, 0) for number in (0, 1)]
    begin, end = png.index(b"IDAT") - 4, png.index(b"IEND") - 4
    pixels = png[begin + 8 : end - 4]
    more = _chunk(b"fcTL", frames[1]) + _chunk(b"fdAT", struct.pack(">I", 2) + pixels)
    return png[:33] + control + png[33:begin] + _chunk(b"fcTL", frames[0]) + png[begin:end] + more + png[end:]


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
