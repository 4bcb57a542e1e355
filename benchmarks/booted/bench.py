"""What the scenarios share: a Debian, the archive, srwatchd installed from it once, machines on top of that."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.booted.box import CONFIG, Box, Layout
from benchmarks.booted.machine import PYTHON, Layers, Machine, booted, debian

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.endurance.scenario import Result

__all__ = ["STICK", "Bench", "Scenario"]

ROOT: Final = Path(__file__).resolve().parents[2]
STICK: Final = "/media/stick"
"""Where a machine sees the folder with the archives."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named scenario: what it promises, and how it is seen. ``smoke``: it is part of the short run."""

    name: str
    promise: str
    run: Callable[[Bench, Result], None]
    smoke: bool = False


@dataclass(slots=True)
class Bench:
    """What every scenario is given."""

    work: Path
    seed: int = 1
    _made: dict[str, Layers] = field(default_factory=dict)
    _archive: Path | None = None
    _machines: list[Machine] = field(default_factory=list)

    def random(self) -> random.Random:
        """The same numbers in every run."""
        return random.Random(self.seed)

    def debian(self) -> Layers:
        """A machine's disk before srwatchd."""
        if "debian" not in self._made:
            self._made["debian"] = debian(self.work)
        return self._made["debian"]

    def archive(self) -> Path:
        """The archive of this checkout for boxes without a network."""
        if self._archive is None:
            stick = self.work / "stick"
            stick.mkdir()
            given = os.environ.get("SRWATCHD_TEST_ARCHIVE")
            if given:
                self._archive = Path(shutil.copy(given, stick))
            else:
                command = [str(ROOT / "packaging" / "make-archive.sh"), "--python", PYTHON, "--output", str(stick)]
                answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
                if answer.returncode != 0:
                    raise RuntimeError(f"make-archive.sh: {answer.stdout[-1000:]} {answer.stderr[-1000:]}")
                self._archive = Path(answer.stdout.splitlines()[-1])
            if stray := _unpinned(self._archive):
                raise RuntimeError(f"in no list of packaging/: {', '.join(stray)}")
        return self._archive

    def installed(self) -> Layers:
        """A machine's disk with srwatchd installed and enabled, never started."""
        if "installed" not in self._made:
            with ThreadPoolExecutor() as pool:  # neither needs the other, and both wait for a mirror
                for job in [pool.submit(self.debian), pool.submit(self.archive)]:
                    job.result()
            machine = Machine(self.debian(), binds=((self.archive().parent, STICK),))
            self._machines.append(machine)
            machine.boot()
            machine.run("sh", "-c", f"cd /root && tar -xf {STICK}/{self.archive().name}")
            machine.run("sh", "-c", "/root/srwatchd-*/install.sh --no-start", seconds=900)
            machine.run("sh", "-c", "rm -rf /root/srwatchd-*")
            machine.shutdown()
            self._made["installed"] = self.debian().above(machine.upper)
        return self._made["installed"]

    def close(self) -> None:
        """Leave nothing behind."""
        for machine in self._machines:
            machine.discard()
        shutil.rmtree(self.work, ignore_errors=True)

    @contextlib.contextmanager
    def box(
        self, *, layout: Layout | None = None, config: str = "", before: str = "true", boot: bool = True
    ) -> Iterator[Box]:
        """A new machine with the service. With ``config`` it does not start before it has been configured so."""
        machine = Machine(self.installed(), before=before)
        box = Box(machine, self.random(), layout or Layout())
        if config or not boot:
            file = machine.upper / CONFIG.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(config or box.layout.config(), encoding="utf-8")
        with booted(machine) if boot else _discarded(machine):
            yield box


def _unpinned(archive: Path) -> list[str]:
    """The wheels that neither a list has by its hash nor a build of ours has made."""
    pinned = "".join((ROOT / "packaging" / f"{name}.lock").read_text(encoding="utf-8") for name in ("runtime", "build"))
    found = []
    with tarfile.open(archive) as tar:
        for member in tar:
            name = member.name.rpartition("/")[2]
            if name.endswith(".whl") and not name.startswith(("srwatchd-", "pyvips-")):
                file = tar.extractfile(member)
                if file is None or hashlib.file_digest(file, "sha256").hexdigest() not in pinned:
                    found.append(name)
    return found


@contextlib.contextmanager
def _discarded(machine: Machine) -> Iterator[Machine]:
    try:
        yield machine
    finally:
        machine.discard()
