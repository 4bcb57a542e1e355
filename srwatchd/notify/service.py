"""The sd_notify protocol: one datagram of ``KEY=value`` lines per message, see sd_notify(3).

Telling is a courtesy: a missing, full or broken socket never disturbs the daemon. Every method says by its return
value whether the message went out, and nothing here raises or blocks.
"""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Notifier", "watchdog_interval"]


@dataclass(frozen=True, slots=True)
class Notifier:
    """Speaks to the socket at ``address``: a path, or ``@name`` for the abstract namespace; "" speaks to nobody."""

    address: str = ""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """The notifier of ``NOTIFY_SOCKET``; one that does nothing when it is not set."""
        return cls((os.environ if environ is None else environ).get("NOTIFY_SOCKET", ""))

    def ready(self, status: str = "") -> bool:
        """Start-up, or a reload announced by :meth:`reloading`, is complete."""
        return self._send("READY=1", *_status(status))

    def stopping(self, status: str = "") -> bool:
        """The daemon has begun to stop."""
        return self._send("STOPPING=1", *_status(status))

    def status(self, text: str) -> bool:
        """One line for ``systemctl status``; line breaks become spaces."""
        return self._send(*_status(text))

    def reloading(self) -> bool:
        """A reload has begun; :meth:`ready` must follow, also when the new configuration is refused."""
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        return self._send("RELOADING=1", f"MONOTONIC_USEC={microseconds}")

    def watchdog(self) -> bool:
        """The daemon makes progress; to be sent every :func:`watchdog_interval` seconds, and only when it is true."""
        return self._send("WATCHDOG=1")

    def extend_timeout(self, seconds: float) -> bool:
        """Start, reload or stop needs ``seconds`` from now before the service manager may lose its patience."""
        return self._send(f"EXTEND_TIMEOUT_USEC={max(0, round(seconds * 1e6))}")

    def _send(self, *lines: str) -> bool:
        if not self.address.startswith(("/", "@")):
            return False
        address = os.fsencode(self.address)
        if address.startswith(b"@"):
            address = b"\0" + address[1:]
        message = "\n".join(lines).encode("utf-8", "backslashreplace")
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as out:
                out.connect(address)
                return out.send(message) == len(message)
        except OSError:
            return False


def _status(text: str) -> tuple[str, ...]:
    line = " ".join(text.split())
    return (f"STATUS={line}",) if line else ()


def watchdog_interval(environ: Mapping[str, str] | None = None, *, pid: int | None = None) -> float | None:
    """Seconds between two :meth:`Notifier.watchdog`: half of ``WATCHDOG_USEC``; None when nobody watches.

    ``WATCHDOG_PID``, when it is set, must be ``pid`` (default: this process); malformed values mean: nobody.
    """
    variables = os.environ if environ is None else environ
    try:
        limit = int(variables["WATCHDOG_USEC"])
        watched = int(variables.get("WATCHDOG_PID") or (os.getpid() if pid is None else pid))
    except (KeyError, ValueError):
        return None
    if limit <= 0 or watched != (os.getpid() if pid is None else pid):
        return None
    return limit / 2e6
