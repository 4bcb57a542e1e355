"""Plots as SVG, without a library: bars beside each other, and curves over axes of powers of ten."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

from benchmarks.performance.samples import short

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Bar", "Curve", "bars", "curves"]

_WIDTH: Final = 900
_FONT: Final = 'font-family="sans-serif" font-size="11"'
_COLOURS: Final = ("#999", "#06c", "#c60", "#093", "#a0a", "#830", "#08a", "#333")
_LEFT: Final = 210
_ROW: Final = 13
_GAP: Final = 9
_PANEL: Final = 190
_MARGIN: Final = 64
_TOP: Final = 26
_ROOM: Final = 40


@dataclass(frozen=True, slots=True)
class Bar:
    """A value of a series within a group; ``low`` and ``high`` are the ends of its spread."""

    group: str
    series: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of positive coordinates."""

    name: str
    points: Sequence[tuple[float, float]]


def bars(title: str, drawn: Sequence[Bar], *, unit: str) -> str:
    """Groups of bars from the left, one colour for each series; a dotted line at 1."""
    groups = list(dict.fromkeys(bar.group for bar in drawn))
    series = list(dict.fromkeys(bar.series for bar in drawn))
    most = max((bar.high for bar in drawn), default=1.0) or 1.0
    height = _TOP + 18 + len(drawn) * _ROW + len(groups) * _GAP + 26
    parts = [_head(height), f'<text x="10" y="16" font-weight="bold">{escape(title)}</text>']
    parts += _legend(series, _TOP + 8)
    y = _TOP + 22.0
    for group in groups:
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 10:.0f}" text-anchor="end">{escape(group)}</text>')
        for bar in (bar for bar in drawn if bar.group == group):
            parts += _bar(bar, y, most, _COLOURS[series.index(bar.series) % len(_COLOURS)], unit)
            y += _ROW
        y += _GAP
    one = _LEFT + (_WIDTH - _LEFT - 90) / most
    if most > 1:
        parts.append(f'<path d="M{one:.1f} {_TOP + 18}V{y:.0f}" stroke="#333" stroke-dasharray="2 3"/>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def curves(panels: Sequence[tuple[str, str, str, Sequence[Curve]]]) -> str:
    """Panels of title, horizontal unit, vertical unit and curves, two beside each other; both axes by powers of ten."""
    rows = -(-len(panels) // 2)
    parts = [_head(rows * (_PANEL + _ROOM))]
    for number, (title, across, up, drawn) in enumerate(panels):
        left = (number % 2) * _WIDTH // 2
        parts += _panel(
            left, (number // 2) * (_PANEL + _ROOM), title, (across, up), [one for one in drawn if one.points]
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _head(height: float) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" {_FONT}>\n'
        f'<rect width="{_WIDTH}" height="{height:.0f}" fill="white"/>'
    )


def _legend(series: Sequence[str], y: float) -> Iterator[str]:
    words = (
        f'<tspan fill="{_COLOURS[number % len(_COLOURS)]}">■ {escape(name)}</tspan>'
        for number, name in enumerate(series)
    )
    yield f'<text x="10" y="{y:.0f}">{"  &#160; ".join(words)}</text>'


def _bar(bar: Bar, y: float, most: float, colour: str, unit: str) -> Iterator[str]:
    per = (_WIDTH - _LEFT - 90) / most
    yield f'<rect x="{_LEFT}" y="{y:.1f}" width="{bar.value * per:.1f}" height="{_ROW - 3}" fill="{colour}"/>'
    middle = y + (_ROW - 3) / 2
    if bar.high > bar.low:
        ends = f"M{_LEFT + bar.low * per:.1f} {middle:.1f}H{_LEFT + bar.high * per:.1f}"
        yield f'<path d="{ends}" stroke="#000" stroke-width="1.5"/>'
    yield f'<text x="{_LEFT + bar.high * per + 4:.1f}" y="{y + 9:.1f}">{short(bar.value)}{escape(unit)}</text>'


def _panel(left: float, top: float, title: str, units: tuple[str, str], drawn: Sequence[Curve]) -> Iterator[str]:
    x0, x1, y0, y1 = left + _MARGIN, left + _WIDTH / 2 - 12, top + _PANEL, top + _TOP
    names = "  &#160; ".join(
        f'<tspan fill="{_COLOURS[1 + number % (len(_COLOURS) - 1)]}">{escape(one.name)}</tspan>'
        for number, one in enumerate(drawn)
        if one.name
    )
    yield f'<text x="{x0}" y="{top + 14}">{escape(title)}{": " if names else ""}{names}</text>'
    yield f'<path d="M{x0} {y1}V{y0}H{x1}" fill="none" stroke="#999"/>'
    points = [point for one in drawn for point in one.points]
    if not points:
        return
    across = _Axis.of([x for x, _ in points], x0, x1)
    up = _Axis.of([y for _, y in points], y0, y1)
    for tick in across.ticks():
        yield f'<text x="{across.at(tick):.1f}" y="{y0 + 14}" text-anchor="middle">{_tick(tick)}</text>'
    for tick in up.ticks():
        yield f'<path d="M{x0} {up.at(tick):.1f}H{x1}" stroke="#eee"/>'
        yield f'<text x="{x0 - 5}" y="{up.at(tick) + 4:.1f}" text-anchor="end">{_tick(tick)}</text>'
    yield f'<text x="{x1}" y="{y0 + 28}" text-anchor="end" fill="#666">{escape(units[0])}</text>'
    yield f'<text x="{left + 6}" y="{y1 - 2}" fill="#666">{escape(units[1])}</text>'
    for number, one in enumerate(drawn):
        colour = _COLOURS[1 + number % (len(_COLOURS) - 1)]
        places = [(across.at(x), up.at(y)) for x, y in one.points]
        yield f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in places)}" fill="none" stroke="{colour}"/>'
        yield from (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in places)


@dataclass(frozen=True, slots=True)
class _Axis:
    """Powers of ten from ``low`` to ``high`` between two places."""

    low: float
    high: float
    begin: float
    end: float

    @classmethod
    def of(cls, values: Sequence[float], begin: float, end: float) -> _Axis:
        low, high = math.log10(min(values)), math.log10(max(values))
        if high - low < 1:  # a flat curve looks flat
            low, high = (low + high) / 2 - 0.5, (low + high) / 2 + 0.5
        return cls(low - 0.05 * (high - low), high + 0.05 * (high - low), begin, end)

    def at(self, value: float) -> float:
        return self.begin + (math.log10(value) - self.low) / (self.high - self.low) * (self.end - self.begin)

    def ticks(self) -> Iterator[float]:
        """Powers of ten, with their doubles and fives where there are few of them."""
        steps = (1.0,) if self.high - self.low > 3 else (1.0, 2.0, 5.0)  # noqa: PLR2004 - decades
        for power in range(math.floor(self.low), math.ceil(self.high) + 1):
            for step in steps:
                if self.low <= math.log10(step) + power <= self.high:
                    yield step * 10.0**power


def _tick(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"
