"""The server's end of a connection: nobody may keep one for long without asking for something.

What is answered before all of a request's body has come, a refusal mostly, still has to arrive: a connection that is
closed while its client sends is reset, and a proxy makes a 502 of that.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import h11
from starlette.datastructures import Headers
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Lingering", "PatientProtocol"]

_HEADERS_SECONDS: Final = 15.0
_MOST_CONNECTIONS: Final = 512
_LINGER_SECONDS: Final = 30.0
_LINGER_PAUSE_SECONDS: Final = 5.0
_LINGER_BYTES: Final = 256 << 20


class PatientProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, with a limit of time for a request's line and headers, and of connections."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """A client has connected."""
        super().connection_made(transport)
        if len(self.connections) > _MOST_CONNECTIONS:
            transport.abort()
            return
        self._waiting = self.loop.call_later(_HEADERS_SECONDS, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone."""
        self._cancel()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Something has come."""
        super().handle_events()
        if self.conn.their_state is not h11.IDLE:
            self._cancel()

    def data_received(self, data: bytes) -> None:
        """The beginning of the next request, perhaps: the rest of its headers has to come soon."""
        if self._waiting is None and self.conn.their_state is h11.IDLE:
            self._waiting = self.loop.call_later(_HEADERS_SECONDS, self._give_up)
        super().data_received(data)

    def _give_up(self) -> None:
        self._waiting = None
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.transport.close()

    def _cancel(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


class Lingering:
    """A layer around the whole application: an answer that comes early is sent whole, then the body is read away.

    As long as more comes, for half a minute and some hundred MB at the most, and only where the client has not asked
    whether it shall send.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through."""
        if scope["type"] != "http" or not _sends(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        unread = True
        last: Message | None = None

        async def received() -> Message:
            """The next message of the request."""
            nonlocal unread
            message = await receive()
            unread = bool(message.get("more_body"))
            return message

        async def sent(message: Message) -> None:
            """Send a message, but keep the end of an answer back that comes before the end of the request."""
            nonlocal last
            if unread and message["type"] == "http.response.body" and not message.get("more_body"):
                last = {"type": "http.response.body", "body": b""}
                message = {**message, "more_body": True}
            await send(message)

        await self._app(scope, received, sent)
        if last is not None:
            try:
                task = asyncio.current_task()
                if task is None or not task.cancelling():  # not while the console ends
                    await _read_away(receive)
            finally:
                await send(last)


def _sends(headers: Headers) -> bool:
    """Whether a body is on its way."""
    if "expect" in headers:
        return False
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


async def _read_away(receive: Receive) -> None:
    left = _LINGER_BYTES
    try:
        async with asyncio.timeout(_LINGER_SECONDS):
            while left > 0:
                async with asyncio.timeout(_LINGER_PAUSE_SECONDS):
                    message = await receive()
                left -= len(message.get("body", b""))
                if not message.get("more_body"):
                    return
    except TimeoutError:
        return
