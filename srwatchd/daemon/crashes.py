"""Counting the ends that nobody asked for, so that a daemon that cannot work is started again less and less often.

A service manager that is told to restart for ever does so at one pace. The count lies in the state directory; it
belongs to one boot, for a power cut says nothing about the daemon.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from srwatchd.errors import HostError
from srwatchd.intake.runs import read_boot_id
from srwatchd.retry import delay

if TYPE_CHECKING:
    from srwatchd.daemon.state import StateDirectory

__all__ = ["STEADY_SECONDS", "Crashes"]

STEADY_SECONDS: Final = 60.0
"""A daemon that has served this long has recovered from whatever it was."""
_NAME: Final = "starts"
_FREE: Final = 2
"""So many crashes in a row cost no wait."""
_FIRST_SECONDS: Final = 10.0
_LONGEST_SECONDS: Final = 300.0


class Crashes:
    """The crashes in a row before this start. What cannot be read counts as none, what cannot be written is let be."""

    def __init__(self, state: StateDirectory, *, boot: str | None = None) -> None:
        self._state = state
        self._boot = read_boot_id() if boot is None else boot
        self.count = self._before()
        self._keep(running=True)

    @property
    def wait(self) -> float:
        """Seconds to wait before anything else is done: nothing at first, then 10 s doubling up to five minutes."""
        if self.count <= _FREE:
            return 0.0
        return delay(self.count - _FREE, initial=_FIRST_SECONDS, maximum=_LONGEST_SECONDS)

    def steady(self) -> None:
        """It has worked for a while: the next crash is the first one again."""
        if self.count:
            self.count = 0
            self._keep(running=True)

    def ended(self) -> None:
        """It ends because it was asked to."""
        self.count = 0
        self._keep(running=False)

    def _before(self) -> int:
        kept = self._state.read(_NAME)
        if not isinstance(kept, dict) or kept.get("boot") != self._boot or not kept.get("running"):
            return 0
        count = kept.get("crashes")
        return count + 1 if isinstance(count, int) else 1

    def _keep(self, *, running: bool) -> None:
        with contextlib.suppress(HostError):
            self._state.write(_NAME, {"boot": self._boot, "running": running, "crashes": self.count})
