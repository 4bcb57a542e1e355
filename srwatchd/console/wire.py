"""The server's end of a connection: nobody may keep one for long without asking for something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

__all__ = ["PatientProtocol"]

_HEADERS_SECONDS: Final = 15.0
_MOST_CONNECTIONS: Final = 512


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
