"""The child's side: become a worker that cannot outlive its supervisor, then do one op after the other.

A worker is single-purpose and expendable. It learns nothing about folders or jobs, opens no picture by path, and
ends as soon as its socket does. While native code runs it can notice nothing at all: then the kernel ends it with its
parent (``PR_SET_PDEATHSIG``), or the supervisor kills it.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import gc
import importlib
import os
import resource
import signal
import socket
import threading
import traceback
from typing import TYPE_CHECKING, Any, Final, NoReturn

from srwatchd.errors import PermanentError, SrwatchdError, TransientError
from srwatchd.worker import protocol
from srwatchd.worker.confinement import Confinement, confine
from srwatchd.worker.evidence import memory_exhausted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Task = Callable[[dict[str, Any], list[int], Callable[[dict[str, Any]], None]], dict[str, Any]]

__all__ = ["load_tasks", "main", "perform", "serve"]

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15
_PR_SET_NO_NEW_PRIVS: Final = 38
_MESSAGE: Final = 4000
_SHORT: Final = 300
_SCORE: Final = "/proc/self/oom_score_adj"


def main(arguments: list[str]) -> NoReturn:
    """Run as ``ROLE SOCKET PARENT``: a name for lists of processes, an inherited descriptor, the supervisor's pid.

    A fourth word names ops to load at once: a worker that was started ahead of its settings.
    """
    role, descriptor, parent, *ahead = arguments
    _bind_to_parent(int(parent))
    _shield(role)
    gc.disable()  # until all is loaded: nothing of it is garbage
    connection = socket.socket(fileno=int(descriptor))
    connection.set_inheritable(False)
    status = 1
    try:
        for name in ahead:
            load_tasks(name)
        first = protocol.receive(connection)
        if first is not None:
            _limit(first.message)
            status = _work(connection, first.message)
    except BaseException:  # noqa: BLE001  its text is the evidence, whatever it is
        traceback.print_exc()
    finally:
        # No interpreter shutdown: destructors of native libraries are the last place to hang or crash in.
        os._exit(status)


def load_tasks(name: str) -> Mapping[str, Task]:
    """The table of ops that ``module:attribute`` names, after ``module.prepare()`` if the module has that.

    There it loads what it would otherwise load during its first op.
    """
    module_name, _, attribute = name.partition(":")
    module = importlib.import_module(module_name)
    tasks: Mapping[str, Task] = getattr(module, attribute)
    if (prepare := getattr(module, "prepare", None)) is not None:
        prepare()
    return tasks


def serve(connection: socket.socket, tasks: Mapping[str, Task]) -> None:
    """Answer requests until the supervisor closes the socket. Every received descriptor is closed after its op."""
    while (received := protocol.receive(connection)) is not None:
        try:
            reply = perform(connection, received, tasks)
        finally:
            for descriptor in received.descriptors:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        del received
        if not _said(connection, reply):
            return


def perform(connection: socket.socket, received: protocol.Received, tasks: Mapping[str, Task]) -> bytes:
    """Do one op, sending its progress, and return the encoded reply. Whatever the op raises becomes an error in it."""
    request = received.message
    number, op = request["id"], str(request["op"])
    over, speaking = False, threading.Lock()

    def progress(values: dict[str, Any]) -> None:
        """Tell the supervisor that the op is alive; ignored once it is over, from whatever thread it comes."""
        with speaking:
            if not over and not _said(connection, protocol.encode({"id": number, "progress": values})):
                os._exit(0)

    try:
        result = tasks[op](request["params"], list(received.descriptors), progress)
        return protocol.encode({"id": number, "result": result})
    except SrwatchdError as error:
        wire = error.to_wire()
    except BaseException as error:  # noqa: BLE001  the supervisor has to learn of every one
        wire = _unexpected(op, error).to_wire()
    finally:
        with speaking:
            over = True
    # The traceback and all that its frames held are gone here, so there is memory again for the reply.
    return protocol.encode({"id": number, "error": _bounded(wire)})


def _work(connection: socket.socket, settings: dict[str, Any]) -> int:
    """Load the ops, give up everything else, report for work, and serve. The exit status."""
    try:
        tasks = load_tasks(str(settings["tasks"]))
        gc.freeze()  # what is loaded stays: to tidy up after an op, the collector need not go through all of it
        gc.enable()
        measures = _confine(settings["confinement"])
    except BaseException as error:  # noqa: BLE001  likewise
        wire = error.to_wire() if isinstance(error, SrwatchdError) else _unexpected("start", error).to_wire()
        _said(connection, protocol.encode({"error": _bounded(wire)}))
        return 1
    if _said(connection, protocol.encode({"ready": {"pid": os.getpid(), "confinement": measures}})):
        serve(connection, tasks)
    return 0


def _said(connection: socket.socket, packet: bytes) -> bool:
    """Whether the packet could be sent; False when the supervisor is gone."""
    try:
        protocol.send(connection, packet)
    except ConnectionError:
        return False
    return True


def _unexpected(op: str, error: BaseException) -> SrwatchdError:
    """An error outside our tree: memory that ran out, else a defect with its traceback (the end of a long one)."""
    summary = "".join(traceback.format_exception_only(error)).strip()
    if isinstance(error, MemoryError) or memory_exhausted(summary):
        return TransientError("out_of_memory", f"{op!r} ran out of memory: {summary}")
    return PermanentError("internal_error", f"{op!r} failed:\n{''.join(traceback.format_exception(error))}")


def _bounded(wire: dict[str, str]) -> dict[str, str]:
    """``wire`` with texts so short that any of them fits a packet, twelve bytes for a character at worst."""
    message = wire["message"]
    kept = message if len(message) <= _MESSAGE else f"[...]{message[-_MESSAGE:]}"
    return {key: value[:_SHORT] for key, value in wire.items()} | {"message": kept}


def _prctl(option: int, argument: int | bytes) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    value = ctypes.c_char_p(argument) if isinstance(argument, bytes) else ctypes.c_ulong(argument)
    zero = ctypes.c_ulong(0)
    if libc.prctl(option, value, zero, zero, zero) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl({option}): {os.strerror(code)}")


def _bind_to_parent(parent: int) -> None:
    """End with the supervisor from now on, and at once if it ended before that was arranged."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _shield(role: str) -> None:
    """Leave stopping to the supervisor, take no new privileges, and speak before a crash."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_NAME, f"srw-{role}".encode()[:15])
    faulthandler.enable()


def _confine(settings: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Give up what the ops do not need; what came of it."""
    return [] if settings is None else [each.to_wire() for each in confine(Confinement.from_wire(settings))]


def _limit(settings: dict[str, Any]) -> None:
    """Apply the limits of the first message to this process."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    # 1, not 0: the kernel then starts no core_pattern program either (fs/coredump.c), and writes no file so small.
    core = 0 if hard == 0 else 1
    resource.setrlimit(resource.RLIMIT_CORE, (core, core))
    if settings["data_limit"] is not None:
        _limit_data(int(settings["data_limit"]))
    if settings["nice"]:
        os.nice(int(settings["nice"]))
    with contextlib.suppress(OSError), open(_SCORE, "r+", encoding="ascii") as file:
        score = int(file.read())
        file.seek(0)
        file.write(str(min(1000, score + int(settings["oom_score_adjustment"]))))


def _limit_data(limit: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
