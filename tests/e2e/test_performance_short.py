"""A little of the benchmark suite, against the command of this environment: that it works, never how fast."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.performance.page import SECTIONS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_suite_runs_and_its_page_is_consistent(tmp_path):
    """Every part gives its figures, the contestants computed the same pictures, and the page shows it."""
    report = tmp_path / "performance.md"
    words = ["--quick", "--work", str(tmp_path), "--report", str(report)]
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.performance", *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=280,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    parts = json.loads(report.with_suffix(".json").read_text(encoding="utf-8"))["parts"]
    assert set(parts) == set(SECTIONS)
    for row in parts["engines"].values():
        seen = row["contestants"]
        assert seen["superres"]["seconds"], row
        assert seen["opencv"]["mean"] <= 1, row
    for row in parts["way"].values():
        assert {"superres", "ours", "daemon 1", "daemon 2"} <= set(row["seconds"])
        assert all(row["written"].values())
    assert {key.split()[0] for key in parts["growth"]} == {"size", "backlog", "folders"}
    page = report.read_text(encoding="utf-8")
    assert page.count("*Not measured.*") == 1  # workers: there are two daemons in the part before
    for plot in ("performance-way.svg", "performance-growth.svg", "performance-engines-240x160.svg"):
        assert "<svg" in (tmp_path / plot).read_text(encoding="utf-8")
    assert not list(tmp_path.glob("srwatchd-performance-*"))
