"""The console as a process: its start, its socket, its end."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import signal
import socket
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
from srwatchd.daemon import log
from srwatchd.errors import FatalError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from srwatchd.config import Config

__all__ = ["run"]

_log = structlog.get_logger("srwatchd.console")
_GRACE_SECONDS: Final = 2
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
    listener = _listener(settings.host if host is None else host, settings.port if port is None else port)
    status = asyncio.run(_serve(config, listener, say))
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


class _Server(uvicorn.Server):
    """Ends in order and with status 0 at a signal; uvicorn's own way is to die of it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        yield

    def _stop(self) -> None:
        self.should_exit = True


async def _serve(config: Config, listener: socket.socket, say: Callable[[str], None]) -> int:
    desk = Desk(config)
    tls = config.console.tls
    server = _Server(
        uvicorn.Config(
            application(desk),
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
            ssl_certfile=tls.certificate,
            ssl_keyfile=tls.key,
        )
    )
    url = _url(listener, secure=tls.certificate is not None)
    _log.info("started", version=__version__, config=str(config.source), url=url)
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
    shown = f"[{host}]" if ipaddress.ip_address(host.partition("%")[0]).version == 6 else host  # noqa: PLR2004 - IPv6
    return f"{'https' if secure else 'http'}://{shown}:{port}/"
