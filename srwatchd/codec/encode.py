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
PNG, JPEG and TIFF stream; WebP, AVIF and GIF hold the whole picture in memory (libvips and their libraries).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from srwatchd.codec.carry import Carry, read_carry
from srwatchd.codec.formats import FORMATS, check_limits, stored_depth
from srwatchd.codec.icc import as_rgb, profile_fits
from srwatchd.codec.metadata import attach
from srwatchd.codec.raster import map_raster
from srwatchd.codec.tiff import add_exif
from srwatchd.codec.vips import Sink, check_memory, pyvips
from srwatchd.errors import PermanentError
from srwatchd.storage import host_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from srwatchd.codec.picture import PictureInfo

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
    height when it is not the raster's.
    """

    format: str
    quality: int | None = None
    compression: int | None = None
    metadata: str = "keep"
    background: tuple[int, int, int] = (255, 255, 255)
    size: tuple[int, int] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> EncodeOptions:
        """The inverse of :meth:`to_dict`; raises KeyError, TypeError or ValueError for anything else."""
        size = data["size"]
        red, green, blue = data["background"]
        return cls(**{**data, "background": (red, green, blue), "size": None if size is None else (size[0], size[1])})


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

    16 bit become 8 where the format has only those: round(value / 257). ``on_progress(bytes written)`` is called as
    output is written. Nothing is fsynced, no descriptor closed, no offset used.

    Raises PermanentError ``format_limit`` or ``cannot_encode``, TransientError ``out_of_memory``,
    HostError (``disk_full`` ...) when writing fails.
    """
    final = output.size or (width, height)
    check_limits(output.format, *final)
    carry = read_carry(carry_fd)
    if output.metadata == "strip":
        carry = carry.only_colour()
    elif output.metadata == "gps-stripped":
        carry = carry.without_gps()
    gps = output.metadata == "keep"
    carry = replace(carry, icc=_stored_profile(carry.icc, output.format, info))
    pixels = map_raster(raster_fd, (height, width, info.channels), info.depth)
    for told in (carry, Carry(dpi=carry.dpi)):  # metadata that a library refuses must not cost the picture
        with host_errors("staging", "writing the result to"):
            sink = Sink(staged_fd, on_progress=on_progress)
        error = _saved(pixels, told, sink, info=info, output=output)
        if error is None:
            break
    else:
        message = str(error).strip().replace("\n", " ")
        raise PermanentError("cannot_encode", f"It cannot be written as {output.format}: {message}") from error
    if output.format == "tiff" and told.exif:
        with host_errors("staging", "writing the result to"):
            add_exif(staged_fd, told.exif, width=final[0], height=final[1], gps=gps)


def _saved(pixels: Any, carry: Carry, sink: Sink, *, info: PictureInfo, output: EncodeOptions) -> Exception | None:
    """Write pixels and metadata; what libvips had against it, or None. Raises what went wrong with the file itself."""
    error: Exception | None = None
    try:
        image = attach(_prepared(pixels, info, output), carry, gps=output.metadata == "keep")
        saver, options = _saver(output, image)
        getattr(image, saver)(sink.target(), **options)
    except pyvips().Error as caught:
        error = caught
    if (failure := sink.failure()) is not None:
        with host_errors("staging", "writing the result to"):
            raise failure from error
    if error is not None:
        check_memory(error)
    return error


def _stored_profile(icc: bytes, name: str, info: PictureInfo) -> bytes:
    """The profile for the values as format ``name`` stores them: a grey one becomes one for RGB where it has to."""
    stored = "grey" if info.channels < 3 and FORMATS[name].grey else "rgb"
    if stored == "rgb" and profile_fits(icc, "grey"):
        return as_rgb(icc)
    return icc if profile_fits(icc, stored) else b""


def _prepared(pixels: Any, info: PictureInfo, output: EncodeOptions) -> Any:
    """The raster as an image of the final size, with the channels and the depth that the format can hold."""
    height, width, channels = pixels.shape
    colour = channels - info.alpha
    flat = pixels.reshape(-1)
    image = pyvips().Image.new_from_memory(flat, width, height, channels, "ushort" if info.depth == 16 else "uchar")
    image = image.copy(interpretation=_INTERPRETATION[colour, info.depth])
    if output.size is not None and output.size != (width, height):
        image = _resized(image, info, output.size)
    if info.alpha and not FORMATS[output.format].alpha:
        image = _flattened(image, info, output.background)
    if info.depth == 16 and stored_depth(output.format, 16) == 8:
        image = (image / 257).rint().cast("uchar").copy(interpretation=_INTERPRETATION[colour, 8])
    return image


def _resized(image: Any, info: PictureInfo, size: tuple[int, int]) -> Any:
    """The image at exactly ``size`` (Lanczos 3), colours weighted by alpha."""
    across, down = size[0] / image.width, size[1] / image.height
    kind, samples = image.interpretation, image.format
    most = 65535 if info.depth == 16 else 255
    work = image.premultiply(max_alpha=most) if info.alpha else image
    work = work.resize(across, vscale=down, kernel="lanczos3")
    if info.alpha:
        work = work.unpremultiply(max_alpha=most)
    if (work.width, work.height) != size:
        work = work.gravity("north-west", *size, extend="copy")
    return work.rint().cast(samples).copy(interpretation=kind)


def _flattened(image: Any, info: PictureInfo, background: tuple[int, int, int]) -> Any:
    """The image over ``background``; grey ones over its luma (ITU-R BT.601), rounded."""
    most = 65535 if info.depth == 16 else 255
    red, green, blue = (value * most / 255 for value in background)
    backdrop = [red, green, blue] if info.channels == 4 else [0.299 * red + 0.587 * green + 0.114 * blue]
    alpha = image[info.channels - 1] / most
    colour = image[: info.channels - 1]
    flat = colour * alpha + (1 - alpha) * backdrop
    return flat.rint().cast(image.format).copy(interpretation=image.interpretation)


def _saver(output: EncodeOptions, image: Any) -> tuple[str, dict[str, Any]]:
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
            size = image.width * image.height * image.bands * (2 if image.format == "ushort" else 1)
            return "tiffsave_target", {**_tiff_compression(level), "bigtiff": size > _BIGTIFF_FROM}
        case "avif":
            depth = 12 if image.format == "ushort" else 8
            mode = "off" if quality >= _SUBSAMPLE_BELOW else "on"
            return "heifsave_target", {
                "compression": "av1", "Q": quality, "effort": 1, "bitdepth": depth, "subsample_mode": mode
            }  # fmt: skip
        case "gif":
            return "gifsave_target", {"effort": 3}
    raise PermanentError("cannot_encode", f"Nothing here writes {output.format}.")


def _tiff_compression(level: int | None) -> dict[str, Any]:
    if level is None:
        return {"compression": "lzw", "predictor": "horizontal"}
    if level == 0:
        return {"compression": "none"}
    return {"compression": "deflate", "level": level, "predictor": "horizontal"}
