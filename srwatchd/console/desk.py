"""What all routes share: one object, made at the start and handed in."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

from fastapi import Depends
from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotation

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from srwatchd.config import Config

__all__ = ["Desk", "TheDesk"]

_DISK_THREADS: Final = 8
_DISK_SECONDS: Final = 3.0
_Given = TypeVar("_Given")


@dataclass(slots=True)
class Desk:
    """The configuration and what is served from it; ``state`` is the console's own folder."""

    config: Config
    disks: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(_DISK_THREADS, thread_name_prefix="disk")
    )

    @property
    def state(self) -> Path:
        """``state_dir/console``."""
        return self.config.state_dir / "console"

    async def on_disk(self, act: Callable[[], _Given], *, seconds: float = _DISK_SECONDS) -> _Given:
        """``act()`` in one of a few threads for disks that may hang.

        Raises TimeoutError when no answer came in time: the thread stays with the disk, the request does not.
        """
        async with asyncio.timeout(seconds):
            return await asyncio.get_running_loop().run_in_executor(self.disks, act)


def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


TheDesk = Annotated[Desk, Depends(_desk)]
"""A route's parameter: the desk."""
