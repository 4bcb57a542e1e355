"""srwatchd.worker.process with real child processes: what a worker is, what it can do to us, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from srwatchd.errors import FatalError, HostError, InstanceError, ModelError, PermanentError, TransientError
from srwatchd.worker.launch import SpawnSettings
from srwatchd.worker.process import Worker

HERE = str(Path(__file__).parent)
COVERAGE = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
SETTINGS = SpawnSettings(role="test", tasks="worker_ops:TASKS", python_path=(HERE,), environment=COVERAGE)
OWN_SCORE = int(Path("/proc/self/oom_score_adj").read_text())


def with_worker(settings=SETTINGS):
    """Run an async test with a fresh worker, and prove that it leaves neither process nor descriptor behind."""

    def decorate(test):
        @functools.wraps(test)
        def run():
            before = len(os.listdir("/proc/self/fd"))

            async def body():
                worker = await Worker.spawn(settings)
                try:
                    await test(worker)
                finally:
                    await worker.stop()
                assert worker.returncode is not None
                return worker.pid

            pid = asyncio.run(body())
            assert not Path(f"/proc/{pid}").exists()
            assert len(os.listdir("/proc/self/fd")) == before

        del run.__wrapped__
        return run

    return decorate


@with_worker()
async def test_ops_take_parameters_and_return_results(worker):
    """Parameters and results are plain data of any text; many ops go through one process."""
    for text in ("a", "\udcff\u202e\n"):
        assert await worker.call("noop", {"text": text}, deadline=30) == {"params": {"text": text}, "fds": 0}
    assert worker.completed == 2
    assert worker.alive
    assert str(worker) == f"test worker {worker.pid}"


@with_worker(
    replace(
        SETTINGS,
        role="a-rather-long-role",
        data_limit=1 << 30,
        nice=3,
        threads=2,
        environment={"EXTRA": "1"} | COVERAGE,
    )
)
async def test_a_worker_is_confined(worker):
    """Own session, no signals of a terminal, limits, no core, name, first victim of the kernel, clean environment."""
    seen = await worker.call("look", {}, deadline=30)
    assert seen["pid"] == seen["session"] == worker.pid
    assert seen["parent"] == os.getpid()
    assert seen["cwd"] == "/"
    assert seen["stdin"] == "/dev/null"
    assert all(seen["ignored"])
    assert seen["core"] in (0, 1)
    assert seen["data"] == 1 << 30
    assert seen["nice"] == os.nice(0) + 3
    assert seen["score"] == min(1000, OWN_SCORE + 500)
    assert seen["name"] == "srw-a-rather-lo"
    assert seen["telemetry"]
    assert seen["inheritable"] == []
    assert "" not in seen["path"]
    assert seen["environment"]["OMP_NUM_THREADS"] == seen["environment"]["OPENCV_FOR_THREADS_NUM"] == "2"
    allowed = {"PATH", "HOME", "TMPDIR", "TZ", "LD_LIBRARY_PATH", "LC_ALL", "PYTHONPATH", "EXTRA", "OMP_NUM_THREADS"}
    assert set(seen["environment"]) - set(COVERAGE) <= allowed | {
        "OPENBLAS_NUM_THREADS",
        "OPENCV_FOR_THREADS_NUM",
        "VIPS_CONCURRENCY",
    }


@with_worker()
async def test_an_op_works_on_our_open_files(worker):
    """A worker reads and writes files through descriptors; ours stay open."""
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as target:
        source.write(b"hello")
        source.flush()
        await worker.call("shout", {}, [source.fileno(), target.fileno()], deadline=30)
        assert os.pread(target.fileno(), 100, 0) == b"HELLO"


@with_worker()
async def test_two_hundred_calls_leak_no_descriptor(worker):
    """Neither side keeps a descriptor, whether its op succeeds, fails, or closed it itself."""
    before = (await worker.call("look", {}, deadline=30))["open"], len(os.listdir("/proc/self/fd"))
    with tempfile.TemporaryFile() as file:
        for turn in range(200):
            op = ("noop", "defect", "closes_its_own")[turn % 3]
            with contextlib.suppress(PermanentError):
                await worker.call(op, {}, [file.fileno()] * (1 + turn % 8), deadline=30)
    assert ((await worker.call("look", {}, deadline=30))["open"], len(os.listdir("/proc/self/fd"))) == before


@with_worker()
async def test_errors_arrive_as_they_were_raised(worker):
    """Every class of error keeps its class, code, message and hint, and the worker lives on."""
    for kind, code in [
        (TransientError, "source_changed"),
        (PermanentError, "too_many_pixels"),
        (HostError, "disk_full"),
        (ModelError, "model_altered"),
        (InstanceError, "another_instance"),
        (FatalError, "ledger_broken"),
    ]:
        params = {"class": kind.__name__, "code": code, "message": f"about {code}", "hint": "do it"}
        with pytest.raises(kind) as caught:
            await worker.call("fail", params, deadline=30)
        assert (type(caught.value), caught.value.code) == (kind, code)
        assert (caught.value.message, caught.value.hint) == (f"about {code}", "do it")
    assert worker.alive


@with_worker()
async def test_a_defect_is_reported_with_its_traceback(worker):
    """An unknown exception, an unknown op and an unsendable result are internal errors; the worker lives on."""
    for op, expected in [
        ("defect", "ZeroDivisionError"),
        ("leaves_python", "SystemExit"),
        ("unheard_of", "KeyError"),
        ("large_result", "at most 65536 can be sent"),
        ("not_plain", "not plain data"),
    ]:
        with pytest.raises(PermanentError, match=expected) as caught:
            await worker.call(op, {}, deadline=30)
        assert caught.value.code == "internal_error"
    with pytest.raises(PermanentError, match=r"\[\.\.\.\]"):
        await worker.call("defect", {"length": 50_000}, deadline=30)
    assert await worker.call("noop", {}, deadline=30)


@with_worker()
async def test_what_cannot_be_sent_is_refused_by_the_sender(worker):
    """Too large parameters, too many or closed descriptors are a clear error at once, and harm nothing."""
    closed = os.dup(0)
    os.close(closed)
    for params, fds, expected in [
        ({"text": "x" * 70_000}, (), "at most 65536"),
        ({}, [0] * 9, "at most 8"),
        ({}, [closed], "not open"),
    ]:
        with pytest.raises(PermanentError, match=expected):
            await worker.call("noop", params, fds, deadline=30)
    assert worker.alive
    assert await worker.call("noop", {}, [0] * 8, deadline=30) == {"params": {}, "fds": 8}


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
    with pytest.raises(TransientError, match=r"no progress in 0.5 s.*'started': True") as caught:
        await worker.call("native_hang", {}, deadline=0.5)
    assert caught.value.code == "worker_hung"
    assert (worker.returncode, worker.ending) == (-signal.SIGKILL, "hung")


@with_worker()
async def test_progress_restarts_the_deadline(worker):
    """An op that is longer than its deadline goes on as long as it makes progress, and is seen to."""
    seen = []

    def note(progress):
        seen.append(progress)
        assert worker.progress == progress
        assert worker.progressed_at >= worker.busy_since
        assert worker.op == "steps"

    params = {"count": 10, "pause": 0.3}
    assert await worker.call("steps", params, deadline=2, on_progress=note) == {"steps": 10}
    assert seen == [{"step": step} for step in range(10)]
    assert (worker.op, worker.busy_since, worker.progress) == ("", None, {})


@with_worker()
async def test_a_late_look_is_not_taken_for_a_hang(worker):
    """When the supervisor itself was held up, an answer that came in time counts."""
    params = {"count": 0, "pause": 0, "then": 0.5}
    call = asyncio.ensure_future(worker.call("steps", params, deadline=1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert select.select([worker._connection], [], [], 30)[0]
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
    assert caught.value.code in ("worker_died", "out_of_memory")


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
    with pytest.raises(TransientError, match="a disk or mount that hangs") as caught:
        await worker.call("native_hang", {}, deadline=0.3)
    assert caught.value.code == "worker_hung"
    assert not worker.alive
    del worker.gone
    worker._process.kill = kill


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


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"tasks": "no_such_module:TASKS"}, "No module named 'no_such_module'"),
        ({"tasks": "worker_ops:NOTHING"}, "NOTHING"),
        ({"data_limit": 1000}, "."),
        ({"environment": {"PYTHONPATH": "/nowhere"}, "tasks": "time:sleep\x00"}, "."),
        ({"tasks": "worker_slow_start:TASKS", "start_deadline": 0.3}, "no progress in 0.3 s during 'start'"),
    ],
)
def test_a_worker_that_does_not_start(tmp_path, changes, expected):
    """Whatever goes wrong on the way up is a host error with the evidence, and nothing is left behind."""
    (tmp_path / "worker_slow_start.py").write_text("import time\ntime.sleep(60)\n")
    settings = replace(SETTINGS, **({"python_path": (str(tmp_path), HERE)} | changes))
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(HostError, match=expected) as caught:
        asyncio.run(Worker.spawn(settings))
    assert caught.value.code == "workers_unavailable"
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_fatal_error_on_import_comes_through(tmp_path):
    """A table of ops that finds a model missing stops the command, as it would in one process."""
    source = "from srwatchd.errors import ModelError\nraise ModelError('model_missing', 'gone')\n"
    (tmp_path / "worker_fatal_start.py").write_text(source)
    settings = replace(SETTINGS, tasks="worker_fatal_start:TASKS", python_path=(str(tmp_path),))
    with pytest.raises(ModelError, match="gone"):
        asyncio.run(Worker.spawn(settings))


def test_no_interpreter_is_a_host_error(monkeypatch):
    """A system that refuses a new process is at fault itself."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(HostError, match="No such file"):
        asyncio.run(Worker.spawn(SETTINGS))
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_kernel_without_pidfd_is_a_host_error(monkeypatch):
    """An old kernel, or a filter that forbids the call, is named, and no process stays."""

    def refuse(pid):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(HostError, match="cannot be watched: Function not implemented"):
        asyncio.run(Worker.spawn(SETTINGS))
    assert len(os.listdir("/proc/self/fd")) == before


