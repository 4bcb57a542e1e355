"""srwatchd.worker.pool with real child processes: lending, replacing, reloading, closing."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from worker_bench import COVERAGE, SETTINGS, no_descriptor_left

from srwatchd.errors import HostError, ModelError, PermanentError, TransientError
from srwatchd.worker.pool import Initialisation, Policy, Pool

QUICK = Policy(initial_delay=0.01, max_delay=0.05)


def with_pool(settings=SETTINGS, *, count=1, policy=QUICK, initialise=None):
    """Run an async test with a pool, and prove that closing it leaves neither process nor descriptor behind."""

    def decorate(test):
        @functools.wraps(test)
        def run():
            with no_descriptor_left():
                asyncio.run(body())
            assert _children() == set()

        async def body():
            pool = Pool(settings, count=count, policy=policy, initialise=initialise)
            try:
                await test(pool)
            finally:
                await pool.close(0)

        del run.__wrapped__
        return run

    return decorate


def _children() -> set[int]:
    text = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return {int(pid) for pid in text.split() if b"srwatchd.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()}


async def _until(condition):
    while not condition():  # noqa: ASYNC110  nothing announces it
        await asyncio.sleep(0.002)


async def _started(pool, op="native_hang", params=None):
    """A task that has an op running in a borrowed worker, and that worker."""
    began: asyncio.Future = asyncio.get_running_loop().create_future()

    async def borrow():
        async with pool.worker() as worker:
            await worker.call(
                op, params or {}, deadline=60, on_progress=lambda _: began.done() or began.set_result(worker)
            )

    task = asyncio.ensure_future(borrow())
    await asyncio.wait({task, began}, return_when=asyncio.FIRST_COMPLETED)
    return task, began.result()


@with_pool(count=2)
async def test_two_workers_work_at_the_same_time(pool):
    """Two borrowers meet inside their ops, which one worker after the other never could."""
    with tempfile.TemporaryFile("ab") as file:

        async def borrow():
            async with pool.worker() as worker:
                return await worker.call("meet", {}, [0, file.fileno()], deadline=60)

        assert await asyncio.gather(borrow(), borrow()) == [{"met": True}] * 2


@with_pool(count=3)
async def test_workers_start_when_needed(pool):
    """Nothing runs before it is asked for, and a healthy worker is lent again rather than a second one started."""
    assert [state.phase for state in pool.states()] == ["absent"] * 3
    pids = set()
    for _ in range(3):
        async with pool.worker() as worker:
            pids.add(worker.pid)
    assert len(pids) == 1
    assert sorted(state.phase for state in pool.states()) == ["absent", "absent", "idle"]


@with_pool(count=2)
async def test_one_can_be_hastened(pool):
    """One worker is on its way before it is asked for, and is the one that is lent."""
    pool.hasten()
    assert sorted(state.phase for state in pool.states()) == ["absent", "starting"]
    async with pool.worker():
        assert pool.restarts == 0
    assert sorted(state.phase for state in pool.states()) == ["absent", "idle"]


@with_pool(count=2)
async def test_start_has_all_ready(pool):
    """After start() every worker is there; a second start() changes nothing."""
    await pool.start()
    pids = {state.pid for state in pool.states()}
    assert len(pids) == 2
    assert {state.phase for state in pool.states()} == {"idle"}
    await pool.start()
    assert {state.pid for state in pool.states()} == pids


@with_pool(count=1)
async def test_borrowers_wait_in_order(pool):
    """One worker, many borrowers: each has it alone, in the order they came."""
    order = []

    async def borrow(number):
        async with pool.worker() as worker:
            order.append(number)
            await worker.call("noop", {}, deadline=60)

    await asyncio.gather(*(borrow(number) for number in range(5)))
    assert order == list(range(5))


@with_pool(count=1)
async def test_states_tell_what_goes_on(pool):
    """The status sees who works on what since when, and its last progress."""
    task, worker = await _started(pool)
    (state,) = pool.states()
    assert (state.role, state.pid, state.phase, state.op) == ("test", worker.pid, "busy", "native_hang")
    assert state.busy_since <= state.last_progress
    assert state.progress == {"started": True}
    task.cancel()
    await asyncio.wait({task})


@with_pool(count=1)
async def test_a_dead_worker_is_replaced(pool):
    """After a crash the next borrower gets a new process, and the place counts the failure until an op is done."""
    with pytest.raises(TransientError):
        async with pool.worker() as worker:
            await worker.call("crash", {}, deadline=60)
    assert pool.states()[0].phase == "starting"
    assert pool.states()[0].failures == 1
    async with pool.worker() as other:
        assert other.pid != worker.pid
        assert await other.call("noop", {}, deadline=60)
    assert pool.states()[0].failures == 0


@with_pool(count=1)
async def test_a_worker_killed_while_idle_is_not_lent(pool):
    """One that died between two borrowers is replaced before anybody's op is spent on it."""
    async with pool.worker() as worker:
        pass
    os.kill(worker.pid, signal.SIGKILL)
    await worker.gone(30)
    assert pool.states()[0].phase == "absent"
    async with pool.worker() as other:
        assert await other.call("noop", {}, deadline=60)


