"""Large pictures made of one photograph, in a process of its own: ``python -m benchmarks.large.pictures``.

Only here libvips is loaded, so that the pages of its library are charged to the daemon and not to the benchmark.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyvips

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["KINDS", "main", "make", "size"]

KINDS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "baseline JPEG": (".jpg", {"Q": 90}),
    "progressive JPEG": (".jpg", {"Q": 90, "interlace": True}),
    "progressive JPEG 4:4:4": (".jpg", {"Q": 95, "interlace": True, "subsample_mode": "off"}),
    "PNG": (".png", {"compression": 1, "filter": "avg"}),
    "interlaced PNG": (".png", {"compression": 1, "filter": "none", "interlace": True}),
    "TIFF": (".tif", {"compression": "none"}),
    "LZW TIFF": (".tif", {"compression": "lzw", "predictor": "horizontal"}),
    "WebP": (".webp", {"Q": 85, "effort": 0}),
    "tiled TIFF": (".tif", {"compression": "deflate", "tile": True}),
}
_SHADE: Final = 40.0


def make(photograph: str, target: str, kind: str, *, width: int, height: int) -> None:
    """Tile ``photograph`` (empty: a made one) to ``width`` x ``height``, darker at the top, as a ``kind``."""
    small = _photograph(photograph)
    across, down = width // small.width + 1, height // small.height + 1
    tiled = small.replicate(across, down).crop(0, 0, width, height)
    shade = pyvips.Image.xyz(width, height)[1].linear([_SHADE / height], [0])
    picture = (tiled * 0.8 + shade).cast("uchar").copy(interpretation="srgb")
    suffix, options = KINDS[kind]
    picture.write_to_file(target + suffix, **options)


def size(path: str) -> tuple[int, int]:
    """Width and height."""
    picture = pyvips.Image.new_from_file(path, access="sequential")
    return picture.width, picture.height


def _photograph(path: str) -> Any:
    if path:
        return pyvips.Image.new_from_file(path).colourspace("srgb")[0:3].copy_memory()
    rng = np.random.default_rng(1)
    coarse = rng.integers(0, 256, (64, 96, 3), np.uint8)
    return pyvips.Image.new_from_array(coarse).resize(8, kernel="cubic").cast("uchar").copy_memory()


def main(words: list[str]) -> int:
    """``make PHOTOGRAPH TARGET KIND WIDTH HEIGHT`` or ``size FILE``."""
    verbs: dict[str, Callable[..., Any]] = {
        "make": lambda photo, target, kind, width, height: make(
            photo, target, kind, width=int(width), height=int(height)
        ),
        "size": lambda path: print(*size(path)),
    }
    verbs[words[0]](*words[1:])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
