"""Disks that hang: nobody waits longer than promised, and nobody waits for another's disk."""

from __future__ import annotations

import asyncio
import threading

import pytest

from srwatchd.console.disks import Disks


def test_a_disk_that_hangs_stalls_only_itself_and_is_soon_not_asked_any_more():
    """Its own threads hang; the next question is refused at once, that of another disk answered."""
    healed, asked = threading.Event(), []

    def hang():
        asked.append(1)
        healed.wait(30)
        return len(asked)

    async def look():
        disks, late = Disks(), []
        for _ in range(4):
            with pytest.raises(TimeoutError):
                await disks.run("dead", hang, seconds=0.02, unwanted=late.append)
        with pytest.raises(TimeoutError, match="dead does not answer"):
            await disks.run("dead", hang, seconds=60)
        assert await disks.run("well", lambda: "here", seconds=60) == "here"
        healed.set()
        while len(late) < 4:  # noqa: ASYNC110 - threads
            await asyncio.sleep(0.01)
        assert await disks.run("dead", lambda: "back", seconds=60) == "back"
        assert len(asked) == 4
        disks.close()

    asyncio.run(look())


def test_who_goes_away_leaves_nothing_open():
    """A descriptor that comes too late is given to whoever closes it."""
    go = threading.Event()

    async def look():
        disks, closed = Disks(), []
        asking = asyncio.create_task(disks.run("a", lambda: go.wait(30) and 7, unwanted=closed.append))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        go.set()
        while not closed:  # noqa: ASYNC110 - threads
            await asyncio.sleep(0.01)
        assert closed == [7]
        disks.close()

    asyncio.run(look())
