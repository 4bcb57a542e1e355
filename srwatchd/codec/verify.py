"""Whether a staged result is whole and shows what its source shows.

Source and result are reduced by area averaging to the same grid of at most 64 x 64 cells, none smaller than 8 source
pixels where the picture allows it, so that what a network does to edges stays inside a cell and a checkerboard of
single pixels is grey on both sides. Values are compared as stored (the raster is already in the result's colour space),
colours premultiplied by alpha, and alpha itself. The difference of means, averaged over 3 x 3 cells, may be

    tolerance = 0.02 + 0.25 * spread        (of the full range; per cell and channel)

where ``spread`` is the source's standard deviation there, the largest of the channels: what lives more may move more.
0.02 grows to 0.04 for JPEG, WebP and AVIF of a quality below 75 and for GIF, and by 0.08 for pictures with an edge of
less than 8 pixels, which are nothing but border. :func:`deviation` is the largest ratio of difference to tolerance.

Measured on 21 photographs, screens and drawings (Kodak, CID22, GB82, wallpapers; at most 512 x 512), bicubic and the
public weak networks standing in for ours (FSRCNN on all, bicubic and ESPCN on 11, LapSRN on 6 of them):

=========================================  ==========  =============================================  ==========
faithful result                               largest  wrong result                                     smallest
=========================================  ==========  =============================================  ==========
bicubic x2                                       0.10  black                                               13.1
FSRCNN x2 / x3, ESPCN x4, LapSRN x2         0.61 (x3)  even grey                                           11.0
FSRCNN x2 as JPEG 75                             0.43  black tile of 1/64 of the area                       4.3
FSRCNN x2 as JPEG 30 (at 0.02)                   0.91  grey tile of 1/64                                    2.6
white noise, checkerboards, stripes, dots        0.89  two tiles of 1/64 exchanged                          1.3
all black, all white, flat, 1/255 steps          0.26  red and blue exchanged, colours lost             2.1 / 1.4
=========================================  ==========  =============================================  ==========

Every page is compared with its own, a frame of an animation with the one that is shown at its time. A JPEG is decoded
to its last byte, but from its frequencies to 1/2, 1/4 or 1/8 of its size, no smaller than its source. That takes half
the time, and cells are several times as large as the blocks that become one pixel, so their means hardly change: by
0.08 of what is allowed at the most (26 photographs and drawings with odd edges, x2 to x4), for wrong results by 0.03.

Not in the right half: the one picture of the 21 nearly without colours, whose channels may be exchanged or lost unseen
(ratios 0.7 and 0.3), and 1 of 63 exchanges of two tiles, which look alike (0.3). All of them look like their source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from srwatchd.codec.carry import Carry, read_carry
from srwatchd.codec.decode import stored_sheets
from srwatchd.codec.delays import shown_at, written_delays
from srwatchd.codec.formats import FORMATS, stored_channels, stored_depth
from srwatchd.codec.picture import Page, places
from srwatchd.codec.raster import read_exactly
from srwatchd.codec.reduce import AreaGrid, grid_edge
from srwatchd.codec.vips import Feed, strip_height
from srwatchd.errors import PermanentError
from srwatchd.storage import host_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from srwatchd.codec.encode import EncodeOptions
    from srwatchd.codec.picture import PictureInfo

__all__ = ["deviation", "verify"]

_FLOOR: Final = 0.02
_ROUGH_FLOOR: Final = 0.04
_ROUGH_BELOW: Final = 75
_TINY_EXTRA: Final = 0.08
_TINY_EDGE: Final = 8
_LIVELY: Final = 0.25
_OPAQUE: Final = 1 - 1e-6


def verify(
    staged_fd: int,
    source_raster_fd: int,
    carry_fd: int | None = None,
    *,
    info: PictureInfo,
    width: int,
    height: int,
    output: EncodeOptions,
) -> None:
    """Return if the staged file is a whole picture of ``width`` x ``height`` that looks like the source raster.

    ``info`` describes the source raster, ``width`` and ``height`` are the final ones (of the first page), ``output`` is
    what the file was encoded with, ``carry_fd`` what the source carries, of which the times of an animation matter.
    The file is decoded to its end, any warning of the decoder being an error; its format, sizes, channels and depth
    must be exactly those that :mod:`~srwatchd.codec.formats` foretells. Memory stays bounded by a few strips (and by
    the decoder, as in :mod:`~srwatchd.codec.decode`). No descriptor is closed and no offset is used.

    Raises PermanentError ``result_not_plausible``, HostError when a file cannot be read.
    """
    carry = Carry() if carry_fd is None else read_carry(carry_fd)
    check = _Check(source_raster_fd, info, (width, height), output)
    try:
        stored, sheets = stored_sheets(Feed(staged_fd), least=info.first)
        first = 0
        for sheet in sheets:
            if first == 0:
                check.expect(stored, carry, sheet.carry)
            frame = 0
            for frame, top, strip in sheet.strips:
                if top == 0:
                    check.begin(first + frame, sheet.reduction)
                check.feed(strip)
            first += frame + 1
        check.end()
    except PermanentError as error:
        if error.code == "result_not_plausible":
            raise
        raise _implausible(f"it cannot be read back ({error.message})") from error


class _Check:
    """Compares the pages of a result, as they come, with those of the source that they show."""

    def __init__(self, raster_fd: int, info: PictureInfo, size: tuple[int, int], output: EncodeOptions) -> None:
        self._descriptor, self._output = raster_fd, output
        self._pages, self._begins = info.pages, places(info.pages)
        rasters = [page.enlarged(size[0] // info.width) for page in self._pages[1:]]
        self._sizes = [
            size,
            *(output.final(number, (page.width, page.height)) for number, page in enumerate(rasters, 1)),
        ]
        self._stored: list[Page] = []
        self._shown: list[list[int]] = []
        """For each page of the result the pages of the source that it shows: one, but for equal frames."""
        self._grid: AreaGrid | None = None
        self._number = -1

    def expect(self, stored: PictureInfo, wanted: Carry, found: Carry) -> None:
        """Refuse another format, other times or another number of pages."""
        self._stored = stored.pages
        count = len(self._pages)
        if stored.format != self._output.format:
            raise _implausible(f"it is {stored.format} instead of {self._output.format}")
        frames: list[int] | None = list(range(count))
        if count > 1 and FORMATS[stored.format].several == "frames":
            delays = written_delays(wanted.delays, count, stored.format)
            frames = shown_at(delays, found.delays if len(self._stored) > 1 else (sum(delays),))
            if wanted.loop != found.loop and len(self._stored) > 1:
                raise _implausible(f"it is shown {found.loop} times instead of {wanted.loop}")
        if frames is None or frames[-1] + 1 != len(self._stored):
            raise _implausible(f"it has {len(self._stored)} pages or frames instead of {count}, or other times")
        self._shown = [[] for _ in self._stored]
        for number, frame in enumerate(frames):
            self._shown[frame].append(number)

    def begin(self, number: int, reduction: int) -> None:
        """Page ``number`` of the result comes next, reduced by that; the one before is compared."""
        self.end()
        self._number = number
        page, stored = self._pages[self._shown[number][0]], self._stored[number]
        size = self._sizes[self._shown[number][0]]
        form, wanted = (
            (stored.width, stored.height, stored.depth),
            (*size, stored_depth(self._output.format, page.depth)),
        )
        if form != wanted:
            raise _implausible(f"page {number + 1} of it is {form} instead of {wanted} (width, height, depth)")
        across, down = grid_edge(page.width), grid_edge(page.height)
        self._grid = AreaGrid(
            *size,
            stored.channels,
            depth=stored.depth,
            across=across,
            down=down,
            with_spread=False,
            reduction=reduction,
        )

    def feed(self, strip: Any) -> None:
        """Take the next rows of the page."""
        if self._grid is not None:
            self._grid.feed(strip)

    def end(self) -> None:
        """Compare the page that was begun last."""
        if self._grid is None:
            return
        found = self._grid.result()[0]
        for number in self._shown[self._number]:
            self._compare(number, found)

    def _compare(self, number: int, result: NDArray[np.float64]) -> None:
        page, output = self._pages[number], self._output
        across, down = grid_edge(page.width), grid_edge(page.height)
        source = AreaGrid(page.width, page.height, page.channels, depth=page.depth, across=across, down=down)
        for strip in _raster_strips(self._descriptor, page, self._begins[number]):
            source.feed(strip)
        mean, spread = source.result()
        opaque = not page.alpha or float(mean[:, :, -1].min()) >= _OPAQUE
        _check_channels(result.shape[2], page, output, opaque=opaque, animated=len(self._pages) > 1)
        wanted, found = _alike(mean, result, background=output.background)
        if output.format == "gif" and page.alpha:
            solid = (wanted[:, :, -1:] < 1 - _OPAQUE) | (wanted[:, :, -1:] >= _OPAQUE)
            wanted, found = wanted * solid, found * solid
        worst = deviation(wanted, found, spread, floor=_floor(page, output))
        if worst > 1:
            where = f" of page {number + 1}" if len(self._pages) > 1 else ""
            raise _implausible(f"areas{where} differ from the source by {worst:.1f} times what is allowed")


def deviation(
    wanted: NDArray[np.float64], found: NDArray[np.float64], spread: NDArray[np.float64], *, floor: float = _FLOOR
) -> float:
    """The largest ratio of difference to tolerance between two grids (down, across, channels); above 1 is wrong."""
    lively = _smooth(spread.max(axis=2, keepdims=True))
    return float(np.max(np.abs(_smooth(found - wanted)) / (floor + _LIVELY * lively)))


def _implausible(why: str) -> PermanentError:
    return PermanentError("result_not_plausible", f"The result is not plausible: {why}.")


def _floor(page: Page, output: EncodeOptions) -> float:
    rough = output.format == "gif" or (output.quality is not None and output.quality < _ROUGH_BELOW)
    tiny = min(page.width, page.height) < _TINY_EDGE
    return (_ROUGH_FLOOR if rough else _FLOOR) + (_TINY_EXTRA if tiny else 0.0)


def _smooth(grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of every cell and its neighbours, the outermost cells repeated."""
    down, across, _ = grid.shape
    padded = np.pad(grid, ((1, 1), (1, 1), (0, 0)), mode="edge")
    near = [padded[y : y + down, x : x + across] for y in range(3) for x in range(3)]
    return np.asarray(sum(near) / 9)


