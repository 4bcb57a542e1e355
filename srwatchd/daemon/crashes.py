"""Counting the ends that nobody asked for, so that a daemon that cannot work is started again less and less often.

A service manager that is told to restart for ever does so at one pace. The count lies in the state directory; it
belongs to one boot, for a power cut says nothing about the daemon.
"""

from __future__ import annotations

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
_UNCOUNTED_SECONDS: Final = 30.0


class Crashes:
    """The crashes in a row before this start. What cannot be read counts as none.

    Where this start cannot be counted (a full disk) it waits all the same: a crash would be started again at once, and
    nobody would know how often.
    """

    def __init__(self, state: StateDirectory, *, boot: str | None = None) -> None:
        self._state = state
        self._boot = read_boot_id() if boot is None else boot
        self.count = self._before()
        self._uncounted = self._keep(running=True)

    @property
    def wait(self) -> float:
        """Seconds to wait before anything else is done: nothing at first, then 10 s doubling up to five minutes."""
        if self.count <= _FREE:
            return _UNCOUNTED_SECONDS if self._uncounted else 0.0
        return delay(self.count - _FREE, initial=_FIRST_SECONDS, maximum=_LONGEST_SECONDS)

    @property
    def reason(self) -> str:
        """Why it waits."""
        if self._uncounted and self.count <= _FREE:
            return f"this start cannot be counted: {self._uncounted}"
        return f"ended {self.count} times in a row without being asked to"

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

    def _keep(self, *, running: bool) -> str:
        """Keep the count; what kept it from being written, or ""."""
        try:
            self._state.write(_NAME, {"boot": self._boot, "running": running, "crashes": self.count})
        except HostError as error:
            return error.message
        return ""
