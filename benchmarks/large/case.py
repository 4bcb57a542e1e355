"""One picture through one daemon, and what was seen of it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.large.group import Group, Peaks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.large.group import _Interface

__all__ = ["Case", "Result", "play"]

_STOP_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 0.5
_ALLOWED: Final = 1.1
"""The group is larger than ``memory_limit`` by this."""


@dataclass(frozen=True, slots=True)
class Case:
    """A picture of ``kind``, ``width`` x ``height``, by ``model`` into format ``result`` with ``limit`` bytes."""

    kind: str
    width: int
    height: int
    model: str
    result: str
    limit: int

    @property
    def megapixels(self) -> float:
        """Of the source."""
        return self.width * self.height / 1e6

    def __str__(self) -> str:
        return f"{self.megapixels:.0f} MP {self.kind}, {self.model}, {self.result}, {self.limit >> 20} MiB"


@dataclass(slots=True)
class Result:
    """How a case ended: ``code`` and ``message`` of a refusal, or the size of what was delivered."""

    case: Case
    peaks: Peaks = field(default_factory=Peaks)
    code: str = ""
    message: str = ""
    size: tuple[int, int] | None = None
    tile: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    log: str = ""

    @property
    def fine(self) -> bool:
        """Whole or refused before it was inferred, nobody ended, within the limit."""
        whole = self.size is not None and not self.code
        refused = self.code == "too_large_for_memory" and "upscale" not in self.seconds
        return (whole or refused) and not self.peaks.kills and self.peaks.both <= self.case.limit


def play(case: Case, source: Path, root: Path, *, interface: _Interface | None, patience: float) -> Result:
    """Serve a folder below ``root`` (made, and removed) until ``source`` is delivered or refused; it stays.

    Without an ``interface`` there is no group and nothing is measured.
    """
    result = Result(case)
    _lay_out(case, root)
    try:
        with contextlib.ExitStack() as held:
            held.enter_context(_borrowed(source, root))
            words = [sys.executable, "-P", "-m", "srwatchd", "run", "--config", str(root / "srwatchd.yaml")]
            if interface is not None:
                group = held.enter_context(Group(interface, int(case.limit * _ALLOWED)))
                words, result.peaks = group.command(words), group.peaks
                forget(Path(sys.prefix))
            _serve(words, root, patience=patience)
            result.log = (root / "daemon.log").read_text(encoding="utf-8")
            _read(result, root)
    finally:
        shutil.rmtree(root)
    return result


def forget(place: Path) -> None:
    """Have the kernel drop what it caches of the files at ``place``, so that whoever reads them next is charged."""
    files = (
        [place] if place.is_file() else [Path(folder) / name for folder, _, names in os.walk(place) for name in names]
    )
    for path in files:
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


def _lay_out(case: Case, root: Path) -> None:
    folder = {"id": "a", "inbox": "in", "done": "done", "error": "error", "model": case.model}
    settings = {
        "version": 1,
        "memory_limit": case.limit,
        "defaults": {
            "settle": "1 s",
            "max_size": 1 << 40,
            "output": {"format": case.result},
            "limits": {"max_input_pixels": 10**9, "max_output_pixels": 10**10},
        },
        "folders": [folder],
    }
    (root / "in").mkdir(parents=True)
    (root / "srwatchd.yaml").write_text(json.dumps(settings), encoding="utf-8")  # JSON is YAML


@contextlib.contextmanager
def _borrowed(source: Path, root: Path) -> Iterator[None]:
    """``source`` in the inbox, cold; afterwards back from wherever it is."""
    descriptor = os.open(source, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    forget(source)
    os.rename(source, root / "in" / source.name)
    try:
        yield
    finally:
        for place in ("in", "archive", "error"):
            if (found := root / place / source.name).exists():
                os.rename(found, source)


def _serve(words: list[str], root: Path, *, patience: float) -> None:
    """Run the daemon until the source has left the inbox for good; raises TimeoutError."""
    with (root / "daemon.log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + patience
            while not _over(root):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise TimeoutError((root / "daemon.log").read_text(encoding="utf-8")[-2000:])
                time.sleep(_PAUSE_SECONDS)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(_STOP_SECONDS)


def _over(root: Path) -> bool:
    events = ('"event": "delivered"', '"event": "quarantined"')
    told = (root / "daemon.log").read_text(encoding="utf-8")
    return any(event in told for event in events)


def _read(result: Result, root: Path) -> None:
    for line in result.log.splitlines():
        with contextlib.suppress(ValueError):
            told: dict[str, Any] = json.loads(line)
            if told.get("event") == "model":
                result.tile = told["tile"]
            if told.get("event") in ("delivered", "quarantined"):
                result.seconds = {
                    name.removesuffix("_ms"): value / 1000 for name, value in told.items() if name.endswith("_ms")
                }
    for sidecar in (root / "error").glob("*.error.json"):
        failure = json.loads(sidecar.read_text(encoding="utf-8"))
        result.code, result.message = failure["code"], failure["message"]
    for delivered in (root / "done").glob("*"):
        words = [sys.executable, "-m", "benchmarks.large.pictures", "size", str(delivered)]
        told_size = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
        result.size = (int(told_size[0]), int(told_size[1]))
