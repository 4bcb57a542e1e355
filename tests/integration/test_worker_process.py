"""srwatchd.worker.process with real child processes: how a worker starts, what it is, what it does for us."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from worker_bench import COVERAGE, HERE, SETTINGS, no_descriptor_left, with_worker

from srwatchd.errors import FatalError, HostError, InstanceError, ModelError, PermanentError, TransientError
from srwatchd.worker.launch import launch_ahead
from srwatchd.worker.pool import Pool
from srwatchd.worker.process import Worker

OWN_SCORE = int(Path("/proc/self/oom_score_adj").read_text())


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
    assert seen["environment"]["OPENBLAS_NUM_THREADS"] == "1"
    allowed = {"PATH", "HOME", "TMPDIR", "TZ", "LD_LIBRARY_PATH", "LC_ALL", "PYTHONPATH", "EXTRA", "OMP_NUM_THREADS"}
    assert set(seen["environment"]) - set(COVERAGE) <= allowed | {
        "MALLOC_ARENA_MAX",
        "OPENBLAS_NUM_THREADS",
        "OPENCV_FOR_THREADS_NUM",
        "ORT_DISABLE_TELEMETRY",
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
    with no_descriptor_left(), pytest.raises(HostError, match=expected) as caught:
        asyncio.run(Worker.spawn(settings))
    assert caught.value.code == "workers_unavailable"


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
    with no_descriptor_left(), pytest.raises(HostError, match="No such file"):
        asyncio.run(Worker.spawn(SETTINGS))


def test_a_kernel_without_pidfd_is_a_host_error(monkeypatch):
    """An old kernel, or a filter that forbids the call, is named, and no process stays."""

    def refuse(pid):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    with no_descriptor_left(), pytest.raises(HostError, match="cannot be watched: Function not implemented"):
        asyncio.run(Worker.spawn(SETTINGS))


_SUPERVISOR = """
import asyncio, sys
from srwatchd.worker.launch import SpawnSettings
from srwatchd.worker.process import Worker

async def main():
    settings = SpawnSettings(role="test", tasks="worker_ops:TASKS", python_path=(sys.argv[1],), confinement=None)
    worker = await Worker.spawn(settings)
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
        assert select.select([pidfd], [], [], 30.0)[0], "the worker outlived its supervisor"
    finally:
        os.close(pidfd)


def children():
    """The processes that this one's first thread has started."""
    return {int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split()}


def test_a_worker_that_was_started_ahead_becomes_what_it_is_asked_to_be():
    """It has loaded its ops, and gets limits that were not known when it was started; another kind is not it."""
    before = children()
    launch_ahead(SETTINGS)
    (ahead,) = children() - before

    async def use():
        seen = []
        for settings in (replace(SETTINGS, role="other"), replace(SETTINGS, data_limit=1 << 30), SETTINGS):
            worker = await Worker.spawn(settings)
            try:
                seen.append(await worker.call("look", {}, deadline=30))
            finally:
                await worker.stop()
        return seen

    other, limited, later = asyncio.run(use())
    assert (limited["pid"], limited["data"]) == (ahead, 1 << 30)
    assert ahead not in (other["pid"], later["pid"])


def test_one_that_ended_before_it_was_asked_for_is_replaced():
    """The pool starts another one, as for any worker that does not come up."""
    before = children()
    launch_ahead(SETTINGS)
    (ahead,) = children() - before
    os.kill(ahead, 9)
    os.waitid(os.P_PID, ahead, os.WEXITED | os.WNOWAIT)

    async def use():
        pool = Pool(SETTINGS, count=1)
        try:
            async with pool.worker() as worker:
                return await worker.call("noop", {}, deadline=30), worker.pid
        finally:
            await pool.close(1.0)

    answer, pid = asyncio.run(use())
    assert answer == {"params": {}, "fds": 0}
    assert pid != ahead


def test_one_that_is_never_asked_for_ends_with_its_supervisor():
    """Nothing is left of a command that stopped at its options."""
    code = (
        "import sys; from pathlib import Path; import srwatchd.worker.launch as it\n"
        "it.launch_ahead(it.SpawnSettings(role='test', tasks='worker_ops:TASKS', python_path=(sys.argv[1],)))\n"
        "print(*(one.process.pid for one in it._ahead.values()), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, HERE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as supervisor:
        pidfd = os.pidfd_open(int(supervisor.stdout.readline()))
    try:
        assert select.select([pidfd], [], [], 30.0)[0], "the worker outlived its supervisor"
    finally:
        os.close(pidfd)


def test_the_supervisor_stays_light():
    """The supervisor's modules load no native imaging library, and the child's start loads no asyncio either."""
    heavy = ["cv2", "openvino", "pyvips", "numpy", "srwatchd.pipeline"]
    code = "import sys, srwatchd.worker.pool; print([name for name in sys.argv[1:] if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code, *heavy], text=True).strip() == "[]"
    code = code.replace("worker.pool", "worker.main")
    assert subprocess.check_output([sys.executable, "-c", code, "asyncio", *heavy], text=True).strip() == "[]"