@with_pool(count=1)
async def test_a_cancelled_op_costs_its_worker_only(pool):
    """Cancelling kills the worker, counts as nobody's failure, and the pool goes on."""
    task, worker = await _started(pool)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await worker.gone(30)
    assert pool.states()[0].failures == 0
    async with pool.worker() as other:
        assert await other.call("noop", {}, deadline=60)


@with_pool(count=1)
async def test_an_op_left_behind_is_killed(pool):
    """A borrower that leaves its block while its op runs does not hand a busy worker to the next."""
    async with pool.worker() as worker:
        call = asyncio.ensure_future(worker.call("native_hang", {}, deadline=60))
        await asyncio.sleep(0.05)
    with pytest.raises(TransientError):
        await call
    async with pool.worker() as other:
        assert await other.call("noop", {}, deadline=60)


@with_pool(count=1, initialise=Initialisation(op="noop", params={"model": "m"}))
async def test_every_worker_is_initialised(pool):
    """The first op is done before the worker is lent, its result is kept, and it is no work of the worker's."""
    async with pool.worker() as worker:
        assert worker.completed == 1
    (state,) = pool.states()
    assert state.facts == {"params": {"model": "m"}, "fds": 0}
    assert state.completed == 0


def test_a_passing_trouble_is_outlasted(tmp_path):
    """Starts are repeated with growing waits until one succeeds."""
    path = tmp_path / "there"

    async def body():
        first = Initialisation(op="first_time_only", params={"path": str(path)})
        pool = Pool(SETTINGS, count=1, policy=replace(QUICK, attempts=100), initialise=first)
        try:
            borrower = asyncio.ensure_future(pool.worker().__aenter__())
            await _until(lambda: pool.states()[0].failures > 0)
            assert "not yet" in pool.states()[0].last_error
            path.touch()
            assert (await borrower).alive
            assert pool.states()[0].facts == {"engine": "none"}
        finally:
            await pool.close(0)

    asyncio.run(body())


@with_pool(count=1, initialise=Initialisation(op="defect"))
async def test_starts_that_keep_failing_are_the_host_s_fault(pool):
    """After the policy's attempts the borrower is told why; each later one costs one more attempt, not a storm."""
    for failures in (3, 4):
        with pytest.raises(HostError, match=r"(?s)test workers do not start.*ZeroDivisionError") as caught:
            async with pool.worker():
                pass
        assert caught.value.code == "workers_unavailable"
        assert pool.states()[0].failures == failures
    with pytest.raises(HostError):
        await pool.start()


@pytest.mark.parametrize(
    ("op", "params", "kind"),
    [
        ("refuse", {}, ModelError),
        ("fail", {"class": "HostError", "code": "disk_full", "message": "m", "hint": "h"}, HostError),
    ],
)
def test_a_telling_error_of_the_initialisation_comes_through(op, params, kind):
    """A missing model or a full disk is reported as what it is, at once."""

    @with_pool(count=1, initialise=Initialisation(op=op, params=params))
    async def run(pool):
        with pytest.raises(kind) as caught:
            async with pool.worker():
                pass
        assert caught.value.code in ("model_missing", "disk_full")

    run()


