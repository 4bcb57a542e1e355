"""What one look at a file can say. Pure data; :mod:`srwatchd.intake.look` makes it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from srwatchd.job import Snapshot

__all__ = ["Lease", "Look"]


class Lease(enum.Enum):
    """Whether a writer has the file open, as the kernel tells by granting a read lease."""

    FREE = "free"
    BUSY = "busy"
    UNKNOWN = "unknown"
    """Not asked, or not answered: a foreign owner without CAP_LEASE, or a file system without leases."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look saw. ``problem`` says who must do what when the file is not ``readable``.

    ``marker``: a regular file ``<name>.done`` lies beside it.
    """

    snapshot: Snapshot
    lease: Lease = Lease.UNKNOWN
    hole_at_end: bool = False
    readable: bool = True
    marker: bool = False
    problem: str = ""
