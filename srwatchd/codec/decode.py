"""From a source file to an upright raster, or to the reason why not.

Everything that can be refused is refused from the header, before a pixel is decoded. Decoding streams: strips of about
1 MiB go from libvips to the raster file. Whole-picture buffers that formats force on their decoders (progressive JPEG,
interlaced PNG, WebP, AVIF, GIF, BMP, JPEG 2000) are estimated in :attr:`PictureInfo.decode_bytes` and bounded by
``max_decode_bytes``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from srwatchd.codec.carry import Carry, write_carry
from srwatchd.codec.colour import Layout, layout_of, to_raster
from srwatchd.codec.formats import FORMATS, check_decodable
from srwatchd.codec.metadata import collect
from srwatchd.codec.picture import PictureInfo
from srwatchd.codec.plain import inspect_plain, load_plain
from srwatchd.codec.raster import RasterWriter
from srwatchd.codec.sniff import HEAD_SIZE, sniff
from srwatchd.codec.structure import Edit, bmp_dpi, check_gif, check_jpeg, check_png, check_riff
from srwatchd.codec.tiff import check_tiff, exif_of
from srwatchd.codec.vips import Feed, rows, strip_height
from srwatchd.errors import PermanentError
from srwatchd.storage import WriteBehind, host_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["PictureInfo", "decode", "inspect", "stored_strips"]

_STREAMED_BYTES = 16 << 20
_STREAMED_ROWS = 640
"""Rows of the picture in the decoder, libvips' line caches and our strips, measured up to 24,000 pixels across."""
_TURNED_BYTES = 48 << 20
_PLAIN = ("bmp", "jp2")
_WHOLE = {"avif": 6.0, "gif": 3.0}
"""Bytes of memory per byte of a picture that is decoded as a whole: the decoder's, libvips' and a copy."""


@dataclass(frozen=True, slots=True)
class _Limits:
    """What may be decoded. ``look_only``: the header is enough, and must be cheap to read."""

    max_pixels: int
    max_decode_bytes: int | None
    look_only: bool = False

    def check(self, info: PictureInfo) -> None:
        """Raise PermanentError ``too_many_pixels`` or ``too_large_for_memory``."""
        size = f"{info.width} x {info.height} pixels"
        if info.pixels > self.max_pixels:
            raise PermanentError("too_many_pixels", f"It has {size}; the limit is {self.max_pixels} pixels.")
        if self.max_decode_bytes is not None and info.decode_bytes > self.max_decode_bytes:
            needed, allowed = info.decode_bytes >> 20, self.max_decode_bytes >> 20
            kind = FORMATS[info.format].title
            what = f"Decoding {size} of this kind of {kind} needs {needed} MiB; {allowed} are allowed."
            raise PermanentError("too_large_for_memory", what)


@dataclass(frozen=True, slots=True)
class _Opened:
    """A source whose header was read: ``image`` and its layout (None for BMP and JPEG 2000), orientation and info."""

    info: PictureInfo
    orientation: int
    image: Any = None
    layout: Layout | None = None


def inspect(source_fd: int, *, max_pixels: int | None = None) -> PictureInfo:
    """What the header of a source says, upright, without decoding pixels.

    With ``max_pixels`` more of them are refused (``too_many_pixels``), and memory stays bounded for every format: the
    alpha of a WebP is not looked for then.

    Raises PermanentError: ``empty``, ``not_a_picture``, ``unsupported_format`` (with a hint for its format),
    ``unsupported_content`` (several pages or frames, floating point, more channels) or ``incomplete`` (the structure
    does not reach its end); HostError when the file cannot be read. The descriptor's offset is not used.
    """
    limits = None if max_pixels is None else _Limits(max_pixels, None, look_only=True)
    return _open(Feed(source_fd), limits).info


