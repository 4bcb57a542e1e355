"""srwatchd.daemon.upkeep: a stop in the middle of a write."""

from __future__ import annotations

import asyncio
import threading

import pytest

from srwatchd.daemon import upkeep
from srwatchd.daemon.upkeep import Upkeep


@pytest.mark.parametrize("hangs", [False, True])
def test_a_stop_waits_for_what_is_being_written_but_not_for_a_disk_that_hangs(monkeypatch, hangs):
    """Else a hidden half of the figures would be left; a hung mount keeps nobody from ending."""
    monkeypatch.setattr(upkeep, "_CLOSE_SECONDS", 0.2 if hangs else 30.0)
    begun, go, done = threading.Event(), threading.Event(), threading.Event()

    def write():
        begun.set()
        go.wait(60.0)
        done.set()

    async def stopped():
        subject = Upkeep(None, None, None, lambda: None)
        writing = asyncio.create_task(subject._lane.run(write))
        await asyncio.to_thread(begun.wait)
        writing.cancel()
        if not hangs:
            asyncio.get_running_loop().call_later(0.1, go.set)
        await subject.close()

    asyncio.run(stopped())
    assert done.is_set() is not hangs
    go.set()
