"""From a source file to an upright raster, or to the reason why not.

Decoding streams: strips of about 256 KiB go from libvips to the raster file, page after page. What formats force on
their decoders besides is bounded by ``max_decode_bytes`` (:mod:`~srwatchd.codec.opening`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from srwatchd.codec.carry import Carry, CarryWriter
from srwatchd.codec.colour import to_raster
from srwatchd.codec.metadata import collect
from srwatchd.codec.opening import Limits, Opened, OpenPage, open_page, open_source
from srwatchd.codec.picture import Page, PictureInfo, places
from srwatchd.codec.plain import load_plain
from srwatchd.codec.raster import RasterWriter
from srwatchd.codec.structure import bmp_dpi, excessive
from srwatchd.codec.tiff import exif_of
from srwatchd.codec.vips import Feed, rows, strip_height
from srwatchd.storage import WriteBehind, host_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["PictureInfo", "Sheet", "decode", "inspect", "stored_sheets"]

_UNTURNED: Final = 4
_SHRINKS: Final = (2, 4, 8)
"""What a JPEG's edges can be divided by while it is decoded."""
_MOST_TOLD: Final = 128 << 20
"""Bytes of metadata of all pages; they may share what the file has once."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """What one opened image gives: a page, or all frames of an animation.

    ``strips`` are (frame, first row in it, buffer of whole rows) as stored, ``orientation`` what they are turned by.
    Each of their pixels stands for ``reduction`` by ``reduction`` stored ones, for fewer at the right and the bottom.
    """

    orientation: int
    carry: Carry
    strips: Iterator[tuple[int, int, Any]]
    reduction: int = 1


def inspect(source_fd: int, *, max_pixels: int | None = None) -> PictureInfo:
    """What the header of a source says, upright, without decoding pixels.

    With ``max_pixels`` more of them are refused (``too_many_pixels``), and memory stays bounded for every format: the
    alpha of a WebP is not looked for then.

    Raises PermanentError: ``empty``, ``not_a_picture``, ``unsupported_format`` (with a hint for its format),
    ``unsupported_content`` (floating point, more channels, several pictures that cannot be read as a whole) or
    ``incomplete`` (the structure does not reach its end); HostError when the file cannot be read. The descriptor's
    offset is not used.
    """
    limits = None if max_pixels is None else Limits(max_pixels, None, look_only=True)
    return open_source(Feed(source_fd), limits).info


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
    uint8 or native uint16, page after page (:func:`~srwatchd.codec.picture.places`), the disk space of each reserved
    before it is decoded. With ``icc`` "srgb" values with a profile are converted and the profile is dropped.
    ``on_progress(bytes done, bytes)`` is called after each strip; after every ``write_behind`` bytes the raster is sent
    to the disk, so that it does not fill the memory.

    Raises what :func:`inspect` raises, PermanentError ``too_many_pixels`` and ``too_large_for_memory`` before decoding,
    ``incomplete`` for anything that a decoder so much as warns of, and HostError (``disk_full`` ...) for the scratch
    files. No descriptor is closed and no offset is used.
    """
    feed = Feed(source_fd)
    opened = open_source(feed, Limits(max_pixels, max_decode_bytes))
    info, sheets = opened.info, _sheets(feed, opened, icc)
    if opened.page is None and not opened.sheets:
        info, sheets = _plain(feed, info)
    pages = _Pages(raster_fd, info.pages, WriteBehind(raster_fd, write_behind))
    carries, told = CarryWriter(carry_fd), 0
    for sheet in sheets:
        told += sheet.carry.size
        if told > _MOST_TOLD:
            raise excessive(f"{_MOST_TOLD >> 20} MiB of metadata")
        carries.add(sheet.carry)
        with host_errors("scratch", "writing pixels to"):
            for _, top, data in sheet.strips:
                pages.write(top, data, sheet.orientation)
                if on_progress is not None:
                    on_progress(pages.done, info.raster_bytes)
    with host_errors("scratch", "writing pixels to"):
        pages.finish()
    return info


