"""What every request passes before anything else sees it, and every answer after.

In this order: who really asks (behind a proxy that is trusted), under which name the console was reached, whether
another site is behind it, how long its body may be. Nothing here knows users; the routes ask for them.
"""

from __future__ import annotations

import asyncio
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Final

import structlog
from starlette.datastructures import Headers, MutableHeaders

from srwatchd.console.origin import Addresses, host_name, plain_address
from srwatchd.console.refusals import DeclinedError, answer
from srwatchd.errors import PermanentError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from srwatchd.console.desk import Desk

__all__ = ["BODY_LIMIT", "Guard"]

_log = structlog.get_logger("srwatchd.console")
BODY_LIMIT: Final = 64 << 10
"""For everything but files."""
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_FILES: Final = (
    ("PUT", "/api/v1/folders/"),
    ("POST", "/api/v1/upscale"),
    ("POST", "/api/v1/models"),
)
_PLAIN: Final = (("PUT", "/api/v1/folders/"), ("POST", "/api/v1/upscale"))
"""What plain curl may do without the header as long as nobody has to log in."""
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


class Guard:
    """A layer around the whole application."""

    def __init__(self, app: ASGIApp, *, desk: Desk) -> None:
        self._app = app
        self._desk = desk
        self._addresses = Addresses(desk.config.console.trusted_proxies)
        self._names = frozenset({"localhost", "127.0.0.1", "[::1]", *desk.config.console.allowed_hosts, *desk.hosts})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through; whatever goes wrong is answered as every other error."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def finish(message: Message) -> None:
            """Send a message; the first one carries the headers of every answer."""
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                _dress(message, api=scope["path"].startswith("/api/"))
            await send(message)

        try:
            self._check(scope)
            await self._app(scope, self._bounded(scope, receive), finish)
        except DeclinedError as error:
            if not started:
                await answer(error)(scope, receive, finish)
        except asyncio.CancelledError:  # the console ends, and its time for that is over
            if not started:
                await answer(DeclinedError(503, "not_running", "the console is ending"))(scope, receive, finish)
        except Exception:
            _log.exception("defect", path=scope["path"])
            if started:
                raise
            await answer(PermanentError("internal_error", "the console failed; its log says where"))(
                scope, receive, finish
            )

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        forwarded = self._addresses.apply(scope, headers)
        host = host_name(headers.getlist("host"))
        if host is None or not (host in self._names or host == _own_address(scope)):
            raise DeclinedError(421, "wrong_host", f"the console is not called {host or 'that'}")
        if forwarded and self._desk.gate.open:
            hint = "Behind a proxy there have to be users: srwatchd console user add NAME --role operator"
            raise DeclinedError(403, "not_allowed", "a request that a proxy forwards is not this machine's", hint=hint)
        self._check_site(scope, headers)
        told = headers.get("content-length")
        if told is not None and not _takes_files(scope) and told.isdecimal() and int(told) > BODY_LIMIT:
            raise DeclinedError(413, "bad_request", f"more than {BODY_LIMIT} bytes are not taken here", hint=_API)

    def _check_site(self, scope: Scope, headers: Headers) -> None:
        """Refuse what another site has sent, by what browsers say of it and by a header that no form can send."""
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        api = scope["path"].startswith("/api/")
        if api and site in ("cross-site", "same-site"):
            raise DeclinedError(403, "cross_site", "another site's page has sent this")
        if scope["method"] in _SAFE:
            return
        if headers.get("authorization", "").lower().startswith("bearer "):
            return
        if origin is not None and origin != f"{scope['scheme']}://{headers.get('host', '')}":
            raise DeclinedError(403, "cross_site", "another site's page has sent this")
        if headers.get("x-srwatchd") == "1":
            return
        browser = site is not None or origin is not None
        if browser or not self._desk.gate.open or not _is_one_of(scope, _PLAIN) or _has_cookies(headers):
            raise DeclinedError(403, "cross_site", "the header X-Srwatchd: 1 is missing")

    def _bounded(self, scope: Scope, receive: Receive) -> Receive:
        """``receive``, for a body that does not say how long it is."""
        if _takes_files(scope):
            return receive
        taken = 0

        async def bounded() -> Message:
            """The next message of the request. Raises DeclinedError 413 beyond the limit."""
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > BODY_LIMIT:
                raise DeclinedError(413, "bad_request", f"more than {BODY_LIMIT} bytes are not taken here", hint=_API)
            return message

        return bounded


def _dress(message: Message, *, api: bool) -> None:
    """Give an answer the headers that all have."""
    headers = MutableHeaders(scope=message)
    for name, value in _HEADERS.items():
        headers[name] = value
    if "cache-control" not in headers:
        headers["Cache-Control"] = "no-store" if api else "no-cache"


def _own_address(scope: Scope) -> str:
    """The address at which the request came in: no name that somebody else could make lead here."""
    address = plain_address(str((scope.get("server") or ("",))[0]))
    return f"[{address}]" if ":" in address else address


def _takes_files(scope: Scope) -> bool:
    return _is_one_of(scope, _FILES)


def _is_one_of(scope: Scope, routes: tuple[tuple[str, str], ...]) -> bool:
    return any(scope["method"] == method and scope["path"].startswith(path) for method, path in routes)


def _has_cookies(headers: Headers) -> bool:
    return any("srwatchd" in name for name in SimpleCookie(headers.get("cookie", "")))


_API: Final = "docs/api.md and /api/v1/openapi.json say what can be asked."
