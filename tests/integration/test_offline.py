"""The whole service is offline: seen from outside, by the system calls of the daemon and all of its workers."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))
from commands import PATIENCE, ROOT, command, png, prepared, small_model, wait_for

STRACE = shutil.which("strace")
CREATION = re.compile(r"\bsocket(?:pair)?\((\w+)")
REACHING = re.compile(r"\b(?:connect|sendto|bind)\(.*\bsa_family=(\w+)")


def _strace_works():
    if STRACE is None:
        return False
    tried = subprocess.run([STRACE, "-o", "/dev/null", "true"], capture_output=True, check=False)
    return tried.returncode == 0


pytestmark = [
    pytest.mark.skipif(STRACE is None, reason="strace is not installed"),
    pytest.mark.skipif(not _strace_works(), reason="strace may not trace here"),
]


def traced(log, *words):
    return [STRACE, "-f", "-qq", "-e", "trace=%network", "-e", "signal=none", "-o", str(log), *command(*words)]


def families(log):
    """The address families of every socket that was made, and of every address that was used."""
    text = log.read_text(errors="replace")
    made, used = CREATION.findall(text), REACHING.findall(text)
    assert made, "the trace holds no socket at all, so it proves nothing"
    return set(made) | set(used)


def results(config):
    return list((config.parent / "hot" / "pictures" / "done").glob("[!.]*"))


def test_a_whole_run_of_the_daemon_opens_nothing_but_local_sockets(tmp_path):
    """Start, models timed on every engine, a picture delivered, a status asked for, stop: AF_UNIX only."""
    config = prepared(tmp_path / "hot")
    log = tmp_path / "trace"
    with (tmp_path / "errors").open("wb") as errors:
        daemon = subprocess.Popen(traced(log, "run", "--config", config), cwd=ROOT, stderr=errors)
    try:
        (config.parent / "hot" / "pictures" / "in" / "a.png").write_bytes(png())
        wait_for(lambda: daemon.poll() is not None or results(config))
        asked = subprocess.run(
            command("status", "--config", config), cwd=ROOT, capture_output=True, timeout=PATIENCE, check=False
        )
        assert asked.returncode == 0
        children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()
        subprocess.run(["/bin/kill", f"-{signal.SIGTERM.value}", *children], check=True)
        assert daemon.wait(PATIENCE) == 0, (tmp_path / "errors").read_text()
    finally:
        daemon.kill()
    assert families(log) == {"AF_UNIX"}
    assert len(results(config)) == 1


def test_a_batch_opens_nothing_but_local_sockets(tmp_path):
    """The command without a daemon keeps the same promise."""
    (tmp_path / "a.png").write_bytes(png())
    log = tmp_path / "trace"
    words = ("upscale", tmp_path / "a.png", "--model", small_model(), "--output", tmp_path / "out")
    done = subprocess.run(traced(log, *words), cwd=ROOT, capture_output=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    assert families(log) == {"AF_UNIX"}