_SUPERVISOR = """
import asyncio, sys
from srwatchd.worker.launch import SpawnSettings
from srwatchd.worker.process import Worker

async def main():
    worker = await Worker.spawn(SpawnSettings(role="test", tasks="worker_ops:TASKS", python_path=(sys.argv[1],)))
    def started(progress):
        print(worker.pid, flush=True)
    if sys.argv[2] == "busy":
        await worker.call("native_hang", {}, deadline=600, on_progress=started)
    print(worker.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.parametrize("state", ["busy", "idle"])
def test_kill_9_of_the_supervisor_leaves_no_orphan(state):
    """A worker ends with its supervisor, even inside a native call that looks at nothing."""
    command = [sys.executable, "-c", _SUPERVISOR, HERE, state]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as supervisor:
        pid = int(supervisor.stdout.readline())
        pidfd = os.pidfd_open(pid)
        supervisor.kill()
    try:
        with contextlib.closing(asyncio.new_event_loop()) as loop:
            ended = asyncio.Event()
            loop.add_reader(pidfd, ended.set)
            loop.run_until_complete(asyncio.wait_for(ended.wait(), 30))
            loop.remove_reader(pidfd)
    finally:
        os.close(pidfd)


def test_the_supervisor_stays_light():
    """The supervisor's modules load no native imaging library, and the child's start loads no asyncio either."""
    heavy = ["cv2", "openvino", "pyvips", "numpy", "srwatchd.pipeline"]
    code = "import sys, srwatchd.worker.pool; print([name for name in sys.argv[1:] if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code, *heavy], text=True).strip() == "[]"
    code = code.replace("worker.pool", "worker.main")
    assert subprocess.check_output([sys.executable, "-c", code, "asyncio", *heavy], text=True).strip() == "[]"
