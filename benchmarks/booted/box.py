"""srwatchd on a booted machine: what its administrator and its users do with it, and the final examination."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.endurance.checker import Dropped, examine
from benchmarks.endurance.pictures import made
from benchmarks.endurance.service import until
from benchmarks.endurance.site import Site

if TYPE_CHECKING:
    import random

    from benchmarks.booted.machine import Machine
    from benchmarks.endurance.scenario import Result

__all__ = ["COMMAND", "CONFIG", "UNIT", "Box", "Layout"]

COMMAND: Final = "/opt/srwatchd/bin/srwatchd"
CONFIG: Final = "/etc/srwatchd/srwatchd.yaml"
UNIT: Final = "srwatchd.service"
_WORKERS: Final = """
for p in /proc/[0-9]*; do
    tr '\\0' ' ' <$p/cmdline 2>/dev/null | grep -q 'srwatchd.worker {role}' && basename $p
done
true
"""
_START_SECONDS: Final = 120.0
_DRAIN_SECONDS: Final = 300.0
_STOP_SECONDS: Final = 25.0


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the folders and the state of a service are, seen from inside the machine."""

    folders: str = "/srv/srwatchd"
    state: str = "/var/lib/srwatchd"

    def config(self, **extra: str) -> str:
        """A configuration of one folder; ``extra`` are further lines of the file, as they are."""
        places = ", ".join(f"{name}: {self.folders}/{folder}" for name, folder in _PLACES.items())
        more = "".join(f"{key}: {value}\n" for key, value in extra.items())
        return f"state_dir: {self.state}\n{more}folders:\n  - {{id: pictures, {places}, model: fsrcnn_x3}}\n"


_PLACES: Final = {"inbox": "in", "done": "done", "error": "error", "archive": "archive"}


@dataclass(frozen=True, slots=True)
class _SeenSite(Site):
    """The site of a booted machine, through the eyes of the host."""

    seen_state: Path = Path()

    @property
    def state(self) -> Path:
        """The daemon's own directory."""
        return self.seen_state

    @property
    def ledger(self) -> Path:
        """The folder of the ledger's segments."""
        return self.seen_state / "audit"


