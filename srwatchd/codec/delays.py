"""For how long each frame of an animation is shown: as a source says it, and as a format can hold it. Pure.

GIF counts in hundredths of a second, WebP in thousandths. Viewers show a frame of at most 10 ms for 100 ms, as browsers
have done ever since; so does libvips when it writes WebP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["shown_at", "written_delays"]

_SHORTEST: Final = 20
_USUAL: Final = 100
_LONGEST: Final = {"gif": 655_350, "webp": 0xFFFFFF}


def written_delays(delays: Sequence[int], count: int, name: str) -> tuple[int, ...]:
    """The milliseconds for which each of ``count`` frames is shown in a result of format ``name``.

    In a GIF the rounding of one frame is made good by the next, so that a long animation keeps its length; a GIF's own
    delays stay as they are.
    """
    wanted = [*delays, *[0] * count][:count]
    longest = _LONGEST[name]
    if name != "gif":
        return tuple(min(delay if delay * 2 > _SHORTEST else _USUAL, longest) for delay in wanted)
    made, owed = [], 0
    for delay in wanted:
        exact = delay + owed
        rounded = max(min(_SHORTEST, -(-delay // 10) * 10), (exact + 5) // 10 * 10)
        made.append(min(rounded, longest))
        owed = exact - rounded
    return tuple(made)


def shown_at(wanted: Sequence[int], found: Sequence[int]) -> list[int] | None:
    """For each frame of ``wanted`` delays the frame of ``found`` ones that is shown when its time begins.

    Encoders join equal frames: fewer frames are fine when they begin at times that were wanted and end together. None
    when the two are not the same animation.
    """
    if len(found) == 1:
        return [0] * len(wanted)
    ends = _ends(found)
    begins = [0, *_ends(wanted)]
    total = begins.pop()
    if len(found) == len(wanted):
        return list(range(len(wanted))) if ends == [*begins[1:], total] else None
    if not set(ends[:-1]) <= set(begins) or ends[-1] != total:
        return None
    frames, at = [], 0
    for begin in begins:
        while ends[at] <= begin and at + 1 < len(ends):
            at += 1
        frames.append(at)
    return frames


def _ends(delays: Sequence[int]) -> list[int]:
    ends, at = [], 0
    for delay in delays:
        at += delay
        ends.append(at)
    return ends
