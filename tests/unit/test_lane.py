"""srwatchd.daemon.lane: one thread a folder, in order, never in the way of the loop."""

from __future__ import annotations

import asyncio
import threading

import pytest

from srwatchd.daemon.lane import Lane


def test_calls_run_in_order_in_one_thread():
    """What was asked for first is done first, in the lane's own thread, with its arguments."""
    seen = []

    async def body():
        lane = Lane("a")
        results = await asyncio.gather(*(lane.run(_note, seen, number, twice=number * 2) for number in range(5)))
        lane.close()
        lane.close()
        return results

    assert asyncio.run(body()) == [0, 2, 4, 6, 8]
    assert [number for number, _ in seen] == [0, 1, 2, 3, 4]
    assert {name for _, name in seen} == {"lane-a"}


def _note(seen, number, *, twice):
    seen.append((number, threading.current_thread().name))
    return twice


def test_errors_come_back_to_the_caller():
    """Whatever is raised in the lane is raised here, and the lane goes on."""

    async def body():
        lane = Lane("a")
        with pytest.raises(ZeroDivisionError):
            await lane.run(divmod, 1, 0)
        assert await lane.run(divmod, 7, 2) == (3, 1)
        lane.close()

    asyncio.run(body())


def test_a_closed_lane_takes_no_calls():
    """A call into nowhere would never return."""

    async def body():
        lane = Lane("a")
        lane.close()
        with pytest.raises(RuntimeError, match="closed"):
            await lane.run(int)

    asyncio.run(body())


@pytest.mark.parametrize("failing", [False, True], ids=["result", "error"])
def test_what_has_begun_is_finished_without_its_caller(failing):
    """A cancelled caller stops waiting; the step on the disk is not cut off, whatever its end."""
    begun, go, done = threading.Event(), threading.Event(), threading.Event()

    def step():
        begun.set()
        go.wait(10)
        done.set()
        if failing:
            raise OSError(5)

    async def body():
        lane = Lane("a")
        task = asyncio.create_task(lane.run(step))
        await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go.set()
        await lane.run(int)
        lane.close()

    asyncio.run(body())
    assert done.is_set()


def test_a_hung_step_keeps_nobody_from_ending():
    """The loop may end while a call hangs; its late result is dropped without a word."""
    begun, go = threading.Event(), threading.Event()

    def step():
        begun.set()
        go.wait(10)

    async def body():
        lane = Lane("hung")
        task = asyncio.create_task(lane.run(step))
        await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        lane.close()

    asyncio.run(body())
    (thread,) = [each for each in threading.enumerate() if each.name == "lane-hung"]
    go.set()
    thread.join(10)
    assert not thread.is_alive()
