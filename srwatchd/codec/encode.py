"""From a result raster to a staged file.

Measured on four Kodak pictures enlarged to 1536 x 1024, 8 bit RGB, one core (milliseconds, megabytes, PSNR in dB):

======================  =====  =====  ====    =========================  =====  =====  ====
PNG level, filter         ms     MB           other                        ms     MB   PSNR
======================  =====  =====  ====    =========================  =====  =====  ====
1, average                 29   3.14          JPEG 90, 4:2:0 / 4:4:4      5/8   .37/.44  42.6/43.9
2, average                 45   2.21          JPEG 92, 4:2:0 / 4:4:4      5/8   .41/.49  43.3/44.6
**3, average**             51   2.13          JPEG 95, 4:2:0 / 4:4:4      6/9   .52/.63  44.7/46.3
3, none / adaptive      74/86   3.47/2.18     TIFF LZW / deflate 6     67/106   2.49/2.30
6, average                114   2.07          WebP 90, effort 1 / 4    70/163   .30/.28  41.7/41.7
6, adaptive               151   2.13          AVIF 75, effort 0 / 3   107/857   .22/.20  41.0/41.4
======================  =====  =====  ====    =========================  =====  =====  ====

Hence the defaults: PNG level 3 with the average filter (level 6 takes twice the time for 3 %); JPEG quality 92, without
colour subsampling from 90 on (20 % larger, 1.3 dB better), baseline so that it streams; TIFF LZW with horizontal
predictor (read everywhere; 45 % smaller than without); WebP 90 at effort 2; AVIF 75 at effort 1; GIF at effort 3
(not measured itself: effort 1 takes 1.6 s, effort 7 takes 4.0 s for 7 % less).
PNG, JPEG and TIFF stream; WebP, AVIF and GIF hold the whole picture in memory (libvips and their libraries), of an
animation the frame at hand and what the ones before were compressed to.

Each page of a TIFF is written as a file of its own behind the one before and then chained to it, so every page may have
its own size, depth, profile and metadata.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from srwatchd.codec.carry import Carry, read_carries
from srwatchd.codec.delays import written_delays
from srwatchd.codec.formats import FORMATS, check_limits, stored_depth
from srwatchd.codec.icc import as_rgb, profile_fits
from srwatchd.codec.metadata import attach
from srwatchd.codec.picture import Page, PictureInfo, places, total_bytes
from srwatchd.codec.raster import map_raster, write_all
from srwatchd.codec.resize import resized
from srwatchd.codec.tiff import add_exif, chain_page, fitting_exif
from srwatchd.codec.vips import Sink, check_memory, pyvips, rows
from srwatchd.codec.webp import correct_exif
from srwatchd.errors import PermanentError
from srwatchd.storage import host_errors

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EncodeOptions", "encode"]

_INTERPRETATION: Final = {(1, 8): "b-w", (1, 16): "grey16", (3, 8): "srgb", (3, 16): "rgb16"}
_SUBSAMPLE_BELOW: Final = 90
_QUALITY: Final = {"jpeg": 92, "webp": 90, "avif": 75}
_BIGTIFF_FROM: Final = 4_000_000_000


@dataclass(frozen=True, slots=True)
class EncodeOptions:
    """How to write a result.

    ``quality`` (1 to 100: JPEG, WebP, AVIF; 100 is lossless WebP) and ``compression`` (PNG 0 to 9; TIFF 0 none, 1 to 9
    deflate) None for the defaults; ``metadata`` "keep", "strip" or "gps-stripped" ("strip" leaves profile and DPI);
    ``background`` is what alpha is flattened on where the format has none (8 bit RGB); ``size`` is the final width and
    height when it is not the raster's, ``sizes`` those of every page when they differ.
    """

    format: str
    quality: int | None = None
    compression: int | None = None
    metadata: str = "keep"
    background: tuple[int, int, int] = (255, 255, 255)
    size: tuple[int, int] | None = None
    sizes: tuple[tuple[int, int], ...] | None = None

    def final(self, number: int, raster: tuple[int, int]) -> tuple[int, int]:
        """The width and height of a page in the end."""
        return self.sizes[number] if self.sizes else self.size or raster

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> EncodeOptions:
        """The inverse of :meth:`to_dict`; raises KeyError, TypeError or ValueError for anything else."""
        size, sizes = data["size"], data.get("sizes")
        red, green, blue = data["background"]
        pair = None if size is None else (size[0], size[1])
        pairs = None if sizes is None else tuple((each[0], each[1]) for each in sizes)
        return cls(**{**data, "background": (red, green, blue), "size": pair, "sizes": pairs})


def encode(
    raster_fd: int,
    carry_fd: int,
    staged_fd: int,
    *,
    width: int,
    height: int,
    info: PictureInfo,
    output: EncodeOptions,
    on_progress: Callable[[int], None] | None = None,
) -> None:
    """Write the raster of ``width`` x ``height`` (channels, depth of ``info``) into ``staged_fd`` (O_RDWR, replaced).

    Of several pages these are those of the first one; the others are enlarged like it. 16 bit become 8 where the format
    has only those: round(value / 257). Frames of an animation that are resampled are first appended to the raster.
    ``on_progress(bytes written)`` is called as output is computed and written. Nothing is fsynced, no descriptor
    closed, no offset used.

    Raises PermanentError ``format_limit`` or ``cannot_encode``, TransientError ``out_of_memory``,
    HostError (``disk_full`` ...) when writing fails.
    """
    pages = [Page(width, height, info.channels, info.depth)]
    if info.further:
        pages = [page.enlarged(width // info.width) for page in info.pages]
    for number, page in enumerate(pages):
        check_limits(output.format, *output.final(number, (page.width, page.height)))
    target = _Target(staged_fd, output, on_progress)
    if len(pages) > 1 and FORMATS[output.format].several == "frames":
        target.write_frames(_frames(raster_fd, pages, output), next(read_carries(carry_fd), Carry()), len(pages))
        return
    carries = read_carries(carry_fd)
    sizes = [output.final(number, (page.width, page.height)) for number, page in enumerate(pages)]
    finals = [replace(page, width=size[0], height=size[1]) for page, size in zip(pages, sizes, strict=True)]
    big = total_bytes(finals) > _BIGTIFF_FROM
    for number, (page, begin) in enumerate(zip(pages, places(pages), strict=True)):
        pixels = map_raster(raster_fd, page.shape, page.depth, offset=begin)
        target.write_page(pixels, page, next(carries, Carry()), number, pages=len(pages), big=big)


class _Target:
    """The staged file."""

    def __init__(self, staged_fd: int, output: EncodeOptions, on_progress: Callable[[int], None] | None) -> None:
        self._descriptor, self._output, self._on_progress = staged_fd, output, on_progress
        self._at = self._link = 0

    def write_page(self, pixels: Any, page: Page, carry: Carry, number: int, *, pages: int, big: bool) -> None:
        """Write a page behind those before it; ``big`` for a TIFF of more than classic ones can address."""
        output = self._output
        size = output.final(number, (page.width, page.height))
        image = _prepared(pixels, page, output, size)
        told = self._saved(image, self._kept(carry, page), big=big)
        if output.format != "tiff":
            return
        gps = output.metadata == "keep"
        with host_errors("staging", "writing the result to"):
            if pages == 1 and told.exif:
                add_exif(self._descriptor, told.exif, width=size[0], height=size[1], gps=gps)
            elif pages > 1:
                exif = told.exif
                self._link, self._at = chain_page(
                    self._descriptor, self._at, self._link, exif, size=size, gps=gps, number=(number, pages)
                )

    def write_frames(self, pixels: Any, carry: Carry, count: int) -> None:
        """Write the frames of an animation, which lie one under another."""
        height, width, channels = pixels.shape
        page = Page(width, height // count, channels, pixels.itemsize * 8)
        image = _prepared(pixels, page, self._output, (width, height)).copy()
        kind = pyvips().GValue
        image.set_type(kind.gint_type, "page-height", page.height)
        delays = written_delays(carry.delays, count, self._output.format)
        image.set_type(kind.array_int_type, "delay", list(delays))
        image.set_type(kind.gint_type, "loop", carry.loop)
        self._saved(image, self._kept(carry, page), big=False)
        if self._output.format == "webp":
            with host_errors("staging", "writing the result to"):
                correct_exif(self._descriptor, height=page.height)

    def _kept(self, carry: Carry, page: Page) -> Carry:
        """What of the source's metadata goes along."""
        if self._output.metadata == "strip":
            carry = carry.only_colour()
        elif self._output.metadata == "gps-stripped":
            carry = carry.without_gps()
        exif = carry.exif if self._output.format == "tiff" else fitting_exif(carry.exif)
        return replace(carry, exif=exif, icc=_stored_profile(carry.icc, self._output.format, page))

    def _saved(self, image: Any, carry: Carry, *, big: bool) -> Carry:
        """Write an image, without its metadata if a library refuses that: it must not cost the picture. What was told.

        Raises PermanentError ``cannot_encode``, and what went wrong with the file itself.
        """
        for told in (carry, carry.only_looks()):
            error = self._tried(image, told, big=big)
            if error is None:
                return told
        message = str(error).strip().replace("\n", " ")
        raise PermanentError("cannot_encode", f"It cannot be written as {self._output.format}: {message}") from error

    def _tried(self, image: Any, told: Carry, *, big: bool) -> Exception | None:
        error: Exception | None = None
        with host_errors("staging", "writing the result to"):
            sink = Sink(self._descriptor, on_progress=self._on_progress, at=self._at)
        try:
            image = attach(image, told, gps=self._output.metadata == "keep")
            sink.follow(image)
            saver, options = _saver(self._output, image, big=big)
            getattr(image, saver)(sink.target(), **options)
        except pyvips().Error as caught:
            error = caught
        if (failure := sink.failure()) is not None:
            with host_errors("staging", "writing the result to"):
                raise failure from error
        if error is not None:
            check_memory(error)
        return error


