"""The standing case: 12 megapixels as a phone makes them, the whole way."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_phone_picture_comes_out_right():
    """Progressive, rotated, Display P3: upright, twice the size, same profile, same EXIF, same colours."""
    command = [sys.executable, "-m", "benchmarks.phone", "--json"]
    answer = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=280, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert json.loads(answer.stdout)["problems"] == []
