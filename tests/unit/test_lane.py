"""srwatchd.daemon.lane: one thread a folder, in order, never in the way of the loop."""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from types import SimpleNamespace

import pytest

from srwatchd.daemon import lane as lane_module
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


def test_a_long_call_aside_keeps_no_other_waiting():
    """What is asked of the lane meanwhile is done; the long call comes to its end, and both are told apart."""
    go, names = threading.Event(), []

    def long():
        names.append(threading.current_thread().name)
        return go.wait(10)

    async def body():
        lane = Lane("a")
        copying = asyncio.create_task(lane.run_aside(long))
        assert await lane.run(divmod, 7, 2) == (3, 1)
        assert not copying.done()
        go.set()
        assert await copying
        lane.close()

    asyncio.run(body())
    assert names == ["lane-a-aside"]


@pytest.mark.parametrize("patient", [True, False])
def test_the_last_call_comes_after_a_long_one(patient):
    """The folder's descriptors are closed when nothing uses them any more, also when nobody waits for that."""
    go, seen = threading.Event(), queue.SimpleQueue()

    def long():
        go.wait(10)
        seen.put("long")

    async def body():
        lane = Lane("last")
        copying = asyncio.create_task(lane.run_aside(long))
        last = asyncio.create_task(lane.run_last(seen.put, "last"))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="closed"):
            await lane.run(int)
        if not patient:
            last.cancel()
        go.set()
        await asyncio.gather(copying, last, return_exceptions=True)
        lane.close()

    asyncio.run(body())
    assert [seen.get(timeout=10), seen.get(timeout=10)] == ["long", "last"]
    for each in threading.enumerate():
        if each.name.startswith("lane-last"):
            each.join(10)
            assert not each.is_alive()


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


@pytest.mark.parametrize("counted", [True, False])
def test_only_a_call_that_moves_nothing_is_a_hung_disk(monkeypatch, counted):
    """A copy goes on for as long as it takes, while bytes move; where they are not counted, time alone decides."""
    if counted and not os.access("/proc/thread-self/io", os.R_OK):
        pytest.skip("this kernel does not count what is read and written")
    clock = SimpleNamespace(now=1000.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(lane_module, "time", clock)
    if not counted:
        monkeypatch.setattr(lane_module._Thread, "_counters", lambda _thread: "")
    orders, done = queue.SimpleQueue(), queue.SimpleQueue()

    def step():
        reading, writing = os.pipe()
        while (order := orders.get(timeout=60)) != "end":
            if order == "move":
                os.write(writing, b"chunk")
                os.read(reading, 99)
            done.put(order)
        os.close(reading)
        os.close(writing)

    async def body():
        lane = Lane("copy")
        assert lane.stalled == 0
        copying = asyncio.create_task(lane.run(step))
        seen = []
        for order in ["move", "move", "move", "wait", "wait", "move"]:
            orders.put(order)
            await asyncio.to_thread(done.get, timeout=60)
            clock.now += 45
            seen.append(lane.stalled)
        orders.put("end")
        await copying
        lane.close()
        return seen

    assert asyncio.run(body()) == ([0, 0, 0, 0, 90, 0] if counted else [0, 90, 135, 180, 225, 270])