def _stored_profile(icc: bytes, name: str, page: Page) -> bytes:
    """The profile for the values as format ``name`` stores them: a grey one becomes one for RGB where it has to."""
    stored = "grey" if page.channels < 3 and FORMATS[name].grey else "rgb"
    if stored == "rgb" and profile_fits(icc, "grey"):
        return as_rgb(icc)
    return icc if profile_fits(icc, stored) else b""


def _frames(raster_fd: int, pages: list[Page], output: EncodeOptions) -> Any:
    """The frames one under another, of their final size: the raster itself, or resampled ones appended to it."""
    first, count = pages[0], len(pages)
    size = output.final(0, (first.width, first.height))
    if size == (first.width, first.height):
        return map_raster(raster_fd, (first.height * count, first.width, first.channels), first.depth)
    final = replace(first, width=size[0], height=size[1])
    begin = at = total_bytes(pages)
    with host_errors("scratch", "writing pixels to"):
        os.ftruncate(raster_fd, begin)
        os.posix_fallocate(raster_fd, begin, count * final.raster_bytes)
    for offset in places(pages):
        stored = _image(map_raster(raster_fd, first.shape, first.depth, offset=offset), first)
        image = resized(stored, size, alpha=first.alpha, depth=first.depth)
        for _, _, strip in rows(image):
            with host_errors("scratch", "writing pixels to"):
                write_all(raster_fd, strip, at)
            at += len(strip)
    return map_raster(raster_fd, (final.height * count, final.width, final.channels), final.depth, offset=begin)


