"""engine.onnxruntime in a process of its own: what it leaves behind, and under which walls it runs."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("onnxruntime") is None, reason="the extra onnx is not installed"
)

PROGRAM = """
import ctypes, gc, json, os, sys, time
def threads(): return len(os.listdir("/proc/self/task"))
def sockets(): return [each for each in os.listdir("/proc/self/fd") if "socket" in link(each)]
def link(each):
    try:
        return os.readlink(f"/proc/self/fd/{each}")
    except FileNotFoundError:
        return ""
import numpy as np
from srwatchd.config.models import find_models
from srwatchd.engine.onnxruntime import OnnxRuntimeEngine
if "strict" in sys.argv:
    assert ctypes.CDLL(None, use_errno=True).prctl(65, 1, 0, 0, 0) == 0, "refused"
before, open_before = threads(), sockets()
engine = OnnxRuntimeEngine()
assert engine.available() is None
loaded = threads()
network = engine.open(find_models(None)["fsrcnn_x2"], device="cpu", threads=2)
tile = np.random.default_rng(1).integers(0, 256, (40, 40, 3), np.uint8)
once, again = network.upscale(tile), network.upscale(tile)
at_work = threads()
del network
gc.collect()
over = time.monotonic() + 30
while threads() > before and time.monotonic() < over:  # a thread that was joined is listed for a moment longer
    time.sleep(0.01)
print(json.dumps({
    "threads": [loaded - before, at_work - before, threads() - before],
    "sockets": len(sockets()) - len(open_before),
    "same": bool((once == again).all()),
}))
"""


def ran(home, *words):
    environment = {**os.environ, "HOME": str(home), "OPENBLAS_NUM_THREADS": "1"}
    environment = {key: value for key, value in environment.items() if key not in ("CI", "ORT_DISABLE_TELEMETRY")}
    command = [sys.executable, "-c", PROGRAM, *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_nothing_is_left_behind(tmp_path):
    """No thread but those of an open network, no socket, no file in the home folder, not a word: no telemetry."""
    done = ran(tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"threads": [0, 1, 0], "sockets": 0, "same": True}
    assert (done.stderr, list(tmp_path.rglob("*"))) == ("", [])


def test_it_makes_no_memory_executable(tmp_path):
    """As the drop-in with MemoryDenyWriteExecute= asks for, which systemd makes the kernel hold all code to."""
    done = ran(tmp_path, "strict")
    if "refused" in done.stderr:
        pytest.skip("this kernel has no PR_SET_MDWE")
    assert done.returncode == 0, done.stderr
