"""Repeated figures: their median and how far they lie apart, and powers fitted to growth."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["exponent", "median", "percentile", "short", "spread", "with_spread"]


def median(values: Iterable[float]) -> float:
    """The middle of what was seen."""
    return statistics.median(values)


def spread(values: Sequence[float]) -> float:
    """How far the values lie apart: the most less the least, as a part of the median; 0 of a single one."""
    middle = median(values)
    return (max(values) - min(values)) / middle if middle else 0.0


def with_spread(values: Sequence[float]) -> str:
    """The median, and half of the spread in per cent where there are several values."""
    shown = short(median(values))
    return shown if len(values) == 1 else f"{shown} ± {50 * spread(values):.0f} %"


def percentile(values: Sequence[float], part: float) -> float:
    """The least value that at least ``part`` of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """``b`` of the power law ``a * size ** b`` that fits best: the slope of a line through the logarithms."""
    return statistics.linear_regression([math.log(size) for size in sizes], [math.log(each) for each in values]).slope


def short(value: float) -> str:
    """A figure with three digits that matter, without an exponent."""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(digits, 5)}f}"
