"""Sets of folder ids that outlive a restart: which folders are paused, which this state has served before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from srwatchd.daemon.state import StateDirectory

__all__ = ["KNOWN", "PAUSED", "FolderIds"]

PAUSED: Final = "paused.json"
"""Paused by a person."""

KNOWN: Final = "folders.json"
"""Made and marked once; such a folder is never made again, so that an unmounted share stays empty."""


class FolderIds:
    """A set of ids kept under ``name`` in the state directory; every change is durable."""

    def __init__(self, state: StateDirectory, name: str) -> None:
        self._state = state
        self._name = name
        kept = state.read(name)
        self._ids = {str(each) for each in kept} if isinstance(kept, list) else set()

    def __contains__(self, folder_id: object) -> bool:
        return folder_id in self._ids

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._ids))

    def put(self, folder_id: str, *, present: bool = True) -> None:
        """Add an id, or with ``present`` false take it out."""
        if (folder_id in self._ids) != present:
            (self._ids.add if present else self._ids.discard)(folder_id)
            self._state.write(self._name, sorted(self._ids))