@dataclass(slots=True)
class Box:
    """A machine with the service on it; ``rng`` makes the pictures that are dropped."""

    machine: Machine
    rng: random.Random
    layout: Layout = field(default_factory=Layout)
    dropped: list[Dropped] = field(default_factory=list)

    @property
    def site(self) -> Site:
        """Its folders, as long as it is booted."""
        folders = self.machine.path(self.layout.folders)
        return _SeenSite(folders, seen_state=self.machine.path(self.layout.state))

    # -- administration ------------------------------------------------------------------------------------------

    def configure(self, text: str) -> None:
        """Write the configuration and have the unit fit it."""
        self.machine.path(CONFIG).write_text(text, encoding="utf-8")
        self.machine.run(COMMAND, "systemd", "install", "--config", CONFIG)

    def systemctl(self, verb: str, *, check: bool = True) -> str:
        """Do something with the service."""
        return self.machine.run("systemctl", verb, UNIT, check=check)

    def override(self, name: str, text: str) -> None:
        """Give the unit a drop-in of the administrator's."""
        folder = self.machine.path(f"/etc/systemd/system/{UNIT}.d")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.conf").write_text(text, encoding="utf-8")
        self.machine.run("systemctl", "daemon-reload")

    def state(self) -> tuple[str, str]:
        """What systemd says: active or not, and how far (running, auto-restart, ...)."""
        shown = self.machine.shows(UNIT, "ActiveState", "SubState")
        return shown["ActiveState"], shown["SubState"]

    def pid(self) -> int:
        """The daemon's process inside the machine; 0 while there is none."""
        return int(self.machine.shows(UNIT, "MainPID")["MainPID"])

    def workers(self, role: str = "") -> list[int]:
        """The daemon's workers of a role, or all, inside the machine."""
        return [int(word) for word in self.machine.run("sh", "-c", _WORKERS.format(role=role)).split()]

    def kill(self, name: str, *pids: int) -> None:
        """Send a signal to processes of the machine."""
        self.machine.run("sh", "-c", f"kill -{name} {' '.join(map(str, pids))}", check=False)

    def restarts(self) -> int:
        """How often systemd has started it again."""
        return int(self.machine.shows(UNIT, "NRestarts")["NRestarts"])

    def text(self) -> str:
        """The line that ``systemctl status`` shows."""
        return self.machine.shows(UNIT, "StatusText").get("StatusText", "")

    def until_active(self, seconds: float = _START_SECONDS) -> float:
        """Wait for READY; the seconds that it took."""
        return until(lambda: self.state() == ("active", "running"), seconds, f"ready; {self.state()}", pause=0.1)

    def until_back(self, before: int, seconds: float = _START_SECONDS) -> float:
        """Wait until another process than ``before`` is ready; the seconds that it took."""

        def back() -> bool:
            return self.pid() not in (0, before) and self.state() == ("active", "running")

        return until(back, seconds, "active again", pause=0.1)

    def hold(self) -> str:
        """The code of the folder's hold, or ""."""
        folders: list[dict[str, Any]] = self.status().get("folders") or [{}]
        return str((folders[0].get("hold") or {}).get("code", ""))

    def status(self) -> dict[str, Any]:
        """What the daemon says."""
        return self.machine.status(CONFIG)

    # -- use -----------------------------------------------------------------------------------------------------

    def drop(self, count: int, *, width: int = 160, durable: bool = False) -> list[Dropped]:
        """Drop pictures as a user who is not the service's; with ``durable`` they outlive a power cut."""
        new = []
        inbox = self.site.inbox
        for _ in range(count):
            picture = made(self.rng, width=width, height=width * 3 // 4, extension=self.rng.choice(("png", "jpg")))
            each = Dropped(f"p{len(self.dropped):04d}.{picture.extension}", picture)
            path = inbox / each.name
            with open(path, "wb") as file:
                file.write(picture.data)
                if durable:
                    os.fsync(file.fileno())
            path.chmod(0o664)
            self.dropped.append(each)
            new.append(each)
        return new

    def delivered(self) -> int:
        """How many results there are."""
        done = self.site.done
        return sum(not name.startswith(".") for name in os.listdir(done)) if done.is_dir() else 0

    def until_delivered(self, count: int, seconds: float = _DRAIN_SECONDS) -> None:
        """Wait for that many results."""
        until(lambda: self.delivered() >= count, seconds, f"{count} results; {self.delivered()} are there")

    def finish(self, result: Result) -> None:
        """Wait until all is done, stop the service and examine everything."""
        site = self.site
        until(lambda: site.waiting() == 0, _DRAIN_SECONDS, f"everything in its place: {self.text()}", pause=0.3)
        time.sleep(0.5)
        begin = time.monotonic()
        self.systemctl("stop")
        result.expect(time.monotonic() - begin < _STOP_SECONDS, "the stop took longer than it may")
        findings = examine(self.site, self.dropped, self)
        result.problems += findings.problems
        result.figure("pictures", findings.counts["dropped"])
        result.figure("recovered jobs", findings.counts["recovered"])

    def audit_verify(self) -> tuple[int, str]:
        """Exit status and words of ``srwatchd audit verify``, for the examination."""
        words = self.machine.run("sh", "-c", f"{COMMAND} audit verify --config {CONFIG}; echo $?", check=False)
        said, _, status = words.rpartition("\n")
        return int(status), said

    def processes(self) -> list[str]:
        """What is left of the service, for the examination."""
        return (
            self.machine.run("systemctl", "show", UNIT, "--property=TasksCurrent", "--value")
            .replace("[not set]", "")
            .split()
        )
