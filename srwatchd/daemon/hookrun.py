"""One run of one hook: a process of its own, with a deadline, and with nothing of it left afterwards. Blocks."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["VARIABLES", "HookResult", "environment", "run_hook"]

VARIABLES: Final = ("event", "time", "folder", "job", "name", "source", "result", "code", "message", "hint")
"""What a hook is told, each as ``SRWATCHD_<NAME>`` and as a key of the JSON object on its standard input."""

_PLAIN: Final = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
_LONGEST: Final = 4096
_OUTPUT: Final = 4096
_GLANCE_MS: Final = 200
_CHILD: Final = str(Path(__file__).with_name("hookchild.py"))


@dataclass(frozen=True, slots=True)
class HookResult:
    """How it ended: ``status`` as of a process (negative: the signal), ``why`` is "" when all is well.

    ``output`` is the end of what it said, at most 4 KiB.
    """

    status: int
    why: str
    output: str
    seconds: float


def environment(facts: Mapping[str, Any]) -> dict[str, str]:
    """The whole environment of a hook: plain PATH and locale, and the facts; long texts are cut."""
    told = {f"SRWATCHD_{name.upper()}": str(facts.get(name, ""))[:_LONGEST].replace("\0", "") for name in VARIABLES}
    return {**_PLAIN, **told}


def run_hook(
    words: Sequence[str], facts: Mapping[str, Any], *, timeout: float, unwanted: Callable[[], bool]
) -> HookResult:
    """Run ``words`` and wait, at most ``timeout`` seconds or until ``unwanted()``; then its process group is killed.

    What it leaves running in its process group is killed as well. Raises nothing.
    """
    begin = time.monotonic()
    try:
        process = _started(words, facts)
    except OSError as error:
        return HookResult(127, f"it could not be started: {error.strerror}", "", 0.0)
    why, output = _watched(process, begin + timeout, unwanted)
    with contextlib.suppress(ProcessLookupError, PermissionError):  # before it is reaped: its number is still its own
        os.killpg(process.pid, signal.SIGKILL)
    status = process.wait()
    if not why and status:
        why = f"it ended with status {status}" if status > 0 else f"signal {-status} ended it"
    return HookResult(status, why, output.decode("utf-8", "replace").strip(), time.monotonic() - begin)


def _started(words: Sequence[str], facts: Mapping[str, Any]) -> subprocess.Popen[bytes]:
    told = os.memfd_create("srwatchd-hook")
    with open(told, "w+b") as document:
        document.write(json.dumps({"version": 1, **{name: facts.get(name, "") for name in VARIABLES}}).encode("ascii"))
        document.seek(0)
        return subprocess.Popen(
            [sys.executable, "-I", "-S", _CHILD, *words],
            stdin=document,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=environment(facts),
            start_new_session=True,
        )


def _watched(process: subprocess.Popen[bytes], deadline: float, unwanted: Callable[[], bool]) -> tuple[str, bytes]:
    """Read what it says until it ends; why it has to be killed, or "", and the end of its words."""
    assert process.stdout is not None  # noqa: S101 - asked for
    output, why = b"", ""
    with process.stdout as pipe, _pidfd(process.pid) as ended:
        os.set_blocking(pipe.fileno(), False)
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        poll.register(ended, select.POLLIN)
        while not why:
            ready = {descriptor for descriptor, _ in poll.poll(_GLANCE_MS)}
            if pipe.fileno() in ready:
                said = pipe.read(1 << 16)
                output = (output + (said or b""))[-_OUTPUT:]
                if said == b"":
                    poll.unregister(pipe)
            elif ended in ready:
                break
            if time.monotonic() >= deadline:
                why = "it did not end in its time and was killed"
            elif unwanted():
                why = "the service stopped, and it was killed"
    return why, output


@contextlib.contextmanager
def _pidfd(pid: int) -> Any:
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
