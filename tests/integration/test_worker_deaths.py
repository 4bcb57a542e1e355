"""srwatchd.worker.process with real child processes: every way a worker can fail us, and what we make of it."""

from __future__ import annotations

import asyncio
import errno
import os
import select
import signal
import time
from dataclasses import replace
from unittest import mock

import pytest
from worker_bench import SETTINGS, with_worker

from srwatchd.errors import HostError, TransientError
from srwatchd.worker import evidence


async def spoken(worker):
    """Hold up the loop until the worker has said something: however long that takes, it came in time."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert select.select([worker._connection], [], [], 30)[0]


@with_worker()
async def test_a_crash_is_a_transient_error_with_evidence(worker):
    """A segmentation fault names the signal and the Python stack that led to it."""
    with pytest.raises(TransientError, match="SIGSEGV") as caught:
        await worker.call("crash", {}, deadline=60)
    assert caught.value.code == "worker_died"
    assert "worker_ops.py" in caught.value.message
    assert not worker.alive
    with pytest.raises(TransientError, match="before 'noop'"):
        await worker.call("noop", {}, deadline=30)


@with_worker()
async def test_last_words_are_kept(worker):
    """What a worker wrote before it left is in the error, with its exit status."""
    with pytest.raises(TransientError, match=r"(?s)exit status 7 during 'leave'.*a few last words"):
        await worker.call("leave", {}, deadline=60)


@with_worker()
async def test_last_words_are_bounded(worker):
    """A flood on stderr neither blocks the worker nor fills our memory; its end is kept."""
    with pytest.raises(TransientError, match=r"the end$") as caught:
        await worker.call("chatter", {}, deadline=60)
    assert len(caught.value.message) < 3000


@with_worker()
async def test_a_native_hang_is_killed_at_the_deadline(worker):
    """A call that looks at nothing is ended by the supervisor, with its last progress as evidence."""
    call = asyncio.ensure_future(worker.call("native_hang", {}, deadline=0.5))
    await spoken(worker)
    with pytest.raises(TransientError, match=r"no progress in 0.5 s.*'started': True") as caught:
        await call
    assert caught.value.code == "worker_hung"
    assert (worker.returncode, worker.ending) == (-signal.SIGKILL, "hung")


@with_worker()
async def test_progress_restarts_the_deadline(worker):
    """An op that is longer than its deadline goes on as long as it makes progress, and is seen to."""
    seen = []

    def clock():
        """The loop's: by it a step takes 20 seconds."""
        return time.monotonic() + 20 * len(seen)

    def note(progress):
        seen.append(progress)
        assert worker.progress == progress
        assert worker.progressed_at >= worker.busy_since
        assert worker.op == "steps"

    params = {"count": 10, "pause": 0.05}
    with mock.patch.object(asyncio.get_running_loop(), "time", clock):
        assert await worker.call("steps", params, deadline=30, on_progress=note) == {"steps": 10}
    assert seen == [{"step": step} for step in range(10)]
    assert (worker.op, worker.busy_since, worker.progress) == ("", None, {})


@with_worker()
async def test_a_late_look_is_not_taken_for_a_hang(worker):
    """When the supervisor itself was held up, an answer that came in time counts."""
    params = {"count": 0, "pause": 0, "then": 0.5}
    call = asyncio.ensure_future(worker.call("steps", params, deadline=1))
    await spoken(worker)
    time.sleep(1.5)  # noqa: ASYNC251  holding up the loop beyond the deadline is the point
    assert await call == {"steps": 0}


@with_worker(replace(SETTINGS, data_limit=200 << 20))
async def test_too_much_memory_is_out_of_memory(worker):
    """The limit makes allocations fail inside the worker; it says so, lives on and can do the smaller thing."""
    with pytest.raises(TransientError) as caught:
        await worker.call("allocate", {"bytes": 1 << 30}, deadline=60)
    assert caught.value.code == "out_of_memory"
    assert worker.alive
    assert await worker.call("allocate", {"bytes": 50 << 20}, deadline=60) == {}


@with_worker()
async def test_opencv_s_word_for_it_is_out_of_memory(worker):
    """A native library's own exception for a failed allocation is recognised by its text."""
    with pytest.raises(TransientError) as caught:
        await worker.call("opencv_allocation_failure", {}, deadline=30)
    assert caught.value.code == "out_of_memory"


@with_worker()
async def test_an_abort_for_want_of_memory_is_out_of_memory(worker):
    """A worker that dies of an uncaught std::bad_alloc is out of memory, not merely dead."""
    with pytest.raises(TransientError, match="SIGABRT") as caught:
        await worker.call("native_allocation_failure", {}, deadline=60)
    assert caught.value.code == "out_of_memory"


@with_worker()
async def test_killed_from_outside(worker):
    """A kill -9 during an op is noticed at once and told apart from our own."""
    started = asyncio.Event()
    call = asyncio.ensure_future(worker.call("native_hang", {}, deadline=60, on_progress=lambda _: started.set()))
    await started.wait()
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(TransientError, match=r"SIGKILL.*not by srwatchd") as caught:
        await call
    assert caught.value.code in ("worker_killed", "out_of_memory")


