"""srwatchd.daemon.crashes on a real state directory, and the wait of a daemon that a service manager starts again."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess

import pytest
from commands import PATIENCE, command, small_model
from delivery_places import fill, remount, tmpfs

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


def test_a_start_that_cannot_be_counted_waits_all_the_same(tmp_path):
    """On a full disk nobody would know how often it crashed."""
    with tmpfs(tmp_path / "disk", "size=64k") as disk, contextlib.closing(StateDirectory.open(disk / "var")) as state:
        fill(disk)
        crashes = Crashes(state, boot="b")
        assert crashes.wait == 30
        assert crashes.reason.startswith("this start cannot be counted: writing ")


class Manager:
    """A service manager's socket, and a daemon that speaks to it."""

    def __init__(self, root):
        self.root = root
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(root / "notify"))
        self.socket.settimeout(PATIENCE)
        places = ", ".join(f"{name}: {root / name}" for name in ("inbox", "done", "error"))
        self.config = root / "srwatchd.yaml"
        self.config.write_text(f"state_dir: var\nfolders: [{{id: a, {places}, model: {small_model()}}}]\n")

    def __enter__(self):
        environment = {**os.environ, "NOTIFY_SOCKET": str(self.root / "notify")}
        words = command("run", "--config", self.config)
        self.daemon = subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_):
        self.socket.close()
        with self.daemon:
            self.daemon.kill()

    def told(self, beginning):
        """Everything that it is told up to a line that begins so."""
        lines = []
        while not any(line.startswith(beginning) for line in lines):
            lines += self.socket.recv(4096).decode().splitlines()
        return lines

    def stopped(self):
        """What the daemon said; it ends well when it is asked to."""
        self.daemon.terminate()
        said = self.daemon.communicate(timeout=PATIENCE)[1]
        assert self.daemon.returncode == 0, said
        return said


def test_a_daemon_that_is_started_again_and_again_waits_and_says_so(tmp_path):
    """After three crashes a service manager is told, and given time; a stop ends the wait and the count."""
    state = StateDirectory.open(tmp_path / "var")
    for _ in range(3):
        Crashes(state)
    state.close()
    with Manager(tmp_path) as manager:
        told = manager.told("STATUS=")
        manager.stopped()
    assert told[0].startswith("EXTEND_TIMEOUT_USEC=")
    assert told[1].startswith("STATUS=ended 3 times in a row without being asked to; waiting 10 s")
    state = StateDirectory.open(tmp_path / "var")
    assert Crashes(state).count == 0
    state.close()


def test_an_unusable_state_directory_is_waited_for(tmp_path):
    """A read-only one is no crash: nothing is begun, the service manager is told, and it goes on by itself."""
    with tmpfs(tmp_path / "var"):
        remount(tmp_path / "var", "ro")
        with Manager(tmp_path) as manager:
            before = manager.told("STATUS=held")
            remount(tmp_path / "var", "rw")
            manager.told("READY=1")
            said = manager.stopped()
    assert before[-1] == f"STATUS=held: opening the state directory '{tmp_path}/var': Read-only file system"
    assert "READY=1" not in before
    assert before[0].startswith("EXTEND_TIMEOUT_USEC=")
    assert said.count('"held"') == 1, "said once, however often it was tried"


def test_a_stop_while_the_state_directory_is_waited_for(tmp_path):
    """It ends well, and nothing was touched."""
    (tmp_path / "var").write_text("not a folder")
    with Manager(tmp_path) as manager:
        manager.told("STATUS=held")
        manager.stopped()
    assert (tmp_path / "var").read_text() == "not a folder"
    assert not (tmp_path / "inbox").exists()
