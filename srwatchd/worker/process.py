"""One worker as the supervisor sees it: start it, ask it for one op at a time, notice how it ends.

Everything runs in the event loop's own thread: no helper threads, no child watcher. The socket brings messages and
the end of the conversation, a pidfd (Linux >= 5.3) the end of the process, a pipe its last words.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import itertools
import os
import socket
from typing import TYPE_CHECKING, Any, Final, Literal

from srwatchd.errors import FatalError, HostError, PermanentError, SrwatchdError, TransientError, from_wire
from srwatchd.worker import evidence, protocol
from srwatchd.worker.confinement import Measure
from srwatchd.worker.launch import launch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from srwatchd.worker.launch import Launched, SpawnSettings

__all__ = ["Worker"]

_REAPING: Final = 5.0
"""Seconds to wait for a killed process; longer means that it sleeps in the kernel, on a disk or mount that hangs."""

_LINGERING: Final = 5.0
"""The most seconds between the end of a worker's socket and the end of the worker, if the one announces the other."""


class Worker:
    """A living or ended worker process. Made by :meth:`spawn`; used from one event loop only.

    ``busy_since``, ``progressed_at`` and ``started_at`` are seconds of the loop's (monotonic) clock, ``op`` and
    ``progress`` describe the op that runs, ``due`` is when it must have made progress again, ``completed`` counts
    the ops that came to a result or an error of theirs. ``ending`` says why it is of no more use, "" while it is:
    ``broken`` covers death and breaches of the protocol, ``cancelled`` is our own doing during an op, ``stopped`` a
    request from outside. ``confinement`` is what it gave up when it started, as it says itself.
    """

    def __init__(self, settings: SpawnSettings, launched: Launched) -> None:
        self.settings = settings
        self.pid = launched.process.pid
        self.op = ""
        self.busy_since: float | None = None
        self.progressed_at: float | None = None
        self.due: float | None = None
        self.progress: dict[str, Any] = {}
        self.completed = 0
        self.confinement: tuple[Measure, ...] = ()
        self.ending: Literal["", "cancelled", "hung", "stopped", "broken"] = ""
        self._loop = asyncio.get_running_loop()
        self.started_at = self._loop.time()
        self._process = launched.process
        self._connection = launched.connection
        self._words = evidence.LastWords(launched.output)
        self._numbers = itertools.count(1)
        self._packets: collections.deque[bytes] = collections.deque()
        self._arrived = asyncio.Event()
        self._silent = False
        self._exited: asyncio.Future[int] = self._loop.create_future()
        self._pidfd = os.pidfd_open(self.pid)
        self._loop.add_reader(self._pidfd, self._on_exit)
        self._loop.add_reader(self._words, self._on_words)
        self._loop.add_reader(self._connection, self._on_packet)

    def __str__(self) -> str:
        return f"{self.settings.role} worker {self.pid}"

    @classmethod
    async def spawn(cls, settings: SpawnSettings) -> Worker:
        """Start a process and wait until it can take an op.

        Raises ``HostError("workers_unavailable")`` with the evidence when it does not come up within
        ``settings.start_deadline``, and a :class:`FatalError` that its table of ops raised on import. Leaves no
        process behind when it raises or is cancelled.
        """
        launched = launch(settings)
        try:
            worker = cls(settings, launched)
        except OSError as error:
            launched.process.kill()
            launched.process.wait()
            launched.connection.close()
            os.close(launched.output)
            raise HostError("workers_unavailable", f"a worker cannot be watched: {error.strerror}") from error
        try:
            await worker._hello()
        except BaseException:
            worker.kill("broken")
            await worker.gone()
            raise
        return worker

    @property
    def alive(self) -> bool:
        """Whether it can be asked for an op, as far as is known."""
        return not (self._silent or self.ending or self._exited.done())

    @property
    def returncode(self) -> int | None:
        """Its exit status, minus the number of the signal that ended it, or None before it was reaped."""
        return self._exited.result() if self._exited.done() else None

    async def call(
        self,
        op: str,
        params: dict[str, Any],
        fds: Sequence[int] = (),
        *,
        deadline: float,
        on_progress: Callable[[dict[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """Have ``op`` done and return its result. The worker gets copies of ``fds``, at most 8; ours stay open.

        ``deadline`` is in seconds and starts again with every progress message. Raises what the op raised;
        ``TransientError`` ``worker_hung`` or (on a disk) ``worker_stuck``, both killed, ``worker_died`` or
        ``out_of_memory`` with the evidence;
        ``PermanentError("internal_error")`` when ``params`` exceed a packet; ``HostError("workers_unavailable")``
        when :meth:`stop` ended it meanwhile, which is nobody's fault. Cancelling kills the worker, for an op
        cannot be interrupted; so does an exception of ``on_progress``.
        """
        if self.busy_since is not None:
            raise RuntimeError(f"the {self} does one op at a time and is at {self.op!r}")
        number = next(self._numbers)
        try:
            packet = protocol.encode({"id": number, "op": op, "params": params})
            self._begin(op)
            self.due = self._loop.time() + deadline
            oom_before = evidence.oom_kills()
            self._ask(packet, fds)
            reply = await self._reply(number, deadline, on_progress, oom_before)
        except protocol.ProtocolError as error:  # nothing was sent, the worker is unharmed
            raise PermanentError("internal_error", f"{op!r} cannot be asked for: {error}") from error
        except BaseException as error:
            self.kill("broken" if isinstance(error, SrwatchdError) else "cancelled")
            raise
        finally:
            self.op, self.busy_since, self.progressed_at, self.progress = "", None, None, {}
            self.due = None
        self.completed += 1
        if "error" in reply:
            raise from_wire(reply["error"])
        result: dict[str, Any] = reply["result"]
        return result

    def kill(self, why: Literal["cancelled", "hung", "stopped", "broken"] = "stopped") -> None:
        """SIGKILL, at once and without waiting. The first reason stands. Harmless when it has ended."""
        self.ending = self.ending or why
        if not self._exited.done():
            self._process.kill()

    async def stop(self, grace: float = 2.0) -> None:
        """End it: an idle worker by closing its socket, with ``grace`` seconds to go; one at work by SIGKILL."""
        if self.busy_since is None and self.alive:
            self.ending = "stopped"
            with contextlib.suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)
            await self.gone(grace)
        if self.returncode is None:
            self.kill("stopped")
            await self.gone()

    async def gone(self, timeout: float = _REAPING) -> bool:  # noqa: ASYNC109  answers instead of raising
        """Wait until the process was reaped, at most ``timeout`` seconds; whether it was."""
        await asyncio.wait({self._exited}, timeout=timeout)
        return self._exited.done()

    def _begin(self, op: str) -> None:
        self._words.forget()
        now = self._loop.time()
        self.op, self.busy_since, self.progressed_at, self.progress = op, now, now, {}

    def _ask(self, packet: bytes, fds: Sequence[int]) -> None:
        """Send a request. A worker that has ended is no error here: the wait for its answer tells more."""
        if not self.alive:
            return
        try:
            protocol.send(self._connection, packet, fds)
        except ConnectionError:
            return
        except OSError as error:
            text = f"the {self} cannot be given {self.op!r}: {error.strerror}"
            raise HostError("workers_unavailable", text) from error

    async def _hello(self) -> None:
        """Wait for the first message."""
        self._begin("start")
        try:
            message = await self._next(self.settings.start_deadline, evidence.oom_kills())
        except SrwatchdError as error:
            raise HostError("workers_unavailable", error.message) from error
        finally:
            self.op, self.busy_since, self.progressed_at = "", None, None
        if "error" in message:
            cause = from_wire(message["error"])
            if isinstance(cause, FatalError):
                raise cause
            raise HostError("workers_unavailable", cause.message) from cause
        self.confinement = tuple(map(Measure.from_wire, message["ready"]["confinement"]))

    async def _reply(
        self,
        number: int,
        deadline: float,
        on_progress: Callable[[dict[str, Any]], None] | None,
        oom_before: int | None,
    ) -> dict[str, Any]:
        """The message that ends request ``number``; progress on the way is passed on."""
        while True:
            message = await self._next(deadline, oom_before)
            progress = message.get("progress")
            if message.get("id") == number and isinstance(progress, dict):
                self.progress, self.progressed_at = progress, self._loop.time()
                self.due = self.progressed_at + deadline
                if on_progress is not None:
                    on_progress(progress)
            elif message.get("id") == number and isinstance(message.get("result", message.get("error")), dict):
                return message
            else:
                raise self._nonsense(f"an answer that belongs to no question: {str(message)[:200]}")

    async def _next(self, deadline: float, oom_before: int | None) -> dict[str, Any]:
        """The next message. A packet that came in time counts even when we were late to look."""
        if not (self._packets or self._silent):
            self._arrived.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(deadline):
                    await self._arrived.wait()
        if self._packets:
            try:
                return protocol.decode(self._packets.popleft())
            except protocol.ProtocolError as error:
                raise self._nonsense(str(error)) from error
        if self._silent:
            raise await self._death(oom_before)
        raise await self._hung(deadline)

    def _nonsense(self, what: str) -> TransientError:
        self.kill("broken")
        return TransientError("worker_died", f"the {self} was killed during {self.op!r}: {what}")

    async def _hung(self, deadline: float) -> TransientError:
        """Kill it; how far it had come, and whether it waited for a disk, which is no fault of the picture."""
        on_disk = evidence.waits_for_disk(self.pid)
        self.kill("hung")
        reaped = await self.gone()
        text = f"the {self} made no progress in {deadline:g} s during {self.op!r} and was killed"
        if self.progress:
            text += f" (last progress: {str(self.progress)[:200]})"
        if reaped and not on_disk:
            return TransientError("worker_hung", text + evidence.quoted(self._words.text()))
        text += "; it waited for a disk or mount that hangs" if reaped else "; it has not ended: a disk or mount hangs"
        return TransientError("worker_stuck", text + evidence.quoted(self._words.text()))

    async def _death(self, oom_before: int | None) -> SrwatchdError:
        """Why the conversation ended."""
        if self.ending == "stopped":
            await self.gone()
            return HostError("workers_unavailable", f"the {self} was stopped during {self.op!r}")
        if self.ending:
            return TransientError("worker_died", f"the {self} had ended before {self.op!r}")
        await self.gone(_LINGERING)
        if self.returncode is None:
            return self._nonsense("it closed its socket without ending")
        oom_now = evidence.oom_kills()
        struck = oom_before is not None and oom_now is not None and oom_now > oom_before
        words = self._words.text()
        return evidence.death(f"the {self}", self.op, returncode=self.returncode, words=words, oom_killed=struck)

    def _on_packet(self) -> None:
        """Take up one packet, or the end of the conversation."""
        try:
            packet = self._connection.recv(protocol.MAX_MESSAGE + 1)
        except BlockingIOError:
            if not self._exited.done():
                return
            packet = b""  # a stray child of an ended worker holds the socket
        except OSError:
            packet = b""
        if packet and self.busy_since is not None:
            self._packets.append(packet)
        else:  # its end, or words from an idle worker, who has nothing to say
            self._silent = True
            self._loop.remove_reader(self._connection)
            self._connection.close()
            if packet:
                self.kill("broken")
        self._arrived.set()

    def _on_words(self) -> None:
        if not self._words.drain():
            self._loop.remove_reader(self._words)

    def _on_exit(self) -> None:
        returncode = self._process.poll()
        if returncode is None:
            return
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._loop.remove_reader(self._words)
        self._words.close()
        self._exited.set_result(returncode)
        while not self._silent:  # what it said before it ended is still there, and then the end
            self._on_packet()
