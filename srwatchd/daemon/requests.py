"""What can be asked of a running daemon over its control socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from srwatchd.daemon.errands import put_back
from srwatchd.errors import FatalError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from srwatchd.audit import Ledger
    from srwatchd.daemon.generation import Generation
    from srwatchd.daemon.service import Daemon

__all__ = ["Requests"]

_LONGEST: Final = 256
_STATUS_SECONDS: Final = 5.0


class Requests:
    """Answers ``status``, ``metrics``, ``pause``, ``resume``, ``retry``, ``reload`` and ``stop``.

    What steers folders waits while the daemon starts or takes up a new configuration; ``status`` says so after a while.
    """

    def __init__(self, daemon: Daemon, ledger: Ledger) -> None:
        self.figures: Callable[[], bytes] = bytes
        """Gives the text for ``metrics``."""
        self._daemon = daemon
        self._ledger = ledger

    async def answer(self, request: dict[str, Any]) -> Any:
        """The answer to one request; raises ValueError for one that is not known."""
        match request["command"]:
            case "status":
                return (await self._daemon.served(_STATUS_SECONDS)).status()
            case "metrics":
                return {"text": self.figures().decode("utf-8")}
            case "pause" | "resume" as command:
                generation = await self._daemon.served()
                folders = _chosen(generation, request.get("folder"))
                generation.pause(folders, paused=command == "pause", by=asked_by(request))
                return {}
            case "retry":
                return await self._retry(request)
            case "reload":
                self._daemon.reload()
                return {}
            case "stop":
                self._daemon.stop()
                return {}
            case unknown:
                raise ValueError(f"there is no command {unknown!r}")

    async def _retry(self, request: dict[str, Any]) -> dict[str, list[str]]:
        moved: list[str] = []
        wanted = set(request["names"])
        generation = await self._daemon.served()
        for folder_id in _chosen(generation, request.get("folder")):
            folder = generation.folders[folder_id]
            moved += await folder.lane.run(put_back, folder.config, wanted, self._ledger, asked_by(request))
        return {"moved": moved, "missing": sorted(wanted - set(moved))}


def _chosen(generation: Generation, folder_id: str | None) -> list[str]:
    known = generation.folders
    if folder_id is None:
        return list(known)
    if folder_id not in known:
        hint = f"The running configuration has {', '.join(known)}; a reload reads it again."
        raise FatalError("configuration", f"there is no folder {folder_id!r}", hint=hint)
    return [folder_id]


def asked_by(request: Mapping[str, Any]) -> dict[str, str]:
    """What the ledger is told of who asked: a console says which of its users, and from where."""
    told = {"user.name": request.get("user"), "source.ip": request.get("address")}
    return {field: value[:_LONGEST] for field, value in told.items() if isinstance(value, str) and value}
