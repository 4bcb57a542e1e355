"""Steering without a daemon: the same requests, under the daemon's lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from srwatchd.audit import Entry, Ledger, read_key
from srwatchd.daemon.errands import put_back
from srwatchd.daemon.folderids import PAUSED, FolderIds
from srwatchd.daemon.state import StateDirectory
from srwatchd.errors import FatalError

if TYPE_CHECKING:
    from types import TracebackType

    from srwatchd.config import Config

__all__ = ["Offline", "open_ledger"]


def open_ledger(config: Config) -> Ledger:
    """The ledger of ``config``, not yet opened. Raises FatalError when its key cannot be read."""
    key = None if config.audit.key_file is None else read_key(config.audit.key_file)
    return Ledger(config.audit.path, segment_size=config.audit.segment_size, key=key)


class Offline:
    """Holds the state's lock for the time of a ``with`` block. Raises InstanceError when a daemon holds it."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def __enter__(self) -> Self:
        self._state = StateDirectory.open(self._config.state_dir)
        self._ledger = open_ledger(self._config)
        self._ledger.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ledger.close()
        self._state.close()

    def answer(self, command: str, fields: dict[str, Any]) -> Any:
        """Do what the daemon would do for ``pause``, ``resume`` or ``retry``."""
        folders = [each for each in self._config.folders if fields["folder"] in (None, each.id)]
        if not folders:
            raise FatalError("configuration", f"there is no folder {fields['folder']!r}")
        if command == "retry":
            wanted = set(fields["names"])
            moved = [name for folder in folders for name in put_back(folder, wanted, self._ledger)]
            return {"moved": moved, "missing": sorted(wanted - set(moved))}
        paused = FolderIds(self._state, PAUSED)
        for folder in folders:
            paused.put(folder.id, present=command == "pause")
            action = "control.paused" if command == "pause" else "control.resumed"
            self._ledger.append([Entry(action, fields={"srwatchd.folder": folder.id})])
        return {}
