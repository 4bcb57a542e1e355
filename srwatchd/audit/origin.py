"""Who writes and when: what every line says about machine, boot, process and time."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from srwatchd.audit.events import Entry

__all__ = ["Origin", "boot_id", "timestamp"]

_ECS_VERSION: Final = "8.17.0"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Origin:
    """Who writes: what every line says about machine, boot and process."""

    host: str
    boot: str
    pid: int

    @classmethod
    def here(cls) -> Origin:
        """The present process on its machine."""
        return cls(os.uname().nodename, boot_id(), os.getpid())

    def fields(self, entry: Entry, sequence: int, previous: str, *, now_ns: int) -> dict[str, Any]:
        """The whole line of ``entry`` but for its hash."""
        return {
            **entry.to_fields(),
            "@timestamp": timestamp(now_ns),
            "ecs.version": _ECS_VERSION,
            "event.sequence": sequence,
            "host.boot.id": self.boot,
            "host.name": self.host,
            "process.pid": self.pid,
            "srwatchd.previous_hash": previous,
        }


def boot_id() -> str:
    """The kernel's id of this boot; "" where it cannot be read."""
    with contextlib.suppress(OSError):
        return _BOOT_ID.read_text(encoding="ascii").strip()
    return ""


def timestamp(now_ns: int) -> str:
    """Nanoseconds since 1970 as RFC 3339 in UTC with microseconds."""
    moment = _EPOCH + timedelta(microseconds=now_ns // 1000)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
