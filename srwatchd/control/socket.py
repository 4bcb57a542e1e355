"""Both ends of the control socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from typing import TYPE_CHECKING, Any, Final

from srwatchd.errors import FatalError, HostError, RequestError, SrwatchdError, from_wire
from srwatchd.storage import host_errors

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

__all__ = ["ControlServer", "NotRunningError", "ask", "call"]

_ANSWER_LIMIT: Final = 64 << 20
_REQUEST_LIMIT: Final = 8 << 20
"""More than the names that fit on a command line (2 MiB), written as JSON."""
_READ_TIMEOUT: Final = 10.0
_LONGEST_ADDRESS: Final = 107
"""Bytes of ``sun_path`` without its end, unix(7)."""


class NotRunningError(FatalError):
    """No daemon answers on the socket."""

    exit_code = 5


class ControlServer:
    """Answers requests ``{"command": ..., ...}`` with ``{"ok": ...}`` or ``{"error": ...}``.

    The socket is made with mode 0660: whoever may write it may steer the daemon.
    """

    def __init__(self, path: Path, answer: Callable[[dict[str, Any]], Awaitable[Any]]) -> None:
        self._path = path
        self._answer = answer
        self._listener: socket.socket | None = None
        self._server: asyncio.Server | None = None

    def listen(self) -> None:
        """Make the socket. One left by a dead daemon is replaced; the caller holds the state's lock.

        Raises HostError while the disk refuses it.
        """
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            with host_errors(self._path, "making the socket"):
                with contextlib.suppress(FileNotFoundError):
                    self._path.unlink()
                with _address(self._path) as address:
                    listener.bind(address)
                self._path.chmod(0o660)
        except HostError:
            listener.close()
            raise
        listener.setblocking(False)
        self._listener = listener

    async def start(self) -> None:
        """Answer from now on; after :meth:`listen`."""
        self._server = await asyncio.start_unix_server(self._serve, sock=self._listener, limit=_REQUEST_LIMIT)

    async def close(self) -> None:
        """Stop listening and remove the socket."""
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_READ_TIMEOUT):
                line = await reader.readline()
            answer: dict[str, Any]
            try:
                request = json.loads(line)
                answer = {"ok": await self._answer(request)}
            except SrwatchdError as error:
                answer = {"error": error.to_wire()}
            except (ValueError, TypeError, KeyError) as error:
                answer = {"error": RequestError("bad_request", f"a request was not understood: {error}").to_wire()}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        except (OSError, TimeoutError, ValueError):
            pass  # the client has gone away or says nothing; nobody is left to tell
        finally:
            writer.close()


def call(path: Path, command: str, /, *, timeout: float = 60.0, **fields: Any) -> Any:
    """Ask the daemon behind ``path`` and return its answer.

    Raises :class:`NotRunningError` when none listens, and the error that the daemon answered.
    """
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(timeout)
    try:
        with _said(path, timeout):
            with _address(path) as address:
                client.connect(address)
            client.sendall(_request(command, fields))
            with client.makefile("rb") as stream:
                line = stream.readline(_ANSWER_LIMIT)
    finally:
        client.close()
    return _unpacked(path, line)


async def ask(path: Path, command: str, /, *, timeout: float = 60.0, **fields: Any) -> Any:  # noqa: ASYNC109 - as above
    """:func:`call` for an event loop, which goes on meanwhile."""
    with _said(path, timeout):
        async with asyncio.timeout(timeout):
            with _address(path) as address:
                reader, writer = await asyncio.open_unix_connection(address, limit=_ANSWER_LIMIT)
            try:
                writer.write(_request(command, fields))
                await writer.drain()
                line = await reader.readline()
            finally:
                writer.close()
    return _unpacked(path, line)


def _request(command: str, fields: dict[str, Any]) -> bytes:
    return json.dumps({"command": command, **fields}).encode() + b"\n"


@contextlib.contextmanager
def _said(path: Path, timeout: float) -> Iterator[None]:
    """What it means that the socket refuses."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, ConnectionError) as error:
        raise NotRunningError("not_running", f"no daemon answers on {str(path)!r}") from error
    except PermissionError as error:
        hint = "Run the command as the daemon's user, or as a member of its group."
        raise FatalError("not_writable", f"{str(path)!r} may not be used by this user", hint=hint) from error
    except (TimeoutError, BlockingIOError) as error:
        hint = "It is busy or its disks hang: look at its log, then ask again."
        raise FatalError("not_answering", f"the daemon did not answer within {timeout:g} s", hint=hint) from error


def _unpacked(path: Path, line: bytes) -> Any:
    """The answer in ``line``; raises the error that it may be."""
    if not line.endswith(b"\n"):
        raise NotRunningError("not_running", f"the daemon behind {str(path)!r} ended before it answered")
    answer = json.loads(line)
    if "error" in answer:
        raise from_wire(answer["error"])
    return answer["ok"]


@contextlib.contextmanager
def _address(path: Path) -> Iterator[str]:
    """An address that fits into a socket's 107 bytes for any path: the path itself, or one by way of its directory."""
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS:
        yield str(path)
        return
    descriptor = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)
