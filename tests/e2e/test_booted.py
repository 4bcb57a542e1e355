"""srwatchd in a booted systemd: a smoke of it, installed as on a box without a network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def booted(*words: str, seconds: float) -> None:
    command = [sys.executable, "-m", "benchmarks.booted", *words]
    answer = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=seconds, check=False)
    if answer.returncode == 77:
        pytest.skip(answer.stdout.strip())
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_smoke():
    """Installed offline it is ready by itself, without a network; kill -9; a bad configuration waits for a person."""
    booted("--short", seconds=880)


@pytest.mark.soak
@pytest.mark.timeout(5400)
def test_everything():
    """Kills, watchdog, memory, reloads, shares, power cuts, the clock, upgrades: back by itself, nothing lost."""
    booted(seconds=5300)
