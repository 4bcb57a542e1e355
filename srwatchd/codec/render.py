"""A region of a picture for a screen: upright, sRGB, 8 bit, as a JPEG, or as a PNG where anything shines through.

What is shown is cut out and made smaller first and converted last, so that little is converted. A JPEG that becomes
four times smaller or more is decoded at a half, a quarter or an eighth; at least a factor of two is left for the proper
filter, so that the region is right to a quarter of a pixel of what is shown.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from srwatchd.codec.colour import Layout, to_raster
from srwatchd.codec.formats import FORMATS
from srwatchd.codec.opening import Limits, open_first
from srwatchd.codec.plain import load_plain
from srwatchd.codec.resize import resized
from srwatchd.codec.vips import Feed, Sink, check_memory, pyvips
from srwatchd.errors import PermanentError, RequestError
from srwatchd.storage import host_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from srwatchd.codec.opening import Opened

__all__ = ["LARGEST_EDGE", "Region", "Rendition", "View", "render"]

LARGEST_EDGE: Final = 4096
"""Pixels of a rendition's edge at most."""
_STRIP: Final = 16
_SHRINKS: Final = (8, 4, 2)
_LEFT_TO_FILTER: Final = 2
_ACROSS: Final = frozenset({2, 3, 7, 8})
"""Orientations in which a stored row runs against the upright picture's edge that it lies along; then the same down."""
_DOWN: Final = frozenset({3, 4, 6, 7})
_UNTURNED: Final = 4
_PIXEL_BYTES: Final = 8
"""Memory per pixel of a rendition: itself, turned, and what its encoder holds."""
_ROWS: Final = 512
"""Rows of the region, as numbers of four bytes, that the filters hold."""
_SUBSAMPLE_BELOW: Final = 90


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle in pixels of the upright picture."""

    x: int
    y: int
    width: int
    height: int

    def within(self, width: int, height: int) -> Region:
        """The part of it that lies in a picture of that size; RequestError ``bad_request`` when there is none."""
        left, top = max(0, self.x), max(0, self.y)
        right, bottom = min(width, self.x + self.width), min(height, self.y + self.height)
        if right <= left or bottom <= top:
            text = f"the region at {self.x}, {self.y} lies outside of {width} x {height} pixels"
            raise RequestError("bad_request", text, hint="Ask for a part of the picture.")
        return Region(left, top, right - left, bottom - top)

    def stored(self, width: int, height: int, orientation: int) -> Region:
        """Where it lies in the stored picture of ``width`` x ``height`` pixels with that EXIF orientation."""
        x, y, across, down = self.x, self.y, self.width, self.height
        if orientation > _UNTURNED:
            x, y, across, down = y, x, down, across
        x = width - x - across if orientation in _ACROSS else x
        y = height - y - down if orientation in _DOWN else y
        return Region(x, y, across, down)

    def shrunk(self, factor: int, width: int, height: int) -> Region:
        """The same in a picture of ``width`` x ``height`` that is ``factor`` times smaller, to the nearest pixel."""
        left, top = min(width - 1, round(self.x / factor)), min(height - 1, round(self.y / factor))
        right = min(width, max(left + 1, round((self.x + self.width) / factor)))
        bottom = min(height, max(top + 1, round((self.y + self.height) / factor)))
        return Region(left, top, right - left, bottom - top)


@dataclass(frozen=True, slots=True)
class View:
    """What is wanted: ``region`` (None: the whole picture), and the longest edge of what is shown in pixels.

    ``quality`` is that of a JPEG. Nothing is ever enlarged.
    """

    longest: int
    region: Region | None = None
    quality: int = 90

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> View:
        """From plain data; raises KeyError, TypeError or ValueError for anything else."""
        region = data.get("region")
        return cls(
            min(LARGEST_EDGE, max(1, int(data["longest"]))),
            None if region is None else Region(*(int(each) for each in region)),
            min(100, max(1, int(data["quality"]))),
        )


@dataclass(frozen=True, slots=True)
class Rendition:
    """What was made: its format ("jpeg" or "png") and size, and the format and size of the upright picture."""

    format: str
    width: int
    height: int
    picture_format: str
    picture_width: int
    picture_height: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def render(
    source_fd: int,
    target_fd: int,
    view: View,
    *,
    max_pixels: int,
    max_bytes: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Rendition:
    """Write ``view`` of the first page or frame of a source into ``target_fd`` (O_RDWR, replaced).

    The target holds pixels alone, no metadata. ``on_progress(rows done, rows)`` is called as pixels arrive. No
    descriptor is closed, no offset of the source used, nothing fsynced.

    Raises what :func:`srwatchd.codec.decode.inspect` raises, PermanentError ``too_many_pixels`` and
    ``too_large_for_memory`` (more than ``max_bytes``) before a pixel is decoded, ``incomplete`` for damage that is met
    on the way, RequestError ``bad_request`` for a region outside, HostError when writing fails.
    """
    feed = Feed(source_fd)
    limits = Limits(max_pixels, max_bytes)
    opened = open_first(feed, limits)
    form = opened.info.first
    region = (view.region or Region(0, 0, form.width, form.height)).within(form.width, form.height)
    factor = min(1.0, view.longest / max(region.width, region.height))
    size = max(1, round(region.width * factor)), max(1, round(region.height * factor))
    needed = opened.info.decode_bytes + _PIXEL_BYTES * size[0] * size[1]
    needed += 4 * form.channels * region.width * min(_ROWS, region.height) if factor < 1 else 0
    limits.check(replace(opened.info, decode_bytes=needed))
    pixels = _pixels(feed, opened, region, size, on_progress)
    image = _shown(pixels, opened.page.orientation if opened.page is not None else 1)
    name = _write(target_fd, image, view.quality)
    return Rendition(name, image.width, image.height, opened.info.format, form.width, form.height)


def _pixels(
    feed: Feed, opened: Opened, region: Region, size: tuple[int, int], on_progress: Callable[[int, int], None] | None
) -> Any:
    """The region at ``size`` as an array, not turned yet: sRGB or grey, with alpha or without, 8 bit."""
    if opened.page is None:
        image, layout = _plain(feed, opened, region)
    else:
        image, layout = _cut(feed, opened, region, size)
        size = (size[1], size[0]) if opened.page.orientation > _UNTURNED else size
    with feed.damage():
        if (image.width, image.height) != size:
            image = resized(image, size, alpha=layout.alpha, depth=layout.depth)
        image, _ = to_raster(image, layout, icc="srgb")
        if layout.depth == 16:
            image = (image / 257).rint().cast("uchar")
    shown = pyvips().Region.new(image)
    pixels = np.empty((image.height, image.width, image.bands), np.uint8)
    for top in range(0, image.height, _STRIP):
        rows = min(_STRIP, image.height - top)
        with feed.damage():
            strip = shown.fetch(0, top, image.width, rows)
        pixels[top : top + rows] = np.frombuffer(strip, np.uint8).reshape(rows, image.width, image.bands)
        if on_progress is not None:
            on_progress(top + rows, image.height)
    return pixels


def _cut(feed: Feed, opened: Opened, region: Region, size: tuple[int, int]) -> tuple[Any, Layout]:
    """The region of a page that libvips reads, as stored, decoded as small as its decoder can and may."""
    page = opened.page
    assert page is not None  # noqa: S101 - the caller has looked
    width, height = page.image.width, page.image.get_page_height()
    wanted = region.stored(width, height, page.orientation)
    factor = _shrink(opened, region, size)
    image = page.image
    if factor > 1:
        image = feed.open(opened.info.format, edits=page.edits, shrink=factor)
        wanted = wanted.shrunk(factor, image.width, image.height)
    if (wanted.x, wanted.y, wanted.width, wanted.height) == (0, 0, image.width, image.height):
        return image, page.layout
    return image.crop(wanted.x, wanted.y, wanted.width, wanted.height), page.layout


def _shrink(opened: Opened, region: Region, size: tuple[int, int]) -> int:
    """By how much the decoder itself may make the picture smaller; 1 for not at all."""
    if opened.info.format != "jpeg":
        return 1
    factor = min(region.width / size[0], region.height / size[1])
    return next((each for each in _SHRINKS if each * _LEFT_TO_FILTER <= factor), 1)


def _plain(feed: Feed, opened: Opened, region: Region) -> tuple[Any, Layout]:
    """The region of a picture that is read whole."""
    whole = load_plain(feed, opened.info)
    part = np.ascontiguousarray(whole[region.y : region.y + region.height, region.x : region.x + region.width])
    channels, depth = part.shape[2], part.itemsize * 8
    colour = "grey" if channels == 1 else "rgb"
    kind = {("grey", 8): "b-w", ("grey", 16): "grey16", ("rgb", 8): "srgb", ("rgb", 16): "rgb16"}[colour, depth]
    return pyvips().Image.new_from_array(part).copy(interpretation=kind), Layout(colour, channels == 4, depth)


def _shown(pixels: Any, orientation: int) -> Any:
    """The pixels as an image, upright, without an alpha that hides nothing."""
    if pixels.shape[2] in (2, 4) and pixels[:, :, -1].min() == 255:
        pixels = np.ascontiguousarray(pixels[:, :, :-1])
    grey = pixels.shape[2] < 3
    image = pyvips().Image.new_from_array(pixels).copy(interpretation="b-w" if grey else "srgb")
    if orientation == 1:
        return image
    image.set_type(pyvips().GValue.gint_type, "orientation", orientation)
    return image.autorot()


def _write(target_fd: int, image: Any, quality: int) -> str:
    """Encode the image; the format that was taken."""
    name = "png" if image.bands in (2, 4) else "jpeg"
    with host_errors("staging", "writing a rendition to"):
        sink = Sink(target_fd)
    error: Exception | None = None
    try:
        if name == "png":
            image.pngsave_target(sink.target(), compression=3, filter="avg", keep="none")
        else:
            mode = "off" if quality >= _SUBSAMPLE_BELOW else "on"
            image.jpegsave_target(sink.target(), Q=quality, subsample_mode=mode, keep="none")
    except pyvips().Error as caught:
        error = caught
    if (failure := sink.failure()) is not None:
        with host_errors("staging", "writing a rendition to"):
            raise failure from error
    if error is not None:
        check_memory(error)
        title = FORMATS[name].title
        raise PermanentError("cannot_encode", f"It cannot be shown as {title}: {error}".strip()) from error
    return name
