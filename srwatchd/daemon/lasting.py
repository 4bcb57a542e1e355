"""What outlives a reload beside lock, ledger and socket, and is given to every generation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from srwatchd.daemon.clock import AgeClock
    from srwatchd.daemon.hooks import Hooks
    from srwatchd.daemon.tally import Tally

__all__ = ["Lasting"]


@dataclass(frozen=True, slots=True)
class Lasting:
    """Counters, hooks that wait or run, and the age of files."""

    tally: Tally
    hooks: Hooks
    clock: AgeClock
