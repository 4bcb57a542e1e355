"""What is left when a worker has ended: its last words, its exit status, the kernel's memory counters."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
from pathlib import Path
from typing import Final

from srwatchd.errors import TransientError

__all__ = ["LastWords", "death", "exit_text", "memory_exhausted", "oom_kills", "quoted", "waits_for_disk"]

_KEPT: Final = 8 * 1024
_CHUNK: Final = 64 * 1024
_QUOTED: Final = 2000

_EXHAUSTION: Final = (
    "MemoryError",
    "std::bad_alloc",
    "Insufficient memory",
    "Cannot allocate memory",
    "failed to allocate",
    "out of memory",
)


class LastWords:
    """The last 8 KiB that a process wrote into a pipe. Reading never blocks; the descriptor is owned from now on."""

    __slots__ = ("_descriptor", "_kept")

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._kept = b""

    def fileno(self) -> int:
        """The read end of the pipe, -1 once closed."""
        return self._descriptor

    def drain(self) -> bool:
        """Take up at most a pipe's fill of what is there now; whether more may come one day."""
        if self._descriptor < 0:
            return False
        try:
            chunk = os.read(self._descriptor, _CHUNK)
        except BlockingIOError:
            return True
        self._kept = (self._kept + chunk)[-_KEPT:]
        return bool(chunk)

    def forget(self) -> None:
        """Drop what was said so far: it belongs to an earlier op."""
        self.drain()
        self._kept = b""

    def text(self) -> str:
        """What is kept, as printable lines."""
        return self._kept.decode("utf-8", "backslashreplace").strip()

    def close(self) -> None:
        """Take up the rest without waiting, and close the pipe."""
        if self._descriptor >= 0:
            self.drain()
            os.close(self._descriptor)
            self._descriptor = -1


def memory_exhausted(text: str) -> bool:
    """Whether an error's text, or what a process said last, speaks of memory that could not be had.

    The phrases of CPython, libstdc++, OpenCV, libc (``strerror(ENOMEM)``), GLib and libvips.
    """
    lowered = text.lower()
    return any(phrase.lower() in lowered for phrase in _EXHAUSTION)


def exit_text(returncode: int) -> str:
    """How a process ended, in words; ``returncode`` as in :mod:`subprocess` (minus the signal's number)."""
    if returncode >= 0:
        return f"ended with exit status {returncode}"
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = f"signal {-returncode}"
    return f"was ended by {name}"


def quoted(words: str) -> str:
    """``words`` shortened to their end and set off, to be appended to a message; "" for none."""
    return f"; its last words:\n{words[-_QUOTED:]}" if words else ""


def death(who: str, op: str, *, returncode: int, words: str, oom_killed: bool) -> TransientError:
    """The error for a worker that ended during ``op`` though nobody asked it to.

    ``oom_killed`` says that the kernel's out-of-memory killer struck in our control group meanwhile.
    """
    killed = returncode == -signal.SIGKILL
    text = f"{who} {exit_text(returncode)} during {op!r}"
    if (killed and oom_killed) or (returncode != 0 and not killed and memory_exhausted(words)):
        return TransientError("out_of_memory", f"{text}: out of memory{quoted(words)}")
    if killed:
        return TransientError("worker_killed", f"{text}, not by srwatchd and not for want of memory{quoted(words)}")
    return TransientError("worker_died", text + quoted(words))


def waits_for_disk(pid: int, proc: str = "/proc") -> bool:
    """Whether a thread of the process sleeps in the kernel (state D of proc(5)): on a disk or a mount."""
    with contextlib.suppress(OSError):
        for task in Path(proc, str(pid), "task").iterdir():
            with contextlib.suppress(OSError, IndexError):
                # The name before the state stands in brackets and may hold anything.
                if (task / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0] == "D":
                    return True
    return False


def oom_kills(root: str = "/sys/fs/cgroup", membership: str = "/proc/self/cgroup") -> int | None:
    """How often the kernel's out-of-memory killer struck in our control group so far; None where that is not visible.

    ``memory.events`` of cgroup v2, else ``memory.oom_control`` of v1 (Documentation/admin-guide/cgroup-v2.rst and
    cgroup-v1/memory.rst of the kernel). The group is the one that this process was in when it first asked.
    """
    for candidate in _counters(root, membership):
        with contextlib.suppress(OSError, ValueError, IndexError), open(candidate, encoding="ascii") as counters:
            for line in counters:
                key, value = line.split()[:2]
                if key == "oom_kill":
                    return int(value)
    return None


@functools.cache
def _counters(root: str, membership: str) -> tuple[str, ...]:
    """The files that may have the count, the best one first; looked for once, as it is asked before every op."""
    found: list[Path] = []
    with contextlib.suppress(OSError, ValueError):
        for line in Path(membership).read_text("utf-8", "surrogateescape").splitlines():
            _, controllers, group = line.split(":", 2)
            below = group.lstrip("/")
            if not controllers:
                found.append(Path(root, below, "memory.events"))
            elif "memory" in controllers.split(","):
                found += [Path(root, "memory", below, "memory.oom_control"), Path(root, "memory", "memory.oom_control")]
    return tuple(map(str, found))
