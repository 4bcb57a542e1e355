"""srwatchd.daemon.hookrun and srwatchd.daemon.hooks: one run, its bounds, and the queue."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from types import SimpleNamespace

import pytest
from commands import wait_for
from daemon_standin import folder

from srwatchd.audit import Ledger
from srwatchd.daemon import hookrun, hooks
from srwatchd.daemon.hookrun import run_hook
from srwatchd.daemon.hooks import Hooks
from srwatchd.daemon.tally import Tally


def run(code, facts=None, *, timeout=60.0, unwanted=lambda: False):
    return run_hook([sys.executable, "-c", code], facts or {}, timeout=timeout, unwanted=unwanted)


def test_what_a_hook_is_told():
    """Names of any bytes, long texts cut in the environment and whole on standard input, NULs left out."""
    facts = {"event": "failure", "name": "a\udcff\n.png", "message": "x" * 10000, "code": "a\0b"}
    code = "import json,os,sys; told=json.load(sys.stdin); e=os.environ; print(json.dumps([told['name'], "
    code += "len(told['message']), len(e['SRWATCHD_MESSAGE']), e['SRWATCHD_CODE'], e['SRWATCHD_NAME'], "
    code += "e['SRWATCHD_JOB'], os.getcwd(), os.nice(0)]))"
    result = run(code, facts)
    assert (result.status, result.why) == (0, "")
    told = json.loads(result.output)
    assert told == ["a\udcff\n.png", 10000, 4096, "ab", "a\udcff\n.png", "", "/", os.nice(0) + 10]


def test_only_the_end_of_what_it_says_is_kept():
    """However much that is, and however it is written."""
    result = run("import sys; sys.stdout.write('x' * 1000000 + ' the end'); sys.stderr.write('!')")
    assert len(result.output) <= 4096
    assert result.output.endswith("the end!")


@pytest.mark.parametrize(
    ("code", "status", "why"),
    [
        ("raise SystemExit(3)", 3, "it ended with status 3"),
        ("import os; os.kill(os.getpid(), 15)", -15, "signal 15 ended it"),
        ("import os; os.close(1); os.close(2); raise SystemExit(4)", 4, "it ended with status 4"),
    ],
)
def test_how_it_ends(code, status, why):
    """Its status or its signal, in words."""
    result = run(code)
    assert (result.status, result.why) == (status, why)


def test_a_program_that_is_not_there():
    """Between the check of the configuration and now it went."""
    result = run_hook(["/no/such/program"], {}, timeout=60.0, unwanted=lambda: False)
    assert (result.status, "No such file" in result.output) == (127, True)


@pytest.mark.parametrize("late", [False, True])
def test_one_that_does_not_end_is_killed_with_what_it_started(tmp_path, monkeypatch, late):
    """At its deadline, or because nobody wants it any more."""
    told = tmp_path / "told"
    told.touch()
    code = "import subprocess,time; c=subprocess.Popen(['sleep','600']); "
    code += f"open({str(told)!r}, 'w').write(str(c.pid)); time.sleep(600)"
    if late:  # by a clock that stands still until it has started something, however long that takes
        monkeypatch.setattr(hookrun, "time", SimpleNamespace(monotonic=lambda: 3600.0 if told.read_text() else 0.0))
        result = run(code)
        assert result.why == "it did not end in its time and was killed"
    else:
        result = run(code, unwanted=told.read_text)
        assert result.why == "the service stopped, and it was killed"
    assert result.status == -9
    wait_for(lambda: "sleep" not in _command_of(int(told.read_text())))


def test_what_is_left_running_ends_too():
    """A command that puts something into the background leaves nothing behind."""
    result = run("import subprocess; print(subprocess.Popen(['sleep', '600']).pid, flush=True)")
    assert (result.status, result.why) == (0, "")
    wait_for(lambda: "sleep" not in _command_of(int(result.output)))


def _command_of(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().decode()
    except (FileNotFoundError, ProcessLookupError):  # gone before it was opened, or before it was read
        return ""


def test_a_queue_has_an_end(tmp_path, monkeypatch):
    """More than may wait are dropped and told once; a folder without a hook, and one that is closing, queue nothing."""
    monkeypatch.setattr(hooks, "QUEUED", 3)
    ledger = Ledger(tmp_path / "audit.jsonl")
    ledger.open()
    tally = Tally()
    with_hook = folder(tmp_path, hooks={"on_hold": ("/bin/true",)})

    async def body():
        made = Hooks(ledger, tally)
        made.happened(folder(tmp_path), "hold", {})
        made.happened(with_hook, "success", {})
        for _ in range(10):
            made.happened(with_hook, "hold", {"code": "disk_full"})
        async with asyncio.timeout(60.0):
            while tally.hooks["a", "hold", "ok"] < 3:  # noqa: ASYNC110 - other threads are waited for
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.2)
            await made.close(5.0)
        made.happened(with_hook, "hold", {})

    asyncio.run(body())
    assert tally.hooks == {("a", "hold", "ok"): 3, ("a", "hold", "dropped"): 7}
    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    reasons = [line["event.reason"] for line in lines if line["event.action"] == "hook.failed"]
    assert reasons == ["7 hooks were dropped: more than 3 waited"]
