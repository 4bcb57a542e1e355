"""A daemon as a process of its own: configured, started, asked over its socket, and stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from commands import PATIENCE, ROOT, command, small_model, wait_for

from srwatchd.control.socket import NotRunningError, call
from srwatchd.errors import FatalError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Service"]


class Service:
    """The folders ``{id: settings}`` below ``root``, and the daemon that serves them while inside a ``with`` block."""

    def __init__(self, root: Path, folders: dict[str, dict[str, Any]], **top: Any) -> None:
        self.root = root
        self.config = root / "srwatchd.yaml"
        self.log = root / "daemon.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.write(folders, **top)

    def write(self, folders: dict[str, dict[str, Any]], **top: Any) -> None:
        """Write the configuration (JSON is YAML)."""
        quick = {"model": small_model(), "settle": "300 ms", "grace": "1 s", "min_free": 1, "rescan_interval": "1 s"}
        places = [
            {"id": name, "inbox": f"{name}/in", "done": f"{name}/done", "error": f"{name}/error", **settings}
            for name, settings in folders.items()
        ]
        self.config.write_text(
            json.dumps({"version": 1, "state_dir": "var", "defaults": quick, "folders": places, **top})
        )

    def start(self, verb: str = "run", **options: Any) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            words = command(verb, "--config", self.config)
            self.process = subprocess.Popen(words, cwd=ROOT, stderr=log, stdout=log, **options)
        return self.process

    def __enter__(self) -> Self:
        self.start()
        self.await_answer()
        return self

    def __exit__(self, *_: object) -> None:
        assert self.stop() == 0, self.log.read_text()

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def once(self) -> int:
        """Drain the inboxes; the exit status."""
        return self.start("once").wait(PATIENCE)

    def await_answer(self) -> None:
        """Wait until it serves."""

        def answers() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()
            try:
                self.ask("status")
            except (NotRunningError, FatalError):
                return False
            return True

        wait_for(answers)

    def ask(self, request: str, **fields: Any) -> Any:
        return call(self.root / "var" / "control.sock", request, **fields)

    def folder(self, name: str) -> dict[str, Any]:
        """What the status says about one folder."""
        return next(each for each in self.ask("status")["folders"] if each["id"] == name)

    def place(self, folder: str, place: str) -> Path:
        return self.root / folder / place

    def drop(self, folder: str, name: str | bytes, content: bytes) -> Path:
        """Put a whole file into an inbox, as a rename does."""
        inbox = self.place(folder, "in")
        target = os.path.join(os.fsencode(inbox), os.fsencode(name))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        staged = os.path.join(os.fsencode(self.root), b"staged")
        with open(staged, "wb") as file:
            file.write(content)
        os.rename(staged, target)
        return Path(os.fsdecode(target))

    def await_file(self, folder: str, place: str, name: str) -> Path:
        path = self.place(folder, place) / name
        wait_for(path.exists)
        return path

    def await_delivered(self, folder: str, name: str, *, archived: str) -> Path:
        """Wait until the result stands, the source is archived, and the job is forgotten."""
        self.await_file(folder, "archive", archived)
        private = self.place(folder, "in") / ".srwatchd"
        wait_for(lambda: not list(private.glob("*.json")))
        return self.await_file(folder, "done", name)

    def ledger(self) -> list[dict[str, Any]]:
        """Its whole lines: the daemon may be writing another one, of which a reader can see a part."""
        lines = (self.root / "var/audit/audit.jsonl").read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def lines_of(self, path: Path) -> list[dict[str, Any]]:
        """The ledger's lines about the source that was dropped at ``path``."""
        lines = self.ledger()
        jobs = {line["trace.id"] for line in lines if line.get("file.path") == str(path) and "trace.id" in line}
        return [line for line in lines if line.get("trace.id") in jobs]

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The lines of the log with this event."""
        lines: Sequence[str] = self.log.read_text().splitlines()
        return [found for found in map(_parsed, lines) if found.get("event") == event]


def _parsed(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
