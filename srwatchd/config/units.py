"""Quantities as people write them: sizes, pixel counts, durations, file modes and hours of the day.

Pure. Every function raises :class:`ValueError` with a message that says what to write instead.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

__all__ = [
    "ActiveHours",
    "parse_active_hours",
    "parse_directory_mode",
    "parse_duration",
    "parse_file_mode",
    "parse_pixels",
    "parse_size",
]

_NUMBER: Final = re.compile(r"(\d{1,20}(?:\.\d{1,9})?)\s*([A-Za-z]*)")
_BYTES: Final[dict[str, int]] = {
    "": 1,
    "b": 1,
    **{f"{letter}b": 1000**power for power, letter in enumerate("kmgt", start=1)},
    **{f"{letter}ib": 1024**power for power, letter in enumerate("kmgt", start=1)},
}
_PIXELS: Final[dict[str, int]] = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "mp": 10**6, "gp": 10**9}
_SECONDS: Final[dict[str, Decimal]] = {
    **dict.fromkeys(("", "s", "sec", "second", "seconds"), Decimal(1)),
    "ms": Decimal("0.001"),
    **dict.fromkeys(("m", "min", "minute", "minutes"), Decimal(60)),
    **dict.fromkeys(("h", "hour", "hours"), Decimal(3600)),
    **dict.fromkeys(("d", "day", "days"), Decimal(86400)),
    **dict.fromkeys(("w", "week", "weeks"), Decimal(7 * 86400)),
}
_LONGEST: Final = 100 * 366 * 86400
_LARGEST: Final = 2**63 - 1
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS: Final = re.compile(r"(?:(\S+)\s+)?(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})")
_WHOLE_DAY: Final = 24 * 60


def _whole(value: object, units: dict[str, int], advice: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(advice)  # noqa: TRY004 - pydantic reports ValueError as a problem of the value
    match = _NUMBER.fullmatch(str(value).strip())
    factor = units.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise ValueError(advice)
    number = Decimal(match[1]) * factor
    if number != number.to_integral_value() and factor == 1:
        raise ValueError(advice)
    if number > _LARGEST:
        raise ValueError("is too large")
    return int(number)


def parse_size(value: object) -> int:
    """Bytes from a whole number or a text such as ``1GiB``, ``64 MiB`` or ``1.5 GB``.

    ``KiB MiB GiB TiB`` are powers of 1024, ``kB MB GB TB`` powers of 1000; a bare ``K M G T`` means either,
    depending on whom one asks, and is refused.
    """
    return _whole(value, _BYTES, f"{value!r} is no size; write bytes, or a number with kB MB GB TB or KiB MiB GiB TiB")


def parse_pixels(value: object) -> int:
    """Pixels from a whole number or a text such as ``250 M`` or ``2 G`` (powers of 1000)."""
    return _whole(value, _PIXELS, f"{value!r} is no number of pixels; write for example 4000000, 250 M or 2 G")


def parse_duration(value: object) -> float:
    """Seconds from a number or a text such as ``10 s``, ``500 ms``, ``15min``, ``1h 30min`` or ``7 d``."""
    advice = f"{value!r} is no duration; write seconds, or a number with ms, s, min, h, d or w"
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(advice)  # noqa: TRY004 - pydantic reports ValueError as a problem of the value
    if isinstance(value, str):
        seconds = _compound(value.strip(), advice)
    elif math.isfinite(value) and value >= 0:
        seconds = float(value)
    else:
        raise ValueError(advice)
    if seconds > _LONGEST:
        raise ValueError("is longer than a hundred years")
    return seconds


def _compound(text: str, advice: str) -> float:
    total, position = Decimal(0), 0
    while match := _NUMBER.match(text, position):
        factor = _SECONDS.get(match[2].lower())
        if factor is None or (match[2] == "" and match.end() - match.start() != len(text)):
            raise ValueError(advice)
        total += Decimal(match[1]) * factor
        position = match.end()
        while text[position : position + 1] == " ":
            position += 1
    if not text or position != len(text):
        raise ValueError(advice)
    return float(total)


def _mode(value: object, *, needed: int, allowed: int, example: str) -> int:
    advice = f"{value!r} is no mode; write it in octal, for example {example}"
    if isinstance(value, str):
        if not re.fullmatch(r"(?:0o)?[0-7]{3,5}", value):
            raise ValueError(advice)
        value = int(value.removeprefix("0o"), 8)
    if isinstance(value, bool) or not isinstance(value, int) or value & ~allowed:
        raise ValueError(advice)
    if value & needed != needed:
        raise ValueError(f"{value:#o} shuts out the owner, which is srwatchd itself; write for example {example}")
    return value


def parse_file_mode(value: object) -> int:
    """Permission bits of a file from octal text (``0664``, ``664``, ``0o664``) or from a number that holds them.

    The owner must be able to read and write; set-id and sticky bits are refused.
    """
    return _mode(value, needed=0o600, allowed=0o777, example="0664")


def parse_directory_mode(value: object) -> int:
    """Permission bits of a directory, like :func:`parse_file_mode`, with the set-group-id bit allowed."""
    return _mode(value, needed=0o700, allowed=0o2777, example="2775")


@dataclass(frozen=True, slots=True)
class ActiveHours:
    """A span of the day on some weekdays. Minutes since midnight; ``end <= start`` reaches into the next day.

    ``days`` holds the weekdays (Monday is 0) on which the span *begins*.
    """

    days: frozenset[int]
    start: int
    end: int

    def contains(self, moment: datetime) -> bool:
        """Whether ``moment`` (local wall-clock time) lies in the span; the end itself does not."""
        minute, today = moment.hour * 60 + moment.minute, moment.weekday()
        if self.start < self.end:
            return today in self.days and self.start <= minute < self.end
        return (today in self.days and minute >= self.start) or ((today - 1) % 7 in self.days and minute < self.end)

    def __str__(self) -> str:
        days = ",".join(_DAYS[day] for day in sorted(self.days))
        hours = f"{self.start // 60:02}:{self.start % 60:02}-{self.end // 60:02}:{self.end % 60:02}"
        return hours if len(self.days) == len(_DAYS) else f"{days} {hours}"


def parse_active_hours(value: object) -> ActiveHours:
    """A span from a text such as ``22:00-06:00``, ``mon-fri 22:00-06:00`` or ``sat,sun 00:00-24:00``."""
    if isinstance(value, ActiveHours):
        return value
    match = _HOURS.fullmatch(value.strip().lower()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} are no hours; write for example 22:00-06:00 or mon-fri 22:00-06:00")
    start, end = (int(match[n]) * 60 + int(match[n + 1]) for n in (2, 4))
    if start >= _WHOLE_DAY or end > _WHOLE_DAY or max(int(match[3]), int(match[5])) >= 60:  # noqa: PLR2004 - minutes
        raise ValueError(f"{value!r} has an hour that no clock shows; hours go from 00:00 to 24:00")
    if start == end:
        raise ValueError(f"{value!r} is empty; write 00:00-24:00 for the whole day")
    return ActiveHours(_weekdays(match[1]), start, end)


def _weekdays(text: str | None) -> frozenset[int]:
    if text is None:
        return frozenset(range(7))
    days: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first not in _DAYS or (last or first) not in _DAYS:
            raise ValueError(f"{part!r} is no weekday; write mon tue wed thu fri sat sun, mon-fri or sat,sun")
        begin, end = _DAYS.index(first), _DAYS.index(last or first)
        days.update((begin + n) % 7 for n in range((end - begin) % 7 + 1))
    return frozenset(days)
