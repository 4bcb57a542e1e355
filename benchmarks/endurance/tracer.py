"""Faults at exactly one system call of a process of the daemon, by strace.

strace is attached to a daemon that waits, and counts each system call of each of its threads from then on; so the
n-th call of a kind is the n-th of the one job that is then dropped.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.endurance.scenario import SkippedError
from benchmarks.endurance.service import NotInTimeError, until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["CALLS", "Step", "injecting", "steps_in"]

CALLS: Final = (
    *("rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat", "mkdirat"),
    *("write", "pwrite64", "writev", "copy_file_range", "sendfile", "ftruncate", "fsync", "fdatasync"),
)
_LINE: Final = re.compile(r"(\d+) +(\w+)\((.*)")
_ELSEWHERE: Final = re.compile(r"\d+<(?:pipe|socket|anon_inode|/dev/|UNIX)")
_ATTACH_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Step:
    """The ``number``-th call of that name; ``about`` says on what."""

    call: str
    number: int
    about: str

    def __str__(self) -> str:
        return f"{self.call} {self.number} ({self.about})"


@contextlib.contextmanager
def injecting(pids: Sequence[int], output: Path, *, step: Step | None = None, fault: str = "") -> Iterator[None]:
    """Trace all threads of ``pids`` into ``output`` for the time of the block; with ``step`` inject ``fault`` there.

    Raises SkippedError where strace is missing or may not attach.
    """
    if shutil.which("strace") is None:
        raise SkippedError("strace is not installed")
    calls = step.call if step is not None else ",".join(CALLS)
    inject = [] if step is None else ["-e", f"inject={step.call}:{fault}:when={step.number}"]
    command = ["strace", "-f", "-qq", "-y", "-s", "0", "-o", str(output), "-e", f"trace={calls}", *inject]
    attach = [word for pid in pids for word in ("-p", str(pid))]
    tracer = subprocess.Popen([*command, *attach], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        with contextlib.suppress(NotInTimeError):
            until(lambda: _traced(pids) or tracer.poll() is not None, _ATTACH_SECONDS, "strace is attached", pause=0.02)
        if tracer.poll() is not None or not _traced(pids):
            words = tracer.stderr.read().decode(errors="replace") if tracer.stderr and tracer.poll() is not None else ""
            raise SkippedError(f"strace cannot attach to a process here: {words.strip()}")
        yield
    finally:
        if tracer.poll() is None:
            tracer.send_signal(signal.SIGINT)  # detaches and lets the process go on
            try:
                tracer.wait(10)
            except subprocess.TimeoutExpired:
                tracer.kill()
                tracer.wait()
        if tracer.stderr is not None:
            tracer.stderr.close()


def steps_in(output: Path) -> list[Step]:
    """Every step that a trace without a fault shows, in order; calls on pipes and sockets are left out."""
    counts: Counter[tuple[str, str]] = Counter()
    steps: dict[tuple[str, int], Step] = {}
    for line in output.read_text(encoding="utf-8", errors="replace").splitlines():
        found = _LINE.match(line)
        if found is None or "resumed>" in line:
            continue
        thread, call, arguments = found.groups()
        counts[thread, call] += 1
        if not _ELSEWHERE.match(arguments):
            step = Step(call, counts[thread, call], _about(arguments))
            steps.setdefault((step.call, step.number), step)
    return list(steps.values())


def _traced(pids: Sequence[int]) -> bool:
    """Whether every thread of the processes has a tracer."""
    try:
        for pid in pids:
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/status", encoding="ascii", errors="replace") as file:
                    if "TracerPid:\t0\n" in file.read():
                        return False
    except (FileNotFoundError, ProcessLookupError):
        return False
    return True


def _about(arguments: str) -> str:
    """The last two parts of the path that a call is about, without numbers of jobs."""
    path = "/".join(re.findall(r"<([^>]*)>", arguments)[-1:] + re.findall(r'"([^"]+)"', arguments)[-1:])
    short = "/".join(path.rstrip("/").split("/")[-2:])
    return re.sub(r"[0-9a-f]{16,}", "#", short)
