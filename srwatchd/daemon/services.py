"""What the daemon gives to every folder that it serves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from srwatchd.daemon.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable

    from srwatchd.audit import Ledger
    from srwatchd.daemon.folderids import FolderIds
    from srwatchd.daemon.hooks import Hooks
    from srwatchd.daemon.places import Places
    from srwatchd.intake.origins import Origins

__all__ = ["Services"]


@dataclass(frozen=True, slots=True)
class Services:
    """What every served folder is given."""

    state_id: str
    ledger: Ledger
    clock: Callable[[], str]
    wake: Callable[[], None]
    finished: set[str]
    known: FolderIds
    """Folders that this state has served before; only a new one is made and marked."""
    places: Places
    origins: Origins
    unfinished: set[str]
    """Jobs that the ledger has begun and not ended; what is found on the disk is taken out."""
    tally: Tally = field(default_factory=Tally)
    hooks: Hooks | None = None