def decode(
    source_fd: int,
    raster_fd: int,
    carry_fd: int,
    *,
    max_pixels: int,
    max_decode_bytes: int | None = None,
    icc: str = "keep",
    write_behind: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> PictureInfo:
    """Decode a source into ``raster_fd`` (replaced) and what must survive besides into ``carry_fd`` (replaced).

    The raster is as the package describes it: upright, C order, RGB or grey with alpha last and not premultiplied,
    uint8 or native uint16, all of its disk space reserved. With ``icc`` "srgb" values with a profile are converted and
    the profile is dropped. ``on_progress(rows done, rows)`` is called after each strip; after every ``write_behind``
    bytes the raster is sent to the disk, so that it does not fill the memory.

    Raises what :func:`inspect` raises, PermanentError ``too_many_pixels`` and ``too_large_for_memory`` before decoding,
    ``incomplete`` for anything that a decoder so much as warns of, and HostError (``disk_full`` ...) for the scratch
    files. No descriptor is closed and no offset is used.
    """
    feed = Feed(source_fd)
    opened = _open(feed, _Limits(max_pixels, max_decode_bytes))
    info = opened.info
    pixels = load_plain(feed, info) if opened.image is None else None
    if pixels is not None:
        depth = pixels.itemsize * 8
        info = replace(info, channels=pixels.shape[2], depth=depth)
        dpi = bmp_dpi(feed.read) if info.format == "bmp" else None
        carry, strips = Carry(dpi=dpi), _array_strips(pixels)
    else:
        carry, strips = _image_strips(feed, opened, icc)
    turned = opened.orientation >= 5
    height, width = (info.width, info.height) if turned else (info.height, info.width)
    with host_errors("scratch", "writing pixels to"):
        shape = (height, width, info.channels)
        behind = WriteBehind(raster_fd, write_behind)
        writer = RasterWriter(raster_fd, shape, depth=info.depth, orientation=opened.orientation, behind=behind)
        for top, data in strips:
            writer.write(top, data)
            if on_progress is not None:
                on_progress(min(height, top + strip_height(width * info.channels * info.depth // 8)), height)
        writer.finish()
    write_carry(carry_fd, carry)
    return info


def stored_strips(feed: Feed) -> tuple[PictureInfo, Iterator[tuple[int, Any]]]:
    """A file's info and its pixels in strips as a raster holds them, for comparing; damage raises ``incomplete``.

    For files without a rotation, as srwatchd writes them.
    """
    opened = _open(feed)
    return opened.info, _image_strips(feed, opened, "keep")[1]


def _image_strips(feed: Feed, opened: _Opened, icc: str) -> tuple[Carry, Iterator[tuple[int, Any]]]:
    with feed.damage():
        image, profile = to_raster(opened.image, opened.layout or layout_of(opened.image), icc=icc)
        carry = replace(collect(opened.image), icc=profile).upright()
    if opened.info.format == "tiff":
        carry = replace(carry, exif=exif_of(feed.read, feed.size))
    return carry, _guarded(feed, image)


def _guarded(feed: Feed, image: Any) -> Iterator[tuple[int, Any]]:
    strips = rows(image)
    while True:
        with feed.damage():
            strip = next(strips, None)
        if strip is None:
            return
        yield strip


def _array_strips(pixels: Any) -> Iterator[tuple[int, Any]]:
    height = strip_height(pixels[0].nbytes)
    for top in range(0, len(pixels), height):
        yield top, pixels[top : top + height].reshape(-1).view("uint8")


def _open(feed: Feed, limits: _Limits | None = None) -> _Opened:
    if feed.size == 0:
        raise PermanentError("empty", "The file is empty.")
    head = feed.read(HEAD_SIZE, 0)
    name = check_decodable(_known(head)).name
    if name in _PLAIN:
        plain = inspect_plain(feed, name)
        if limits is not None:
            limits.check(plain)
        return _Opened(plain, 1)
    if name == "webp" and limits is not None:  # libvips takes memory for the whole picture to read its header
        across, down = check_riff(feed.read, feed.size)
        looked_at = PictureInfo(across, down, 3, 8, name, sealed=False, decode_bytes=_webp_bytes(across, down))
        limits.check(looked_at)
        if limits.look_only:
            return _Opened(looked_at, 1)
    whole, edits = _check_structure(feed, name, head)
    image = feed.open(name, edits=edits)
    if image.get_typeof("n-pages") and image.get("n-pages") > 1:
        kind = "pages" if name == "tiff" else "frames"
        raise PermanentError(
            "unsupported_content", f"It has {image.get('n-pages')} {kind}; only single pictures are taken."
        )
    layout = layout_of(image)
    orientation = image.get("orientation") if image.get_typeof("orientation") else 1
    orientation = orientation if name != "avif" and 1 <= orientation <= 8 else 1
    turned = orientation >= 5
    width, height = (image.height, image.width) if turned else (image.width, image.height)
    needed = _decode_bytes(image, layout.depth, whole=whole) + (_TURNED_BYTES if turned else 0)
    if name == "webp":
        needed = _webp_bytes(image.width, image.height)
    info = PictureInfo(width, height, layout.channels, layout.depth, name, FORMATS[name].sealed, needed)
    if limits is not None:
        limits.check(info)
    return _Opened(info, orientation, image, layout)


def _known(head: bytes) -> str | None:
    """The format by content; a file of nothing but zeros is one whose content has not arrived."""
    name = sniff(head)
    if name is None and not head.strip(b"\x00"):
        raise PermanentError("incomplete", "The file begins with nothing but zeros: its content is missing.")
    return name


def _decode_bytes(image: Any, depth: int, *, whole: float) -> int:
    """The memory that decoding takes besides the raster: rows of what streams, ``whole`` times the rest."""
    row = int(image.width * image.bands * depth // 8)
    height = int(image.height)
    rows_held = _STREAMED_ROWS
    if image.get_typeof("tile-height"):  # a row of tiles at a time
        rows_held += 2 * min(height, int(image.get("tile-height")))
    if image.get_typeof("jpeg-chroma-subsample") and image.get("jpeg-chroma-subsample") == "4:2:0":
        whole /= 2
    return _STREAMED_BYTES + row * min(height, rows_held) + int(whole * row * height)


def _webp_bytes(width: int, height: int) -> int:
    """The same for WebP, with alpha or without."""
    return _STREAMED_BYTES + 17 * width * height


def _check_structure(feed: Feed, name: str, head: bytes) -> tuple[float, tuple[Edit, ...]]:
    """How many bytes per stored byte the decoder keeps in memory (0: it streams), and what it must read differently.

    Raises what the walks raise.
    """
    match name:
        case "jpeg":
            form = check_jpeg(feed.read)
            return 2.0 if form.progressive else 0.0, form.edits
        case "png":
            return 1.0 if check_png(feed.read) else 0.0, ()
        case "gif":
            check_gif(feed.read)
        case "avif" if head[8:12] == b"avis":
            raise PermanentError("unsupported_content", "It is an animated AVIF.")
        case "tiff":
            return 0.0, check_tiff(feed.read, feed.size)
    return _WHOLE.get(name, 0.0), ()
