"""From a source file to what its headers say, and to how each of its pages is opened.

Everything that can be refused is refused here, before a pixel is decoded. A TIFF of several pages is shown to libvips
page by page, as if each were a file of its own; the frames of an animation come composed, one under another, as one
image. Buffers for whole pictures that formats force on their decoders (progressive JPEG, interlaced PNG, WebP, AVIF,
GIF, BMP, JPEG 2000) are estimated in :attr:`PictureInfo.decode_bytes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from srwatchd.codec.colour import Layout, layout_of
from srwatchd.codec.formats import FORMATS, check_decodable
from srwatchd.codec.picture import Page, PictureInfo
from srwatchd.codec.plain import inspect_plain
from srwatchd.codec.sniff import HEAD_SIZE, sniff
from srwatchd.codec.structure import Edit, check_gif, check_jpeg, check_png, has_box, incomplete
from srwatchd.codec.tiff import TiffPage, check_tiff
from srwatchd.codec.webp import check_webp
from srwatchd.errors import PermanentError

if TYPE_CHECKING:
    from srwatchd.codec.vips import Feed

__all__ = ["Limits", "OpenPage", "Opened", "open_first", "open_page", "open_source"]

_STREAMED_BYTES: Final = 16 << 20
_STREAMED_ROWS: Final = 640
"""Rows of the picture in the decoder, libvips' line caches and our strips, measured up to 24,000 pixels across."""
_TURNED_BYTES: Final = 48 << 20
_PLAIN: Final = ("bmp", "jp2")
_WHOLE: Final = {"avif": 6.0, "gif": 3.0}
"""Bytes of memory per byte of a picture that is decoded as a whole: the decoder's, libvips' and a copy."""
_WEBP_PIXEL: Final = 17
_GIF_PIXEL: Final = 9
"""The same per pixel, with alpha or without; of an animation, of a frame."""
_TURNED: Final = 5
_SPLIT: Final = "Save its pictures as single files and drop those."


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be decoded. ``look_only``: the header is enough, and must be cheap to read."""

    max_pixels: int
    max_decode_bytes: int | None
    look_only: bool = False

    def check(self, info: PictureInfo) -> None:
        """Raise PermanentError ``too_many_pixels`` or ``too_large_for_memory``."""
        size = f"{info.width} x {info.height} pixels"
        if info.pixels > self.max_pixels:
            several = f", {info.count} {FORMATS[info.format].several} of {info.pixels} in all" if info.further else ""
            raise PermanentError("too_many_pixels", f"It has {size}{several}; the limit is {self.max_pixels} pixels.")
        if self.max_decode_bytes is not None and info.decode_bytes > self.max_decode_bytes:
            needed, allowed = info.decode_bytes >> 20, self.max_decode_bytes >> 20
            kind = FORMATS[info.format].title
            what = f"Decoding {size} of this kind of {kind} needs {needed} MiB; {allowed} are allowed."
            raise PermanentError("too_large_for_memory", what)


@dataclass(frozen=True, slots=True)
class OpenPage:
    """A page whose header was read: ``image`` and its layout, orientation (1 to 8), and its form, upright.

    The image of an animation holds all frames, one under another, each of ``form``. ``edits`` it was opened with.
    """

    image: Any
    layout: Layout
    orientation: int
    form: Page
    decode_bytes: int
    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True, slots=True)
class Opened:
    """A source whose headers were read. ``page`` is its only one, or its frames; None for BMP and JPEG 2000.

    ``sheets`` are the pages of a TIFF of several, each to be opened by :func:`open_page` in its turn.
    """

    info: PictureInfo
    page: OpenPage | None = None
    sheets: tuple[TiffPage, ...] = ()


def open_source(feed: Feed, limits: Limits | None = None) -> Opened:
    """Read the headers of a source; raises what :func:`srwatchd.codec.decode.inspect` raises."""
    if feed.size == 0:
        raise PermanentError("empty", "The file is empty.")
    head = feed.read(HEAD_SIZE, 0)
    name = check_decodable(_known(head)).name
    match name:
        case "bmp" | "jp2":
            opened = Opened(inspect_plain(feed, name))
        case "tiff":
            opened = _open_tiff(feed, check_tiff(feed.read, feed.size))
        case "gif" | "webp":
            opened = _open_frames(feed, name, limits)
        case _:
            whole, edits = _structure(feed, name, head)
            page = open_page(feed, name, edits, whole=whole)
            opened = Opened(_info(name, [page.form], page.decode_bytes), page)
    if limits is not None:
        limits.check(opened.info)
    return opened


def open_first(feed: Feed, limits: Limits) -> Opened:
    """The first page or frame of a source alone; pages and frames behind it are not opened.

    Raises what :func:`open_source` raises, of the first page.
    """
    name = sniff(feed.read(HEAD_SIZE, 0))
    if name == "tiff":
        sheet = check_tiff(feed.read, feed.size)[0]
        page = open_page(feed, name, sheet.edits)
        opened = Opened(_info(name, [page.form], page.decode_bytes), page)
    elif name in ("gif", "webp"):
        opened = _open_frames(feed, name, limits, only_first=True)
    else:
        return open_source(feed, limits)
    limits.check(opened.info)
    return opened


def open_page(feed: Feed, name: str, edits: tuple[Edit, ...] = (), *, whole: float = 0.0, **options: Any) -> OpenPage:
    """Open one page of a source, or all frames; ``whole`` is what its decoder holds of it, times its bytes."""
    image = feed.open(name, edits=edits, **options)
    if name not in ("gif", "webp") and image.get_typeof("n-pages") and image.get("n-pages") > 1:
        raise PermanentError(
            "unsupported_content", f"It is a collection of {image.get('n-pages')} pictures.", hint=_SPLIT
        )
    layout = layout_of(image)
    orientation = image.get("orientation") if image.get_typeof("orientation") else 1
    orientation = orientation if name != "avif" and 1 <= orientation <= 8 else 1
    width, height = image.width, image.get_page_height()
    turned = orientation >= _TURNED
    needed = _decode_bytes(image, layout.depth, height, whole=whole) + (_TURNED_BYTES if turned else 0)
    width, height = (height, width) if turned else (width, height)
    return OpenPage(image, layout, orientation, Page(width, height, layout.channels, layout.depth), needed, edits)


def _info(name: str, pages: list[Page], decode_bytes: int) -> PictureInfo:
    return PictureInfo(1, 1, 3, 8, name, FORMATS[name].sealed, decode_bytes).with_pages(pages)


def _known(head: bytes) -> str | None:
    """The format by content; a file of nothing but zeros is one whose content has not arrived."""
    name = sniff(head)
    if name is None and not head.strip(b"\x00"):
        raise PermanentError("incomplete", "The file begins with nothing but zeros: its content is missing.")
    return name


def _open_tiff(feed: Feed, sheets: list[TiffPage]) -> Opened:
    """Every page is looked at; of several none is kept open."""
    if len(sheets) == 1:
        page = open_page(feed, "tiff", sheets[0].edits)
        return Opened(_info("tiff", [page.form], page.decode_bytes), page, tuple(sheets))
    forms, needed = [], 0
    for number, sheet in enumerate(sheets, 1):
        try:
            page = open_page(feed, "tiff", sheet.edits)
        except PermanentError as error:
            raise PermanentError(
                error.code, f"Page {number} of {len(sheets)}: {error.message}", hint=error.hint
            ) from error
        forms.append(page.form)
        needed = max(needed, page.decode_bytes)
    return Opened(_info("tiff", forms, needed), sheets=tuple(sheets))


def _open_frames(feed: Feed, name: str, limits: Limits | None, *, only_first: bool = False) -> Opened:
    """A GIF or WebP; its size is looked at before libvips takes memory for it, which it does to read its header."""
    if name == "gif":
        width, height, frames = check_gif(feed.read)
    else:
        form = check_webp(feed.read, feed.size)
        width, height, frames = form.width, form.height, form.frames
    frames = min(frames, 1) if only_first else frames
    if limits is not None and width and height:
        looked_at = _info(name, [Page(width, height, 3, 8)] * max(1, frames), _held(name, width * height, frames, feed))
        limits.check(looked_at)
        if limits.look_only and name == "webp":
            return Opened(looked_at)
    page = open_page(feed, name, whole=_WHOLE.get(name, 0.0), n=1 if only_first else -1)
    found = page.image.height // page.image.get_page_height()
    if found != max(1, frames):
        raise incomplete(f"{found} of its {frames} frames can be read")
    needed = _held(name, page.form.pixels, found, feed) + (_TURNED_BYTES if page.orientation >= _TURNED else 0)
    return Opened(_info(name, [page.form] * found, max(needed, page.decode_bytes)), page)


def _held(name: str, pixels: int, frames: int, feed: Feed) -> int:
    """The memory for a GIF or WebP of ``pixels`` a frame; libvips decodes all frames of a WebP before the first."""
    if name == "gif":
        return _STREAMED_BYTES + _GIF_PIXEL * pixels + feed.size
    return _STREAMED_BYTES + _WEBP_PIXEL * pixels + (4 * pixels * frames + feed.size if frames > 1 else 0)


def _decode_bytes(image: Any, depth: int, height: int, *, whole: float) -> int:
    """The memory that decoding takes besides the raster: rows of what streams, ``whole`` times the rest."""
    row = int(image.width * image.bands * depth // 8)
    rows_held = _STREAMED_ROWS
    if image.get_typeof("tile-height"):  # a row of tiles at a time
        rows_held += 2 * min(height, int(image.get("tile-height")))
    if image.get_typeof("jpeg-chroma-subsample") and image.get("jpeg-chroma-subsample") == "4:2:0":
        whole /= 2
    return _STREAMED_BYTES + row * min(height, rows_held) + int(whole * row * height)


def _structure(feed: Feed, name: str, head: bytes) -> tuple[float, tuple[Edit, ...]]:
    """How many bytes per stored byte the decoder keeps in memory (0: it streams), and what it must read differently.

    Raises what the walks raise.
    """
    match name:
        case "jpeg":
            form = check_jpeg(feed.read)
            if form.views > 1:
                what = f"It holds {form.views} views: it is a 3D, panorama or multi-angle picture (MPO)."
                raise PermanentError("unsupported_content", what, hint=_SPLIT)
            return 2.0 if form.progressive else 0.0, form.edits
        case "png":
            return 1.0 if check_png(feed.read) else 0.0, ()
        case "avif" if head[8:12] == b"avis" or has_box(feed.read, feed.size, b"moov"):
            hint = "Convert it to an animated WebP or GIF and drop that, or drop its frames as PNG."
            raise PermanentError("unsupported_content", "It is an animated AVIF.", hint=hint)
    return _WHOLE.get(name, 0.0), ()
