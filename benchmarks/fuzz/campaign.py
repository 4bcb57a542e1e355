"""One case after the other through a pool of codec workers, and what became of them."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import os
import random
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.fuzz.mutate import mutated
from srwatchd.codec.formats import holds
from srwatchd.codec.picture import PictureInfo
from srwatchd.config import Engine
from srwatchd.daemon.crew import Crew, CrewSettings
from srwatchd.errors import SrwatchdError
from srwatchd.pipeline.memory import plan_memory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from srwatchd.worker.pool import Pool
    from srwatchd.worker.process import Worker

__all__ = ["Campaign", "Case"]

_MEMORY: Final = 1 << 30
_MAX_PIXELS: Final = 25_000_000
_DEADLINE: Final = 60.0
_SLOW_CPU_SECONDS: Final = 10.0
_SMALL: Final = 2_000_000
_TARGETS: Final = ("png", "jpeg", "webp", "tiff", "avif", "gif")
_REFUSALS: Final = frozenset(
    {
        "empty", "not_a_picture", "unsupported_format", "unsupported_content", "incomplete", "too_many_pixels",
        "too_large_for_memory",
    }
)  # fmt: skip
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Case:
    """What was tried: ``number`` makes it again; ``outcome`` is "accepted" or a code, ``cpu`` the worker's seconds."""

    number: int
    seed: str
    mutations: str
    size: int
    outcome: str
    detail: str
    cpu: float
    wall: float


@dataclass(slots=True)
class Campaign:
    """Counts what becomes of the cases made from ``seed``; offenders go to the folder ``keep``."""

    files: dict[str, bytes]
    seed: int
    keep: Path
    counts: dict[str, collections.Counter[str]] = field(default_factory=dict)
    slowest: list[Case] = field(default_factory=list)
    offenders: list[Case] = field(default_factory=list)
    peak: int = 0
    cases: int = 0

    def make(self, number: int) -> tuple[bytes, str, str]:
        """The content of case ``number``, the seed's name and the mutations."""
        rng = random.Random(f"{self.seed}:{number}")
        name = rng.choice(sorted(self.files))
        content, mutations = mutated(rng, name, self.files)
        return content, name, mutations

    async def run(self, *, seconds: float, workers: int, first: int = 0, most: int | None = None) -> None:
        """Try cases from ``first`` on until the time is over or ``most`` were begun."""
        settings = CrewSettings(
            engine=Engine(), memory_limit=_MEMORY, workers=workers - 1, scratch=Path(tempfile.gettempdir())
        )
        crew = Crew(settings)
        plan = plan_memory(_MEMORY, workers - 1)
        memory = {"memory": plan.codec_share, "write_behind": plan.write_behind}
        numbers = iter(range(first, first + most) if most is not None else range(first, 1 << 60))
        end = time.monotonic() + seconds
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(self._lane(crew.codec, numbers, end, memory))
        finally:
            await crew.close()

    async def _lane(self, pool: Pool, numbers: Iterator[int], end: float, memory: dict[str, int]) -> None:
        for number in numbers:
            if time.monotonic() > end:
                return
            content, seed, mutations = self.make(number)
            async with pool.worker() as worker:
                before, began = _cpu(worker.pid), time.monotonic()
                outcome, detail = await _tried(worker, content, number, memory)
                cpu = max(0.0, _cpu(worker.pid) - before)
                self.peak = max(self.peak, _peak(worker.pid))
            wall = time.monotonic() - began
            self._count(Case(number, seed, mutations, len(content), outcome, detail, cpu, wall), content)

    def _count(self, case: Case, content: bytes) -> None:
        self.cases += 1
        self.counts.setdefault(case.seed.partition("-")[0], collections.Counter())[case.outcome] += 1
        self.slowest = sorted((*self.slowest, case), key=lambda each: -each.cpu)[:5]
        known = case.outcome in ("accepted", "encode format_limit") or case.outcome in _REFUSALS
        if not known or case.cpu > _SLOW_CPU_SECONDS:
            self.offenders.append(case)
            self.keep.mkdir(parents=True, exist_ok=True)
            stem = f"{self.seed}-{case.number}-{case.outcome.replace(' ', '-')}"
            (self.keep / f"{stem}.{case.seed.partition('-')[0]}").write_bytes(content)
            (self.keep / f"{stem}.txt").write_text(f"{case}\n", encoding="utf-8")


async def _tried(worker: Worker, content: bytes, number: int, memory: dict[str, int]) -> tuple[str, str]:
    """Look, decode, then encode as some format and verify. "accepted", or the code of the first error and its text."""
    stage = ""
    with _files(4) as (source, raster, carry, staged):
        os.write(source, content)
        params: dict[str, Any] = {"max_pixels": _MAX_PIXELS, "icc": ("keep", "srgb")[number % 2], **memory}
        try:
            await worker.call("inspect", params, [source], deadline=_DEADLINE)
            info = await worker.call("decode", params, [source, raster, carry], deadline=_DEADLINE)
            width, height = info["width"], info["height"]
            picture = PictureInfo.from_dict(info)
            fit = [name for name in _TARGETS if holds(name, picture.format, count=picture.count)]
            target = fit[number % len(fit)] if picture.pixels <= _SMALL or "png" not in fit else "png"
            output = {
                "format": target, "quality": None, "compression": None, "metadata": "keep",
                "background": [255, 255, 255], "size": None,
            }  # fmt: skip
            result = {"info": info, "width": width, "height": height, "output": output, **memory}
            stage = f"encode {target}: "
            await worker.call("encode", result, [raster, carry, staged], deadline=_DEADLINE)
            stage = f"verify {target}: "
            await worker.call("verify", result, [staged, raster, carry], deadline=_DEADLINE)
        except SrwatchdError as error:
            return f"{stage.partition(' ')[0]} {error.code}".strip(), stage + error.message[-600:]
    return "accepted", ""


@contextlib.contextmanager
def _files(count: int) -> Iterator[list[int]]:
    """Nameless files on disk."""
    opened: list[int] = []
    try:
        while len(opened) < count:
            opened.append(os.open(tempfile.gettempdir(), os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600))
        yield opened
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _cpu(pid: int) -> float:
    """Processor seconds of a process so far, 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            values = file.read().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(values[11]) + int(values[12])) / _TICKS


def _peak(pid: int) -> int:
    """The most private memory and libraries a process had in memory, in bytes."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            return next((int(line.split()[1]) << 10 for line in file if line.startswith("VmHWM:")), 0)
    except OSError:
        return 0
