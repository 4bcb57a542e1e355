"""What is known about a picture; plain data that crosses process borders. Pure.

A picture has one page or several: the pages of a TIFF, each of a form of its own, or the frames of an animation, all of
one form. The raster of a picture holds the rasters of its pages one after another.
"""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Page", "PictureInfo", "pages_of", "places", "total_bytes"]


@dataclass(frozen=True, slots=True)
class Page:
    """One page or frame as its raster holds it: upright, RGB or grey, with or without alpha.

    ``channels`` is 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha); ``depth`` 8 or 16 bits per sample.
    """

    width: int
    height: int
    channels: int
    depth: int

    @property
    def alpha(self) -> bool:
        """Whether the last channel is alpha (not premultiplied)."""
        return self.channels in (2, 4)

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height

    @property
    def row_bytes(self) -> int:
        """Bytes of one row of the raster."""
        return self.width * self.channels * self.depth // 8

    @property
    def raster_bytes(self) -> int:
        """Bytes of the page's raster."""
        return self.row_bytes * self.height

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        return self.height, self.width, self.channels

    def enlarged(self, scale: int) -> Page:
        """The page ``scale`` times as wide and high."""
        return replace(self, width=self.width * scale, height=self.height * scale)


def places(pages: Iterable[Page]) -> list[int]:
    """Where the raster of each page begins in the raster of all: after the one before, at an even offset."""
    begins, at = [], 0
    for page in pages:
        at += at % 2
        begins.append(at)
        at += page.raster_bytes
    return begins


def total_bytes(pages: Sequence[Page]) -> int:
    """Bytes of the raster of all pages."""
    return places(pages)[-1] + pages[-1].raster_bytes


def pages_of(facts: Mapping[str, Any]) -> list[Page]:
    """The pages of a picture of which only what :meth:`PictureInfo.to_dict` gave is at hand."""
    further = (Page(*form) for *form, count in facts.get("further", ()) for _ in range(count))
    return [Page(*(int(facts[key]) for key in ("width", "height", "channels", "depth"))), *further]


@dataclass(frozen=True, slots=True)
class PictureInfo:
    """A picture as its raster holds it: ``width`` to ``depth`` are those of its first page, as in :class:`Page`.

    ``sealed`` says that a complete file of this format proves its own end, so that a decoded one cannot be a file whose
    tail is still missing; ``decode_bytes`` estimates the memory in bytes that decoding needs besides the raster;
    ``further`` are the other pages: runs of equal ones as (width, height, channels, depth, how many).
    """

    width: int
    height: int
    channels: int
    depth: int
    format: str
    sealed: bool
    decode_bytes: int = 0
    further: tuple[tuple[int, int, int, int, int], ...] = ()

    @property
    def first(self) -> Page:
        """The first page, of most pictures the only one."""
        return Page(self.width, self.height, self.channels, self.depth)

    @property
    def pages(self) -> list[Page]:
        """All pages in their order."""
        return pages_of(asdict(self))

    @property
    def count(self) -> int:
        """How many pages there are."""
        return 1 + sum(run[-1] for run in self.further)

    @property
    def alpha(self) -> bool:
        """Whether the first page has an alpha channel."""
        return self.first.alpha

    @property
    def pixels(self) -> int:
        """Pixels of all pages."""
        return self.first.pixels + sum(width * height * count for width, height, _, _, count in self.further)

    @property
    def row_bytes(self) -> int:
        """Bytes of one row of the first page's raster."""
        return self.first.row_bytes

    @property
    def raster_bytes(self) -> int:
        """Bytes of the whole raster."""
        return total_bytes(self.pages)

    def with_pages(self, pages: Sequence[Page]) -> PictureInfo:
        """The same of other pages."""
        first, *rest = pages
        runs = itertools.groupby((page.width, page.height, page.channels, page.depth) for page in rest)
        return replace(
            self,
            width=first.width,
            height=first.height,
            channels=first.channels,
            depth=first.depth,
            further=tuple((*form, len(list(equal))) for form, equal in runs),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> PictureInfo:
        """The inverse of :meth:`to_dict`; raises TypeError for anything else."""
        further = tuple((run[0], run[1], run[2], run[3], run[4]) for run in data.get("further", ()))
        return cls(**{**data, "further": further})
