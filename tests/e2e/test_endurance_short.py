"""A short version of every endurance scenario, against the command of this environment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = (
    *("edsr", "photographs", "kills", "steps", "worker-steps", "errors", "disk-full", "read-only", "inbox"),
    *("second", "stop", "reload", "writers", "latency", "user-photographs", "user-kills", "user-foreign"),
)


def endurance(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.endurance", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=600, check=False)


@pytest.mark.slow
@pytest.mark.timeout(660)
@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name, tmp_path_factory):
    """Nothing lost, nothing twice, nothing left over, everything told, whatever was done to the daemon."""
    answer = endurance(name, "--short")
    if "  skipped in " in answer.stdout:
        pytest.skip(answer.stdout.splitlines()[1].strip())
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_every_scenario_has_its_short_version_here():
    """Whoever adds a scenario adds it to CI."""
    said = endurance("no-such-scenario").stderr
    assert {word.strip() for word in said.split("known are")[1].split(",")} == set(SCENARIOS)
