"""What can be asked of a running daemon over its control socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from srwatchd.daemon.errands import put_back
from srwatchd.errors import FatalError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from srwatchd.audit import Ledger
    from srwatchd.daemon.service import Daemon

__all__ = ["Requests"]

_LONGEST: Final = 256


class Requests:
    """Answers ``status``, ``metrics``, ``pause``, ``resume``, ``retry``, ``reload`` and ``stop``."""

    def __init__(self, daemon: Daemon, ledger: Ledger) -> None:
        self.figures: Callable[[], bytes] = bytes
        """Gives the text for ``metrics``."""
        self._daemon = daemon
        self._ledger = ledger

    async def answer(self, request: dict[str, Any]) -> Any:
        """The answer to one request; raises ValueError for one that is not known."""
        match request["command"]:
            case "status":
                return self._daemon.generation.status()
            case "metrics":
                return {"text": self.figures().decode("utf-8")}
            case "pause" | "resume" as command:
                self._daemon.generation.pause(
                    self._folders(request.get("folder")), paused=command == "pause", by=asked_by(request)
                )
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

    def _folders(self, folder_id: str | None) -> list[str]:
        known = self._daemon.generation.folders
        if folder_id is None:
            return list(known)
        if folder_id not in known:
            hint = f"The running configuration has {', '.join(known)}; a reload reads it again."
            raise FatalError("configuration", f"there is no folder {folder_id!r}", hint=hint)
        return [folder_id]

    async def _retry(self, request: dict[str, Any]) -> dict[str, list[str]]:
        moved: list[str] = []
        wanted = set(request["names"])
        for folder_id in self._folders(request.get("folder")):
            folder = self._daemon.generation.folders[folder_id]
            moved += await folder.lane.run(put_back, folder.config, wanted, self._ledger, asked_by(request))
        return {"moved": moved, "missing": sorted(wanted - set(moved))}


def asked_by(request: Mapping[str, Any]) -> dict[str, str]:
    """What the ledger is told of who asked: a console says which of its users, and from where."""
    told = {"user.name": request.get("user"), "source.ip": request.get("address")}
    return {field: value[:_LONGEST] for field, value in told.items() if isinstance(value, str) and value}
