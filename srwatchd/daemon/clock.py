"""The age of files for retention: credible time, kept in the state directory. Used from any thread."""

from __future__ import annotations

import contextlib
import threading
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import structlog

from srwatchd.audit import tail
from srwatchd.audit.origin import boot_id
from srwatchd.daemon.credible import CredibleTime
from srwatchd.errors import HostError

if TYPE_CHECKING:
    from pathlib import Path

    from srwatchd.daemon.state import StateDirectory

__all__ = ["AgeClock"]

_log = structlog.get_logger("srwatchd.retention")
_NAME: Final = "clock.json"
_LOOKED_AT: Final = 200


class AgeClock:
    """Says how old a time stamp is at the least. ``ledger``: where the last time known is when no state is kept."""

    def __init__(self, state: StateDirectory, ledger: Path) -> None:
        self._state = state
        self._ledger = ledger
        self._lock = threading.Lock()
        self._time: CredibleTime | None = None

    def look(self) -> None:
        """Go on to now; to be done before ages are asked for. Blocks. What cannot be kept is kept the next time."""
        wall, running, boot = time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), boot_id()
        with self._lock:
            if self._time is None:
                self._time = self._kept()
            if self._time is None:
                self._time = CredibleTime.begin(wall, running, boot, known=self._last_known(boot))
            elif self._time.look(wall, running, boot):
                _log.warning("the clock has jumped", ahead_of_credible_time=round(self._time.ahead))
            kept = self._time.to_dict()
        with contextlib.suppress(HostError):
            self._state.write(_NAME, kept)

    def age(self, stamp: float) -> float:
        """How many seconds ago a file was written, at the least, that bears ``stamp`` (seconds since 1970)."""
        with self._lock:
            return 0.0 if self._time is None else self._time.age(stamp)

    def _kept(self) -> CredibleTime | None:
        with contextlib.suppress(KeyError, TypeError, ValueError):
            return CredibleTime.from_dict(self._state.read(_NAME))
        return None

    def _last_known(self, boot: str) -> float | None:
        """The newest time that the ledger has of an earlier boot."""
        times = []
        with contextlib.suppress(OSError):
            times = [_seconds(line) for line in tail(self._ledger, _LOOKED_AT) if line.get("host.boot.id") != boot]
        return max(times, default=None)


def _seconds(line: dict[str, Any]) -> float:
    return datetime.fromisoformat(str(line["@timestamp"])).timestamp()
