"""srwatchd.daemon.holds: why work stands still, and when the cause is looked at again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from srwatchd.daemon import holds
from srwatchd.daemon.holds import Hold
from srwatchd.errors import HINTS, HostError

FULL = HostError("disk_full", "no room", path="/out")


def test_a_hold_says_everything_a_person_needs():
    """Code, message, hint, place and since when."""
    hold = Hold.from_error(FULL, now=100.0, at="then")
    assert hold.to_dict() == {
        "code": "disk_full",
        "message": "no room",
        "hint": HINTS["disk_full"],
        "path": "/out",
        "since": "then",
    }
    assert (hold.tries, hold.next_look) == (1, 101.0)


def test_it_is_looked_at_ever_less_often():
    """1, 2, 4 ... and never more than 30 seconds apart; the start of the first hold is kept."""
    hold, waits = None, []
    for number in range(8):
        hold = Hold.from_error(FULL, now=0.0, at=f"at {number}", before=hold)
        waits.append(hold.next_look)
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert hold.since == "at 0"


def test_a_full_disk_is_tried_again_when_bytes_or_inodes_were_freed(monkeypatch):
    """Neither a full disk nor one without inodes waits for the tenth look once there is room."""
    free = [(10, 0)]
    monkeypatch.setattr(holds, "_free", lambda _path: free[0])
    hold = Hold.from_error(FULL, now=0.0, at="then")
    with pytest.raises(HostError, match="no room"):
        hold.check()
    for room in ((11, 0), (10, 1)):
        free[0] = room
        hold.check()


def test_now_and_then_it_is_tried_although_nothing_seems_to_be_free():
    """Others may use up what is freed as fast as it is."""
    assert replace(Hold.from_error(FULL, now=0.0, at="then"), path="", tries=10).check() is None