def _image(pixels: Any, page: Page) -> Any:
    """A raster as an image."""
    height, width, channels = pixels.shape
    flat = pixels.reshape(-1)
    image = pyvips().Image.new_from_memory(flat, width, height, channels, "ushort" if page.depth == 16 else "uchar")
    return image.copy(interpretation=_INTERPRETATION[channels - page.alpha, page.depth])


def _prepared(pixels: Any, page: Page, output: EncodeOptions, size: tuple[int, int]) -> Any:
    """The raster as an image of the final size, with the channels and the depth that the format can hold."""
    image = _image(pixels, page)
    if size != (image.width, image.height):
        image = resized(image, size, alpha=page.alpha, depth=page.depth)
    if page.alpha and not FORMATS[output.format].alpha:
        image = _flattened(image, page, output.background)
    if page.depth == 16 and stored_depth(output.format, 16) == 8:
        kind = _INTERPRETATION[page.channels - page.alpha, 8]
        image = (image / 257).rint().cast("uchar").copy(interpretation=kind)
    return image


def _flattened(image: Any, page: Page, background: tuple[int, int, int]) -> Any:
    """The image over ``background``; grey ones over its luma (ITU-R BT.601), rounded."""
    most = 65535 if page.depth == 16 else 255
    red, green, blue = (value * most / 255 for value in background)
    backdrop = [red, green, blue] if page.channels == 4 else [0.299 * red + 0.587 * green + 0.114 * blue]
    alpha = image[page.channels - 1] / most
    colour = image[: page.channels - 1]
    flat = colour * alpha + (1 - alpha) * backdrop
    return flat.rint().cast(image.format).copy(interpretation=image.interpretation)


def _saver(output: EncodeOptions, image: Any, *, big: bool) -> tuple[str, dict[str, Any]]:
    """Libvips' saver for a format and its options."""
    quality = output.quality or _QUALITY.get(output.format, 0)
    level = output.compression
    match output.format:
        case "png":
            bits = {"bitdepth": 16} if image.format == "ushort" else {}
            return "pngsave_target", {"compression": 3 if level is None else level, "filter": "avg", **bits}
        case "jpeg":
            mode = "off" if quality >= _SUBSAMPLE_BELOW else "on"
            return "jpegsave_target", {"Q": quality, "subsample_mode": mode}
        case "webp":
            lossless = {"lossless": True} if quality == 100 else {"Q": quality, "alpha_q": 100}
            return "webpsave_target", {"effort": 2, **lossless}
        case "tiff":
            return "tiffsave_target", {**_tiff_compression(level), "bigtiff": big}
        case "avif":
            depth = 12 if image.format == "ushort" else 8
            mode = "off" if quality >= _SUBSAMPLE_BELOW else "on"
            return "heifsave_target", {
                "compression": "av1", "Q": quality, "effort": 1, "bitdepth": depth, "subsample_mode": mode
            }  # fmt: skip
        case "gif":
            return "gifsave_target", {"effort": 3, "keep_duplicate_frames": True}
    raise PermanentError("cannot_encode", f"Nothing here writes {output.format}.")


def _tiff_compression(level: int | None) -> dict[str, Any]:
    if level is None:
        return {"compression": "lzw", "predictor": "horizontal"}
    if level == 0:
        return {"compression": "none"}
    return {"compression": "deflate", "level": level, "predictor": "horizontal"}
