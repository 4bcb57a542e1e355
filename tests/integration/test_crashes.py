"""srwatchd.daemon.crashes on a real state directory, and the wait of a daemon that a service manager starts again."""

from __future__ import annotations

import contextlib

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
