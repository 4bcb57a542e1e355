"""Pictures larger than memory through real daemons, in a control group of memory_limit and a tenth if possible."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("unmeasured")

ROOT = Path(__file__).parents[2]
REFUSED = "too_large_for_memory"
NO_GROUP = 75


def large(*words, patience=280):
    """The lines that the benchmark prints about its cases."""
    command = [sys.executable, "-m", "benchmarks.large", *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=patience, check=False)
    assert done.returncode in (0, NO_GROUP), done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if " MP " in line]
    assert all(line.startswith("ok ") for line in lines), done.stdout
    return lines


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_kind_at_the_smallest_limit(tmp_path):
    """Streamed ones, one for which the networks are put away, and one that is refused with figures before inference."""
    *delivered, refused = large("--short", "--directory", str(tmp_path))
    assert len(delivered) == 5
    assert not [line for line in delivered if REFUSED in line]
    assert REFUSED in refused
    assert "takes 129 MiB; memory_limit leaves 104 MiB" in refused
    assert "upscale" not in refused
    assert not list(tmp_path.iterdir())


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_twelve_megapixels_at_the_smallest_limit(tmp_path):
    """MINIMUM_MEMORY is true: a photograph of a phone, small networks and large ones."""
    lines = large("--megapixels", "12", "--directory", str(tmp_path), patience=7200)
    assert len(lines) == 3
    assert not [line for line in lines if REFUSED in line]


@pytest.mark.soak
@pytest.mark.timeout(4 * 7200)
@pytest.mark.parametrize("megapixels", ["100", "400"])
def test_large_ones_at_the_usual_limit(tmp_path, megapixels):
    """Every kind completes at 1 GiB, or is refused before inference."""
    lines = large("--megapixels", megapixels, "--directory", str(tmp_path), patience=4 * 7200)
    assert len(lines) == 5
    if megapixels == "100":
        assert [line for line in lines if REFUSED in line] == lines[:1]
