"""Pictures made smaller or larger, so that nothing of what transparency hides reaches an edge."""

from __future__ import annotations

from typing import Any

__all__ = ["resized"]


def resized(image: Any, size: tuple[int, int], *, alpha: bool, depth: int) -> Any:
    """The image at exactly ``size`` (Lanczos 3), of the same kind of samples; colours are weighted by ``alpha``.

    A sequential image streams.
    """
    across, down = size[0] / image.width, size[1] / image.height
    kind, samples = image.interpretation, image.format
    most = 65535 if depth == 16 else 255
    work = image.premultiply(max_alpha=most) if alpha else image
    work = work.resize(across, vscale=down, kernel="lanczos3")
    if alpha:
        work = work.unpremultiply(max_alpha=most)
    if (work.width, work.height) != size:
        work = work.gravity("north-west", *size, extend="copy")
    return work.rint().cast(samples).copy(interpretation=kind)
