"""The console as a process: its start, its socket, its end."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import signal
import socket
import ssl
import sys
import threading
import time
from typing import TYPE_CHECKING, Final

import structlog
import uvicorn

from srwatchd import __version__
from srwatchd.config import load
from srwatchd.console.app import application
from srwatchd.console.desk import Desk
from srwatchd.console.wire import PatientProtocol
from srwatchd.daemon import log
from srwatchd.errors import FatalError
from srwatchd.worker.landlock import keep_signals_inside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from srwatchd.config.console import Tls

__all__ = ["run"]

_log = structlog.get_logger("srwatchd.console")
_GRACE_SECONDS: Final = 2
_IDLE_SECONDS: Final = 30
"""Longer than a hidden page waits between two questions."""
_LAST_SECONDS: Final = 1.0
_BACKLOG: Final = 256


def run(path: Path, *, host: str | None = None, port: int | None = None, say: Callable[[str], None]) -> int:
    """Be the console for the configuration at ``path`` until SIGTERM; the exit status.

    ``say`` is told the address once it listens. Raises :class:`FatalError` for what the command line reports.
    """
    config = load(path)
    settings = config.console
    log.configure(level=config.log.level, form=config.log.format)
    os.umask(0o022)
    if not keep_signals_inside():
        _log.info("this kernel does not keep the console from signalling the daemon; Linux 6.12 does")
    wanted = settings.host if host is None else host
    listener = _listener(wanted, settings.port if port is None else port)
    context = certified(settings.tls)
    alone = ipaddress.ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback
    desk = Desk(config, hosts=(_bracketed(wanted.lower()),), alone=alone)
    _insist_on_users(desk, alone=alone)
    status = asyncio.run(_serve(desk, listener, context, say))
    _leave(status)
    return status


def _leave(status: int) -> None:
    """Wait a little for threads that put something away, and for no disk that hangs."""
    over = time.monotonic() + _LAST_SECONDS
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join(max(0.0, over - time.monotonic()))
            if thread.is_alive():
                sys.stdout.flush()
                os._exit(status)


class ListenError(FatalError):
    """The console would not be safe, or cannot be reached, as it is configured."""

    exit_code = 78


class _Server(uvicorn.Server):
    """Ends in order and with status 0 at a signal; uvicorn's own way is to die of it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT ask the server to stop, for the time of the block and after it."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        yield

    def _stop(self) -> None:
        self.should_exit = True


async def _serve(
    desk: Desk, listener: socket.socket, context: ssl.SSLContext | None, say: Callable[[str], None]
) -> int:
    server = _Server(
        uvicorn.Config(
            application(desk),
            loop="asyncio",
            http=PatientProtocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
            timeout_keep_alive=_IDLE_SECONDS,
            ssl_context_factory=None if context is None else lambda _config, _default: context,
        )
    )
    url = _url(listener, secure=context is not None)
    _log.info("started", version=__version__, config=str(desk.config.source), url=url)
    with server.capture_signals():  # before anybody is told where it is
        say(f"srwatchd's console: {url}")
        await server.serve(sockets=[listener])
    _log.info("stopped")
    return 0


def _listener(host: str, port: int) -> socket.socket:
    """A listening socket. Raises :class:`FatalError` when there is no such address or the port is taken."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind | socket.SOCK_CLOEXEC, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        hint = "Choose another with --host and --port, or console.host and console.port."
        raise FatalError(
            "address_refused", f"cannot listen on {host} port {port}: {error.strerror}", hint=hint
        ) from error
    return listener


def _url(listener: socket.socket, *, secure: bool) -> str:
    host, port = listener.getsockname()[:2]
    return f"{'https' if secure else 'http'}://{_bracketed(host)}:{port}/"


def _bracketed(host: str) -> str:
    """A host as it stands in an address: one of IPv6 in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _insist_on_users(desk: Desk, *, alone: bool) -> None:
    """Raise FatalError where others could come in and nobody has to log in."""
    users = desk.users.read()
    if users.locked:
        message = f"{str(desk.state / 'users.json')!r} cannot be read"
        hint = "It has to belong to the console's user, with mode 0600. Without the file there are no users."
        raise ListenError("configuration", message, hint=hint)
    if users.nobody and (not alone or desk.config.console.trusted_proxies):
        where = "elsewhere than on this machine" if not alone else "behind a proxy"
        message = f"the console would be reached from {where}, and there is no user and no token"
        hint = "Add one first: srwatchd console user add NAME --role operator --config FILE"
        raise ListenError("configuration", message, hint=hint)


def certified(tls: Tls) -> ssl.SSLContext | None:
    """What TLS is spoken with; None for plain HTTP. Raises FatalError for files that do not serve."""
    if tls.certificate is None and tls.key is None:
        return None
    if tls.certificate is None or tls.key is None:
        raise ListenError("configuration", "console.tls has only one of certificate and key", hint="Give both.")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.certificate, tls.key, password=lambda: "")
    except (OSError, ssl.SSLError, ValueError) as error:
        message = f"{str(tls.certificate)!r} and {str(tls.key)!r} do not serve for TLS: {error}"
        hint = "They have to be PEM files that belong together, the key without a passphrase, readable by this user."
        raise ListenError("configuration", message, hint=hint) from error
    return context
