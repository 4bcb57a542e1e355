"""A plot as SVG, without a library: small panels over one time axis."""

from __future__ import annotations

import itertools
from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.soak.sampling import Sample

__all__ = ["plot"]

_WIDTH: Final = 900
_FONT: Final = 'font-family="sans-serif" font-size="11"'
_PANEL: Final = 110
_LEFT: Final = 60
_TOP: Final = 18
_BREAK: Final = 0.5
"""A pause of half a minute breaks the line."""

_PANELS: Final = (
    ("memory, MiB", (("workers", "workers_mib", "#c60"), ("supervisor", "supervisor_mib", "#06c"))),
    ("descriptors of the supervisor", (("", "descriptors", "#06c"),)),
    ("threads of the supervisor", (("", "threads", "#06c"),)),
    ("scratch, MiB", (("", "scratch_mib", "#06c"),)),
    ("claims and staged files", (("claims", "claims", "#06c"), ("staged", "staged", "#c60"))),
    ("ledger, MiB", (("", "ledger_mib", "#06c"),)),
    ("results", (("", "delivered", "#06c"),)),
)


def plot(samples: Sequence[Sample]) -> str:
    """The samples over minutes; dashed lines are starts of the supervisor."""
    height = len(_PANELS) * _PANEL + 30
    longest = max((each.minutes for each in samples), default=1.0) or 1.0
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" {_FONT}>',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
    ]
    for number, (title, series) in enumerate(_PANELS):
        parts += _panel(samples, number * _PANEL, title, series, longest)
    for tick in range(0, int(longest) + 1, max(1, int(longest) // 9)):
        parts.append(f'<text x="{_x(tick, longest):.1f}" y="{height - 12}" text-anchor="middle">{tick} min</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(
    samples: Sequence[Sample], top: int, title: str, series: Sequence[tuple[str, str, str]], longest: float
) -> Iterator[str]:
    most = max((float(getattr(each, name)) for each in samples for _, name, _ in series), default=1.0) or 1.0
    bottom = top + _PANEL - 8
    shown = ", ".join(f'<tspan fill="{colour}">{escape(word)}</tspan>' for word, _, colour in series if word)
    yield f'<text x="{_LEFT}" y="{top + 12}">{escape(title)}{": " if shown else ""}{shown}</text>'
    yield f'<text x="{_LEFT - 6}" y="{top + _TOP + 8}" text-anchor="end">{most:.3g}</text>'
    yield f'<text x="{_LEFT - 6}" y="{bottom}" text-anchor="end">0</text>'
    yield f'<path d="M{_LEFT} {top + _TOP}V{bottom}H{_WIDTH - 10}" fill="none" stroke="#999"/>'
    for before, after in itertools.pairwise(samples):
        if after.life != before.life:
            x = _x(after.minutes, longest)
            yield f'<path d="M{x:.1f} {top + _TOP}V{bottom}" stroke="#bbb" stroke-dasharray="2 3"/>'
    for _, name, colour in series:
        path, last = [], -1.0
        for each in samples:
            y = bottom - float(getattr(each, name)) / most * (bottom - top - _TOP)
            path.append(
                f"{'L' if each.minutes - last < _BREAK and path else 'M'}{_x(each.minutes, longest):.1f} {y:.1f}"
            )
            last = each.minutes
        yield f'<path d="{"".join(path)}" fill="none" stroke="{colour}"/>'


def _x(minutes: float, longest: float) -> float:
    return _LEFT + minutes / longest * (_WIDTH - 10 - _LEFT)
