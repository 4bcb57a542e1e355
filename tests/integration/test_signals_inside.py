"""srwatchd.worker.landlock.keep_signals_inside: the daemon has the console's user, and yet is out of its reach."""

from __future__ import annotations

import subprocess
import sys

import pytest

from srwatchd.worker import landlock

_TRY = """
import os, signal, subprocess, sys
from srwatchd.worker.landlock import keep_signals_inside

assert keep_signals_inside()
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
child.kill()
print("child:", child.wait())
try:
    os.kill(int(sys.argv[1]), signal.SIGTERM)
except PermissionError:
    print("other: refused")
"""


def test_others_cannot_be_signalled_and_children_can():
    """Same user, same rights, and still no signal; what the console has started it can end."""
    try:
        if landlock.abi() < 6:
            pytest.skip("this kernel does not know scopes (Linux 6.12)")
    except OSError:
        pytest.skip("there is no Landlock here")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        words = [sys.executable, "-c", _TRY, str(other.pid)]
        said = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
        assert other.poll() is None
        other.kill()
    assert said.stdout.splitlines() == ["child: -9", "other: refused"], said.stderr
