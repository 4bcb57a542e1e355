"""A short version of the soak, against the command of this environment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_CANNOT_MOUNT = 77


@pytest.mark.slow
def test_a_short_soak(tmp_path):
    """Faults at random while pictures of every kind keep coming: nothing lost, nothing twice, nothing left over."""
    report = tmp_path / "soak.md"
    words = ["--seconds", "20", "--work", str(tmp_path), "--report", str(report)]
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.soak", *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=280,
        check=False,
    )
    if answer.returncode == _CANNOT_MOUNT:
        pytest.skip(answer.stdout.strip())
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "**Passed**" in report.read_text(encoding="utf-8")
    assert "<svg" in report.with_suffix(".svg").read_text(encoding="utf-8")
