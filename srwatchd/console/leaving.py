"""Clients that go away while an answer is being made for them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from srwatchd.console.refusals import DeclinedError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from starlette.requests import Request

__all__ = ["gone", "unless_gone"]

_Given = TypeVar("_Given")


async def gone(request: Request) -> None:
    """Returns when the client has gone away. To be waited for once all of the request's body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def unless_gone(request: Request, work: Coroutine[Any, Any, _Given]) -> _Given:
    """What ``work`` gives; it is cancelled when the client of a request without a body goes away.

    Raises DeclinedError 499 then, which nobody reads.
    """
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(gone(request))
    either: set[asyncio.Future[Any]] = {working, leaving}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise DeclinedError(499, "upload_broken", "whoever asked has gone")
        return working.result()
    finally:
        for each in either:
            each.cancel()
