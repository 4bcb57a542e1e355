"""What the benchmark suite makes of its figures."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from benchmarks.performance.figures import Figures
from benchmarks.performance.page import write
from benchmarks.performance.plot import Bar, Curve, bars, curves
from benchmarks.performance.samples import exponent, percentile, short, with_spread
from benchmarks.performance.sections.way import ratios

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "performance.md"


def test_the_page_is_made_of_its_figures(tmp_path: Path) -> None:
    """`python -m benchmarks.performance --redraw --report docs/performance.md` brings page and plots up to date."""
    write(tmp_path / PAGE.name, Figures.stored(PAGE.with_suffix(".json")))
    for path in tmp_path.iterdir():
        assert path.read_text(encoding="utf-8") == (PAGE.parent / path.name).read_text(encoding="utf-8"), path.name


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_a_power_law_is_found(power: float) -> None:
    """The exponent of exact growth is exact, whatever the factor."""
    sizes = [1.0, 10.0, 40.0, 100.0]
    assert exponent(sizes, [3.0 * size**power for size in sizes]) == pytest.approx(power)


def test_percentiles_are_values_that_were_seen() -> None:
    """Nothing is interpolated between two of a few samples."""
    seen = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert [percentile(seen, part) for part in (0.0, 0.5, 0.95, 1.0)] == [1.0, 3.0, 5.0, 5.0]


@pytest.mark.parametrize(("value", "shown"), [(0.0, "0"), (1234.5, "1,234"), (12.34, "12.3"), (0.01234, "0.0123")])
def test_three_digits_are_shown(value: float, shown: str) -> None:
    """As many as a timing is worth."""
    assert short(value) == shown


def test_a_single_sample_has_no_spread() -> None:
    """And several show half the distance of their ends."""
    assert with_spread([2.0]) == "2.00"
    assert with_spread([1.8, 2.0, 2.2]) == "2.00 ± 10 %"


def test_ratios_are_of_the_same_batch() -> None:
    """A slow batch of both is no change of their ratio."""
    row = {"seconds": {"superres": [10.0, 20.0], "daemon 1": [5.0, 10.0]}}
    assert ratios(row, "daemon 1", to="superres") == [2.0, 2.0]


def test_plots_draw_what_there_is() -> None:
    """One bar or one curve each, and a plot of nothing is still a plot."""
    drawn = bars("speed", [Bar("a", "ours", 2.0, 1.5, 2.5), Bar("a", "<theirs>", 1.0, 1.0, 1.0)], unit="x")
    assert drawn.count("<rect") == 1 + 2
    assert "&lt;theirs&gt;" in drawn
    panels = curves([("time", "megapixels", "s", [Curve("", [(1.0, 1.0), (100.0, 90.0)])]), ("none", "", "", [])])
    assert panels.count("<polyline") == 1