def stored_sheets(feed: Feed, *, least: Page) -> tuple[PictureInfo, Iterator[Sheet]]:
    """A file's info and its pages in strips as a raster holds them, for comparing; damage raises ``incomplete``.

    Every byte is decoded, but a JPEG comes reduced, to no less than the size of ``least``. For files without a
    rotation, as srwatchd writes them. A sheet's strips must be used up before the next sheet.
    """
    opened = open_source(feed)
    if opened.info.format == "jpeg" and opened.page is not None:
        return opened.info, iter([_reduced(feed, opened.page, least)])
    return opened.info, _sheets(feed, opened, "keep")


class _Pages:
    """Writes the raster of one page after the other, each where it belongs; ``done`` bytes so far."""

    def __init__(self, descriptor: int, pages: list[Page], behind: WriteBehind) -> None:
        self._descriptor, self._behind = descriptor, behind
        self._waiting = iter(zip(pages, places(pages), strict=True))
        self._writer: RasterWriter | None = None
        self.done = 0

    def write(self, top: int, data: Any, orientation: int) -> None:
        """Take the next strip; row 0 begins the next page."""
        if top == 0:
            self.finish()
            page, at = next(self._waiting)
            turned = orientation > _UNTURNED
            shape = (page.width, page.height, page.channels) if turned else page.shape
            self._writer = RasterWriter(
                self._descriptor, shape, depth=page.depth, orientation=orientation, behind=self._behind, at=at
            )
        assert self._writer is not None  # noqa: S101 - every page begins with its row 0
        self._writer.write(top, data)
        self.done += len(data)

    def finish(self) -> None:
        """Complete the page that was begun last."""
        if self._writer is not None:
            self._writer.finish()


def _sheets(feed: Feed, opened: Opened, icc: str) -> Iterator[Sheet]:
    """The pages of a source, opened one by one, or the frames of an animation together."""
    name = opened.info.format
    if opened.page is not None:
        yield _sheet(feed, opened.page, icc, at=opened.sheets[0].directory if opened.sheets else None)
        return
    for sheet in opened.sheets:
        yield _sheet(feed, open_page(feed, name, sheet.edits), icc, at=sheet.directory)


def _sheet(feed: Feed, page: OpenPage, icc: str, *, at: int | None) -> Sheet:
    """``at`` is where a TIFF page has its directory."""
    with feed.damage():
        image, profile = to_raster(page.image, page.layout, icc=icc)
        carry = replace(collect(page.image), icc=profile).upright()
    if at is not None:
        carry = replace(carry, exif=exif_of(feed.read, feed.size, at=at))
    return Sheet(page.orientation, carry, _guarded(feed, image))


def _reduced(feed: Feed, page: OpenPage, least: Page) -> Sheet:
    """The only page of a JPEG in 1/2, 1/4 or 1/8 of its size, but no less than that of ``least``."""
    most = min(page.form.width // least.width, page.form.height // least.height)
    factor = max((each for each in _SHRINKS if each <= most), default=1)
    if factor == 1:
        return _sheet(feed, page, "keep", at=None)
    size = (-(-page.image.width // factor), -(-page.image.height // factor))
    again = feed.again()
    image = again.open("jpeg", edits=page.edits, shrink=factor)
    with again.damage():  # libvips leaves out what is not a whole pixel at the far edges: the last one stands for it
        image, profile = to_raster(image.gravity("north-west", *size, extend="copy"), page.layout, icc="keep")
        carry = replace(collect(page.image), icc=profile).upright()
    return Sheet(page.orientation, carry, _guarded(again, image), factor)


def _guarded(feed: Feed, image: Any) -> Iterator[tuple[int, int, Any]]:
    strips = rows(image)
    while True:
        with feed.damage():
            strip = next(strips, None)
        if strip is None:
            return
        yield strip


def _plain(feed: Feed, info: PictureInfo) -> tuple[PictureInfo, Iterator[Sheet]]:
    """A BMP or JPEG 2000, whole."""
    pixels = load_plain(feed, info)
    height, width, channels = pixels.shape
    carry = Carry(dpi=bmp_dpi(feed.read)) if info.format == "bmp" else Carry()
    form = Page(width, height, channels, pixels.itemsize * 8)
    return info.with_pages([form]), iter([Sheet(1, carry, _array_strips(pixels))])


def _array_strips(pixels: Any) -> Iterator[tuple[int, int, Any]]:
    height = strip_height(pixels[0].nbytes)
    for top in range(0, len(pixels), height):
        yield 0, top, pixels[top : top + height].reshape(-1).view("uint8")