@with_pool(count=1, policy=replace(QUICK, recycle_after=2))
async def test_workers_are_recycled_after_some_ops(pool):
    """A worker is exchanged for a fresh one after its number of ops, failed ones included."""
    pids = []
    for op in ("noop", "defect", "noop"):
        with contextlib.suppress(PermanentError):
            async with pool.worker() as worker:
                pids.append(worker.pid)
                await worker.call(op, {}, deadline=60)
    assert pids[0] == pids[1] != pids[2]


@with_pool(count=1, policy=replace(QUICK, recycle_age=0.0))
async def test_workers_are_recycled_by_age(pool):
    """A worker that is old enough is exchanged when it is given back, and a new one is lent whatever its age."""
    pids = set()
    for _ in range(3):
        async with pool.worker() as worker:
            pids.add(worker.pid)
            await worker.call("noop", {}, deadline=60)
    assert len(pids) == 3


@with_pool(count=2)
async def test_restart_replaces_idle_workers_now_and_busy_ones_later(pool):
    """A reload interrupts no op, and nobody is lent a worker with the old settings."""
    await pool.start()
    before = {state.pid for state in pool.states()}
    async with pool.worker() as busy:
        await pool.restart(replace(SETTINGS, environment={"NEW": "1"} | COVERAGE))
        assert busy.alive
        assert len(before & {state.pid for state in pool.states()}) == 1
        assert await busy.call("noop", {}, deadline=60)
    async with pool.worker() as one, pool.worker() as two:
        for worker in (one, two):
            assert worker.pid not in before
            assert (await worker.call("look", {}, deadline=60))["environment"]["NEW"] == "1"


@with_pool(replace(SETTINGS, tasks="no_such_module:TASKS"), policy=Policy(initial_delay=60, max_delay=60))
async def test_restart_reaches_a_borrower_that_waits_for_a_start(pool):
    """A correction by reload helps at once those who wait for workers that did not start."""
    borrower = asyncio.ensure_future(pool.worker().__aenter__())
    await _until(lambda: pool.states()[0].failures > 0)
    await pool.restart(SETTINGS)
    assert (await borrower).alive


@with_pool(count=1)
async def test_a_borrower_cancelled_during_the_start_does_not_stop_it(pool):
    """The worker that it waited for is there for the next one."""
    borrower = asyncio.ensure_future(pool.worker().__aenter__())
    await asyncio.sleep(0)
    await _until(lambda: pool.states()[0].phase == "starting")
    borrower.cancel()
    await asyncio.wait({borrower})
    assert pool.states()[0].phase == "starting"
    async with pool.worker() as worker:
        assert await worker.call("noop", {}, deadline=60)


@with_pool(count=2)
async def test_close_waits_for_borrowers_in_time(pool):
    """An op that ends within the timeout is not disturbed."""
    task, _ = await _started(pool, "steps", {"count": 1, "pause": 0, "then": 0.3})
    await pool.close(60)
    await task


@with_pool(count=1)
async def test_close_ends_ops_that_take_too_long(pool):
    """What is cut off, and who waits or comes later, gets a host error, which spends no attempt."""
    task, worker = await _started(pool)
    waiting = asyncio.ensure_future(pool.worker().__aenter__())
    await asyncio.sleep(0)
    await pool.close(0.05)
    assert worker.returncode == -signal.SIGKILL
    for cut in (task, waiting):
        with pytest.raises(HostError) as caught:
            await cut
        assert caught.value.code == "workers_unavailable"
    for late in (pool.start, pool.restart, pool.worker().__aenter__):
        with pytest.raises(HostError):
            await late()
    await pool.close(0)


@with_pool(count=2)
async def test_close_during_the_start(pool):
    """Workers on their way up are ended too, and those who wait for them are told."""
    start = asyncio.ensure_future(pool.start())
    await _until(lambda: len(_children()) == 2)
    await pool.close(0)
    with pytest.raises(HostError):
        await start


def test_waits_between_starts_grow_to_a_limit():
    """No failure, no wait; then doubling, bounded however often it fails."""
    policy = Policy(initial_delay=0.5, max_delay=30)
    assert [policy.delay(n) for n in (0, 1, 2, 3, 10, 10_000)] == [0, 0.5, 1, 2, 30, 30]
