"""A site: one hot folder with its configuration, its four places and its state, all below one directory."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["PRIVATE", "Site", "files_below"]

PRIVATE: Final = ".srwatchd"


@dataclass(frozen=True, slots=True)
class Site:
    """Where a daemon under test works. ``options`` are keys of its folder, ``extra`` keys of the whole file."""

    root: Path
    model: str = "fsrcnn_x3"
    scale: int = 3
    engine: str = "opencv"
    options: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.root / "srwatchd.yaml"

    @property
    def inbox(self) -> Path:
        """Where sources are dropped."""
        return self.root / "in"

    @property
    def done(self) -> Path:
        """Where results appear."""
        return self.root / "done"

    @property
    def error(self) -> Path:
        """Where sources go that cannot be used."""
        return self.root / "error"

    @property
    def archive(self) -> Path:
        """Where sources go after success."""
        return self.root / "archive"

    @property
    def state(self) -> Path:
        """The daemon's own directory."""
        return self.root / "state"

    @property
    def ledger(self) -> Path:
        """The folder of the ledger's segments."""
        return self.root / "ledger"

    @property
    def log(self) -> Path:
        """What the daemon says."""
        return self.root / "log.jsonl"

    @property
    def private(self) -> Path:
        """The daemon's part of the inbox."""
        return self.inbox / PRIVATE

    def write_config(self, **folder: Any) -> None:
        """Write the configuration (JSON is YAML), with other keys of the folder over the usual ones."""
        document = {
            "version": 1,
            "state_dir": "state",
            "engine": {"name": self.engine},
            "audit": {"path": "ledger/audit.jsonl"},
            "log": {"format": "json"},
            "folders": [
                {
                    "id": "a",
                    "inbox": "in",
                    "done": "done",
                    "error": "error",
                    "archive": "archive",
                    "model": self.model,
                    "min_free": 0,
                    **self.options,
                    **folder,
                }
            ],
            **self.extra,
        }
        self.config.write_text(json.dumps(document, indent=1), encoding="utf-8")

    def entries(self) -> Iterator[dict[str, Any]]:
        """Every whole line of the ledger in the order of its segments."""
        closed = sorted(path for path in self.ledger.glob("audit.*.jsonl"))
        for path in [*closed, self.ledger / "audit.jsonl"]:
            if path.exists():
                for line in path.read_bytes().splitlines(keepends=True):
                    if line.endswith(b"\n"):
                        yield json.loads(line)

    def count(self, action: str) -> int:
        """How many lines of the ledger have that action."""
        return sum(entry["event.action"] == action for entry in self.entries())

    def waiting(self) -> int:
        """How many sources are in the inbox or claimed, as the disk shows it; also one that is just being moved."""
        before = self._dropped()
        claimed = list(self.private.glob("*.src"))
        return len(before | self._dropped()) + len(claimed)

    def _dropped(self) -> set[str]:
        return {name for name in files_below(self.inbox) if name.split("/")[0] != PRIVATE}


def files_below(root: Path) -> list[str]:
    """Every file below ``root``, hidden ones too, relative to it."""
    names = []
    for folder, _, files in os.walk(root):
        names += [os.path.relpath(os.path.join(folder, name), root) for name in files]
    return sorted(names)