def _raster_strips(descriptor: int, page: Page, begin: int) -> Iterator[bytes]:
    """The raster of a page in strips, read and not mapped: a file cut short must raise, not kill."""
    height = strip_height(page.row_bytes)
    with host_errors("scratch", "reading pixels from"):
        for top in range(0, page.height, height):
            rows = min(height, page.height - top)
            yield read_exactly(descriptor, rows * page.row_bytes, begin + top * page.row_bytes)


def _check_channels(found: int, page: Page, output: EncodeOptions, *, opaque: bool, animated: bool) -> None:
    """Refuse another number of channels; formats may drop an alpha that hides nothing, or use one to join frames."""
    channels = stored_channels(output.format, page.channels)
    allowed = {channels, channels - 1} if opaque and channels in (2, 4) else {channels}
    if output.format == "gif" or (animated and opaque and output.format == "webp"):
        allowed = {3, 4}
    if found not in allowed:
        raise _implausible(f"it has {found} channels instead of {channels}")


def _alike(
    source: NDArray[np.float64], result: NDArray[np.float64], *, background: tuple[int, int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both grids with the same channels: RGB where one is RGB, alpha where both have it, else on ``background``."""
    pair = [_split(source), _split(result)]
    if pair[0][1] is None and pair[1][1] is not None:
        pair[0] = (pair[0][0], np.ones_like(source[:, :, :1]))
    if pair[0][1] is not None and pair[1][1] is None:
        pair[0] = (_over(*pair[0], background), None)
    colours = max(colour.shape[2] for colour, _ in pair)
    grids = [np.repeat(colour, colours, 2) if colour.shape[2] < colours else colour for colour, _ in pair]
    grids = [
        grid if alpha is None else np.concatenate([grid, alpha], 2)
        for grid, (_, alpha) in zip(grids, pair, strict=True)
    ]
    return grids[0], grids[1]


def _split(grid: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    alpha = grid.shape[2] in (2, 4)
    return (grid[:, :, :-1], grid[:, :, -1:]) if alpha else (grid, None)


def _over(
    colour: NDArray[np.float64], alpha: NDArray[np.float64] | None, background: tuple[int, int, int]
) -> NDArray[np.float64]:
    """Premultiplied ``colour`` on ``background``, as :mod:`~srwatchd.codec.encode` flattens."""
    red, green, blue = (value / 255 for value in background)
    backdrop = (red, green, blue) if colour.shape[2] > 1 else (0.299 * red + 0.587 * green + 0.114 * blue,)
    return colour if alpha is None else colour + (1 - alpha) * np.asarray(backdrop)
