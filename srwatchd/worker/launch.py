"""Starting one worker process: a fresh interpreter in a clean environment, never a forked copy of the supervisor."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import srwatchd
from srwatchd.errors import HostError
from srwatchd.worker import protocol
from srwatchd.worker.confinement import Confinement

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

__all__ = ["Launched", "SpawnSettings", "environment", "launch", "launch_ahead"]

_INHERITED: Final = ("PATH", "HOME", "TMPDIR", "TZ", "LD_LIBRARY_PATH")
_THREADS: Final = ("OMP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM", "VIPS_CONCURRENCY")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpawnSettings:
    """Everything that decides what a worker process is.

    ``tasks`` names its table of ops as ``module:attribute``, a mapping from the op's name to
    ``op(params, descriptors, progress) -> result``. ``data_limit`` bounds its private memory in bytes (RLIMIT_DATA:
    heap, anonymous maps and 8 MiB for the stack of each native thread; shared maps of files do not count).
    ``threads`` is what the native libraries are told, 0 leaves it to them. ``oom_score_adjustment`` (0 to 1000) is
    added to the supervisor's own, so that the kernel takes a worker first. ``start_deadline`` is in seconds.
    ``python_path`` is searched for ``tasks`` before anything else, ``environment`` goes over everything else that the
    child's environment holds. ``confinement`` is what it may still reach once ``tasks`` is loaded; None leaves it all
    that its user may.
    """

    role: str
    tasks: str = "srwatchd.pipeline.tasks:TASKS"
    data_limit: int | None = None
    threads: int = 0
    nice: int = 0
    oom_score_adjustment: int = 500
    start_deadline: float = 60.0
    python_path: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    confinement: Confinement | None = field(default_factory=Confinement)

    def to_wire(self) -> dict[str, Any]:
        """The part that the child itself has to apply, as plain data."""
        return {
            "role": self.role,
            "tasks": self.tasks,
            "data_limit": self.data_limit,
            "nice": self.nice,
            "oom_score_adjustment": self.oom_score_adjustment,
            "confinement": None if self.confinement is None else self.confinement.to_wire(),
        }


@dataclass(frozen=True, slots=True)
class Launched:
    """A process that was just started, the supervisor's end of its socket, and the read end of its stdout and stderr.

    The socket and the descriptor are non-blocking and close-on-exec.
    """

    process: subprocess.Popen[bytes]
    connection: socket.socket
    output: int


def environment(settings: SpawnSettings) -> dict[str, str]:
    """The child's whole environment: little of ours, nothing that names a display, a proxy or a credential."""
    values = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    values["LC_ALL"] = "C.UTF-8"
    values["MALLOC_ARENA_MAX"] = "2"  # each arena of glibc reserves address space that RLIMIT_DATA counts
    values["ORT_DISABLE_TELEMETRY"] = "1"  # ONNX Runtime would start it when it is imported
    values["OPENBLAS_NUM_THREADS"] = "1"  # it would start them when it is loaded, before they can be confined
    root = str(Path(srwatchd.__file__).resolve().parent.parent)
    installed = {os.path.realpath(sysconfig.get_path(name)) for name in ("purelib", "platlib")}
    path = [os.path.abspath(entry) for entry in settings.python_path] + ([] if root in installed else [root])
    if path:
        values["PYTHONPATH"] = os.pathsep.join(path)
    if settings.threads:
        values |= dict.fromkeys(_THREADS, str(settings.threads))
    return values | dict(settings.environment)


def launch(settings: SpawnSettings) -> Launched:
    """Start a worker, or take the one that :func:`launch_ahead` started. Raises HostError ``workers_unavailable``.

    The kernel kills the worker when the *thread* that called this ends: call it from the thread of the event loop.
    """
    launched = _ahead.pop(_kind(settings), None) or _started(settings)
    try:
        protocol.send(launched.connection, protocol.encode(settings.to_wire()))
    except OSError as error:
        launched.process.kill()
        launched.process.wait()
        launched.connection.close()
        os.close(launched.output)
        raise _refused(settings, error) from error
    return launched


def launch_ahead(settings: SpawnSettings) -> None:
    """Start a worker that loads its ops while its limits and its confinement are still being found out.

    :func:`launch` with the same role, ops and environment makes it what it is to be. One that is never asked for ends
    with this process. Best effort: what the system refuses here, it refuses :func:`launch` again.
    """
    with contextlib.suppress(HostError):
        _ahead[_kind(settings)] = _started(settings, settings.tasks)


_ahead: Final[dict[tuple[object, ...], Launched]] = {}
"""By their kind, those that wait to be asked for."""


def _kind(settings: SpawnSettings) -> tuple[object, ...]:
    return settings.role, settings.tasks, *sorted(environment(settings).items())


def _started(settings: SpawnSettings, *words: str) -> Launched:
    with contextlib.ExitStack() as always, contextlib.ExitStack() as on_failure:
        try:
            ours, theirs = protocol.pair()
            on_failure.callback(ours.close)
            always.callback(theirs.close)
            output, write_end = os.pipe()
            on_failure.callback(os.close, output)
            always.callback(os.close, write_end)
            start = [sys.executable, "-P", "-m", "srwatchd.worker"]  # -P: its directory is no place to import from
            process = subprocess.Popen(
                [*start, settings.role, str(theirs.fileno()), str(os.getpid()), *words],
                stdin=subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
                pass_fds=(theirs.fileno(),),
                cwd="/",  # a worker pins no mount
                env=environment(settings),
                start_new_session=True,  # a terminal's Ctrl-C is the supervisor's business
            )
        except OSError as error:
            raise _refused(settings, error) from error
        ours.setblocking(False)
        os.set_blocking(output, False)
        on_failure.pop_all()
        return Launched(process, ours, output)


def _refused(settings: SpawnSettings, error: OSError) -> HostError:
    text = f"a {settings.role} worker could not be started: {error.strerror or error}"
    return HostError("workers_unavailable", text)
