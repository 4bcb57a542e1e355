"""srwatchd.daemon.crashes on a real state directory, and the wait of a daemon that a service manager starts again."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys

import pytest

from srwatchd.daemon.crashes import Crashes
from srwatchd.daemon.state import StateDirectory


@pytest.fixture
def state(tmp_path):
    with contextlib.closing(StateDirectory.open(tmp_path / "state")) as opened:
        yield opened


def test_crashes_in_a_row_make_it_wait(state):
    """Two for nothing, then 10 s doubling up to five minutes."""
    waits = [Crashes(state, boot="b").wait for _ in range(10)]
    assert waits == [0, 0, 0, 10, 20, 40, 80, 160, 300, 300]


@pytest.mark.parametrize("end", ["ended", "steady"])
def test_a_good_time_makes_them_forgotten(state, end):
    """An end that was asked for, and a minute of service."""
    for _ in range(5):
        crashes = Crashes(state, boot="b")
    getattr(crashes, end)()
    assert Crashes(state, boot="b").count == (0 if end == "ended" else 1)


def test_another_boot_is_another_story(state):
    """A power cut is no crash of the daemon."""
    for _ in range(5):
        Crashes(state, boot="b")
    assert Crashes(state, boot="c").count == 0


@pytest.mark.parametrize("kept", [None, [], {"boot": "b"}, {"boot": "b", "running": True, "crashes": "many"}])
def test_what_cannot_be_understood_is_little(state, kept):
    """A damaged count never keeps a daemon from working."""
    state.write("starts", kept)
    assert Crashes(state, boot="b").count <= 1


def test_a_daemon_that_is_started_again_and_again_waits_and_says_so(tmp_path):
    """After three crashes a service manager is told, and given time; a stop ends the wait and the count."""
    state = StateDirectory.open(tmp_path / "var")
    for _ in range(3):
        Crashes(state)
    state.close()
    places = ", ".join(f"{name}: {tmp_path / name}" for name in ("inbox", "done", "error"))
    config = tmp_path / "srwatchd.yaml"
    config.write_text(f"folders: [{{id: a, {places}, model: fsrcnn_x3}}]\n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")}
        command = [sys.executable, "-m", "srwatchd", "run", "--config", str(config)]
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as daemon:
            told = [manager.recv(4096).decode(), manager.recv(4096).decode()]
            daemon.terminate()
            said = daemon.communicate(timeout=60)[1]
    assert told[0].startswith("EXTEND_TIMEOUT_USEC=")
    assert told[1].startswith("STATUS=ended 3 times in a row without being asked to; waiting 10 s")
    assert daemon.returncode == 0, said
    state = StateDirectory.open(tmp_path / "var")
    assert Crashes(state).count == 0
    state.close()
