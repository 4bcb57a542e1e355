"""A little of the benchmark suite, against the command of this environment: that it works, never how fast."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[2]


def quickly(parts: Sequence[str], work: Path) -> tuple[dict[str, Any], Path]:
    """The figures of a quick run of ``parts``, and its page."""
    page = work / "performance.md"
    words = [*parts, "--quick", "--work", str(work), "--report", str(page)]
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.performance", *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=280,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert not list(work.glob("srwatchd-performance-*"))
    figures = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))["parts"]
    assert set(figures) == set(parts)
    return figures, page


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_contests_run_and_their_page_is_consistent(tmp_path):
    """Engines computed the same picture, loops and daemons wrote their results, and the page shows it."""
    figures, page = quickly(("engines", "way"), tmp_path)
    for row in figures["engines"].values():
        assert row["contestants"]["superres"]["seconds"], row
        assert row["contestants"]["opencv"]["mean"] <= 1, row
    for row in figures["way"].values():
        assert {"superres", "ours", "daemon 1", "daemon 2"} <= set(row["seconds"])
        assert all(row["written"].values())
    for plot in ("performance-way.svg", "performance-engines-240x160.svg"):
        assert plot in page.read_text(encoding="utf-8")
        assert "<svg" in (tmp_path / plot).read_text(encoding="utf-8")


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_the_other_parts_run(tmp_path):
    """Latency, rest and growth give their figures."""
    figures, page = quickly(("latency", "idle", "growth"), tmp_path)
    assert set(figures["latency"]) == {"drop", "upscale"}
    assert {key.split()[0] for key in figures["growth"]} == {"size", "backlog", "folders"}
    assert "performance-growth.svg" in page.read_text(encoding="utf-8")
