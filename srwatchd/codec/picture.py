"""What is known about a picture; plain data that crosses process borders. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["PictureInfo"]


@dataclass(frozen=True, slots=True)
class PictureInfo:
    """A picture as its raster holds it: upright, RGB or grey, with or without alpha.

    ``channels`` is 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha); ``depth`` 8 or 16 bits per sample; ``sealed``
    says that a complete file of this format proves its own end, so that a decoded one cannot be a file whose tail is
    still missing; ``decode_bytes`` estimates the memory in bytes that decoding needs besides the raster.
    """

    width: int
    height: int
    channels: int
    depth: int
    format: str
    sealed: bool
    decode_bytes: int = 0

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
        """Bytes of the whole raster."""
        return self.row_bytes * self.height

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> PictureInfo:
        """The inverse of :meth:`to_dict`; raises TypeError for anything else."""
        return cls(**data)