@with_worker()
async def test_killed_before_we_could_know(worker):
    """A worker that ended a moment ago, unseen, is an ordinary death of the op that it was given."""
    os.kill(worker.pid, signal.SIGKILL)
    os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222  the loop must not see it
    assert worker.alive
    with pytest.raises(TransientError, match="SIGKILL during 'noop'"):
        await worker.call("noop", {}, deadline=30)


@with_worker()
async def test_a_worker_that_hangs_up_without_ending_is_killed(worker):
    """Closing its socket is no way to go on unwatched."""
    with pytest.raises(TransientError, match="closed its socket without ending"):
        await worker.call("hang_up", {}, deadline=30)
    assert await worker.gone(30)


@with_worker()
async def test_a_process_that_cannot_be_killed_does_not_hold_us(worker):
    """A worker that sleeps in the kernel on a dead mount is given up, and the error names the likely cause."""
    kill, worker._process.kill = worker._process.kill, lambda: None
    wait, worker.gone = worker.gone, lambda: wait(0.1)
    with pytest.raises(TransientError, match="a disk or mount hangs") as caught:
        await worker.call("native_hang", {}, deadline=0.3)
    assert caught.value.code == "worker_stuck"
    assert not worker.alive
    del worker.gone
    worker._process.kill = kill


@with_worker()
async def test_a_worker_that_waits_for_a_disk_blames_no_picture(worker):
    """It may be killed like any other, and yet the disk or the server is at fault."""
    seen = mock.patch.object(evidence, "waits_for_disk", lambda pid: pid == worker.pid)
    with seen, pytest.raises(TransientError, match="waited for a disk or mount that hangs") as caught:
        await worker.call("native_hang", {}, deadline=0.3)
    assert caught.value.code == "worker_stuck"
    assert await worker.gone(30)


@with_worker()
async def test_a_request_that_the_system_refuses_is_the_host_s_fault(worker):
    """Too many descriptors in flight, or no buffers: no picture is to blame."""

    class Refusing:
        def __getattr__(self, name):
            return getattr(connection, name)

        def sendmsg(self, *_):
            raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))

    connection, worker._connection = worker._connection, Refusing()
    with pytest.raises(HostError, match="cannot be given 'noop': No buffer space") as caught:
        await worker.call("noop", {}, deadline=30)
    assert caught.value.code == "workers_unavailable"
    assert await worker.gone(30)


@with_worker()
async def test_cancelling_ends_the_worker(worker):
    """Its op cannot be interrupted, so the process goes."""
    started = asyncio.Event()
    call = asyncio.ensure_future(worker.call("native_hang", {}, deadline=60, on_progress=lambda _: started.set()))
    await started.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await worker.gone(30)
    assert (worker.returncode, worker.ending) == (-signal.SIGKILL, "cancelled")


@with_worker()
async def test_an_exception_of_on_progress_ends_the_worker(worker):
    """It comes through unchanged, and no op goes on unwatched."""

    def fail(_):
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await worker.call("steps", {"count": 1, "pause": 0, "then": 60}, deadline=60, on_progress=fail)
    assert await worker.gone(30)


@with_worker()
async def test_stopping_at_work_blames_nobody(worker):
    """A call that the supervisor itself cuts off spends no attempt: it is a host error."""
    started = asyncio.Event()
    call = asyncio.ensure_future(worker.call("native_hang", {}, deadline=60, on_progress=lambda _: started.set()))
    await started.wait()
    with pytest.raises(RuntimeError, match="one op at a time"):
        await worker.call("noop", {}, deadline=30)
    await worker.stop()
    with pytest.raises(HostError, match="was stopped during") as caught:
        await call
    assert caught.value.code == "workers_unavailable"


@with_worker()
async def test_an_idle_worker_goes_by_itself(worker):
    """Closing the socket is enough for one that waits: no signal is needed."""
    await worker.stop(grace=30)
    assert worker.returncode == 0
    await worker.stop()


@with_worker()
async def test_late_progress_is_dropped(worker):
    """A thread that an op left behind cannot disturb the next op."""
    await worker.call("late_progress", {}, deadline=30)
    await asyncio.sleep(0.3)
    assert worker.alive
    assert await worker.call("noop", {}, deadline=30)


@pytest.mark.parametrize("text", ["nonsense", '{"id":1,"result":3}', '{"id":77,"result":{}}', "{}", "[" * 70_000])
def test_a_worker_that_breaks_the_protocol_is_killed(text):
    """A worker taken over by a picture gets nowhere by talking nonsense."""

    @with_worker()
    async def run(worker):
        with pytest.raises(TransientError, match="was killed during 'nonsense'") as caught:
            await worker.call("nonsense", {"bytes": text[:1000], "times": len(text), "pause": 60}, deadline=30)
        assert caught.value.code == "worker_died"

    run()


@with_worker()
async def test_a_worker_that_speaks_unasked_is_killed(worker):
    """Words from an idle worker end it, and the next call says so."""
    # Two packets in one go: its own forged answer ends the op, the true one comes unasked.
    assert await worker.call("nonsense", {"bytes": '{"id":1,"result":{}}', "pause": 0.2}, deadline=30) == {}
    assert await worker.gone(30)
    assert worker.ending == "broken"


@with_worker()
async def test_a_stray_child_does_not_hold_us(worker):
    """The end of a worker is noticed though a process that it started still holds its stderr."""
    with pytest.raises(TransientError, match="exit status 3"):
        await worker.call("stray", {}, deadline=60)
