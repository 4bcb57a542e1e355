"""The engines: same pictures, same weights, one model and size after another, every contestant by turns."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

import cv2
import numpy as np

from benchmarks.performance import peak
from benchmarks.performance.child import Child, ChildEndedError
from benchmarks.performance.machine import has_bf16
from benchmarks.performance.networks import NAMES
from srwatchd.config import find_models

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.performance.bench import Bench, Row
    from srwatchd.modelspec import ModelSpec

__all__ = ["SIZES", "measure"]


@dataclass(frozen=True, slots=True)
class Size:
    """A picture, how long its rounds may go on and how many there are at the least and at the most."""

    width: int
    height: int
    seconds: float
    least: int
    most: int

    @property
    def name(self) -> str:
        """As in a key."""
        return f"{self.width}x{self.height}"

    @property
    def pixels(self) -> int:
        """How many."""
        return self.width * self.height


SIZES: Final = (Size(480, 320, 4.0, 3, 15), Size(1920, 1080, 12.0, 1, 5), Size(4000, 3000, 30.0, 1, 1))
_QUICK: Final = (Size(240, 160, 60.0, 1, 1),)
_QUICK_MODEL: Final = "fsrcnn_x3"
_LONGEST: Final = 14.0
"""Seconds of one run beyond which a contestant is left out."""
_MEMORY_PART: Final = 0.8
"""Of what is free."""
_GREAT: Final = 1 << 30
"""A process that has had more is ended after its turn: others need the memory."""


def measure(bench: Bench) -> Iterator[Row]:
    """One row for each model and size."""
    for spec in find_models(None).values():
        sizes = [size for size in (_QUICK if bench.quick else SIZES) if bench.wants(f"{spec.name} {size.name}")]
        if not sizes or (bench.quick and spec.name != _QUICK_MODEL):
            continue
        with contextlib.ExitStack() as held:
            processor = held.enter_context(peak.started())
            racers = [held.enter_context(Racer(name, spec)) for name in NAMES]
            tried = processor.ready()["tried"]
            for size in sizes:
                row = _raced(bench, spec, size, racers, processor)
                row |= {"key": f"{spec.name} {size.name}", "tried": tried}
                print("  " + _line(row), flush=True)
                yield row


@dataclass(slots=True)
class _Round:
    """Everybody's turn once."""

    flops: float
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Racer:
    """One contestant with one model; its process is started when it is needed, and again after a great run."""

    name: str
    spec: ModelSpec
    reason: str = ""
    """Why it does not take part, or no more."""
    seconds: dict[int, float] = field(default_factory=dict)
    """By pixels of the picture, what a run has taken."""
    _child: Child | None = None
    _base: int = 0
    _memory: tuple[int, int] = (0, 0)
    """Pixels and memory of the last run."""

    def __enter__(self) -> Self:
        if self.name.endswith("bf16") and not has_bf16():
            self.reason = "no bf16 in this processor"
        else:
            self._child = Child("benchmarks.performance.contestant", self.name, self.spec.name)
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def would_not(self, size: Size) -> str:
        """Why it is not run at ``size``, or ""."""
        if self.reason:
            return self.reason
        if self.seconds:
            pixels, seconds = max(self.seconds.items())
            expected = seconds * size.pixels / pixels
            if expected > _LONGEST:
                return f"a run would take about {expected:.0f} s"
        pixels, memory = self._memory
        wanted = self._base + (memory - self._base) * size.pixels / pixels if pixels else 0.0
        if wanted > _MEMORY_PART * _free():
            return f"would take about {wanted / 2**30:.0f} GiB of memory"
        return ""

    def run(self, size: Size, work: Path, *, keep: bool) -> dict[str, Any]:
        """One run on the picture in ``work``, its result kept there; ``reason`` is set when there can be no other."""
        result = work / f"{self.name}.npy" if keep else ""
        try:
            if self._child is None:
                self._child = Child("benchmarks.performance.contestant", self.name, self.spec.name)
            if not self._child.said:
                self._started(self._child)
            if self.reason:
                return {}
            answer = self._child.ask(picture=str(work / "picture.npy"), result=str(result))
        except ChildEndedError as error:
            self.reason = str(error)
            self._end()
            return {}
        self.seconds[size.pixels] = answer["seconds"]
        self._memory = (size.pixels, answer["peak"])
        if answer["peak"] > _GREAT:
            self._end()
        return answer

    def _started(self, child: Child) -> None:
        said = child.ready()
        self.reason = said.get("skipped", "")
        self._base = self._base or said.get("base", 0)
        if self.reason:
            self._end()

    def _end(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None


def _raced(bench: Bench, spec: ModelSpec, size: Size, racers: list[Racer], processor: Child) -> Row:
    """Rounds until there are enough; the first warms up and does not count, unless it took too long for that."""
    np.save(bench.work / "picture.npy", _picture(bench, size))
    rounds: list[_Round] = []
    begin = time.monotonic()
    warm = 1
    while len(rounds) < size.least + warm or (
        len(rounds) < size.most + warm and time.monotonic() - begin < size.seconds
    ):
        rounds.append(_round(bench, size, racers, processor, keep=not rounds))
        if len(rounds) == 1 and time.monotonic() - begin > size.seconds / 2:
            warm = 0
    counted = rounds[warm:]
    return {
        "model": spec.name,
        "architecture": spec.architecture,
        "size": size.name,
        "pixels": size.pixels,
        "flops": [round(each.flops) for each in counted],
        "work": 2 * spec.macs_per_input_pixel * size.pixels,
        "contestants": {racer.name: _seen(bench, racer, counted, racers[0]) for racer in racers},
    }


def _round(bench: Bench, size: Size, racers: list[Racer], processor: Child, *, keep: bool) -> _Round:
    one = _Round(processor.ask()["flops"])
    for racer in racers:
        if reason := racer.would_not(size):
            one.skipped[racer.name] = reason
        elif answer := racer.run(size, bench.work, keep=keep):
            one.answers[racer.name] = answer
        else:
            one.skipped[racer.name] = racer.reason
    return one


def _seen(bench: Bench, racer: Racer, counted: list[_Round], reference: Racer) -> dict[str, Any]:
    """What came of one contestant: its seconds in every round, or why there are none."""
    if any(racer.name not in each.answers for each in counted):
        return {"skipped": next(reason for each in counted if (reason := each.skipped.get(racer.name)))}
    found: dict[str, Any] = {
        "seconds": [round(each.answers[racer.name]["seconds"], 5) for each in counted],
        "peak": max(each.answers[racer.name]["peak"] for each in counted),
    }
    if racer is not reference and all(reference.name in each.answers for each in counted):
        found["mean"], found["most"] = _apart(bench.work / f"{reference.name}.npy", bench.work / f"{racer.name}.npy")
    return found


def _picture(bench: Bench, size: Size) -> Any:
    """A photograph of Kodak, or one that is made, repeated and cut to ``size``; blue first."""
    photos = sorted(path for folder in bench.photos for path in folder.glob("Kodak/*.png"))
    if photos:
        picture: Any = cv2.imread(str(photos[0]), cv2.IMREAD_COLOR)
    else:
        coarse = np.random.default_rng(1).integers(0, 256, (64, 96, 3), np.uint8)
        picture = cv2.resize(coarse, (768, 512), interpolation=cv2.INTER_CUBIC)
    across, down = -(-size.width // picture.shape[1]), -(-size.height // picture.shape[0])
    return np.ascontiguousarray(np.tile(picture, (down, across, 1))[: size.height, : size.width])


def _apart(one: Path, other: Path) -> tuple[float, int]:
    """Mean and most of the difference in levels, strip by strip."""
    left, right = np.load(one, mmap_mode="r"), np.load(other, mmap_mode="r")
    total, most, rows = 0, 0, max(1, (1 << 22) // left.shape[1])
    for top in range(0, left.shape[0], rows):
        levels = np.abs(left[top : top + rows].astype(np.int16) - right[top : top + rows])
        total, most = total + int(levels.sum(dtype=np.int64)), max(most, int(levels.max()))
    return round(total / left.size, 4), most


def _free() -> int:
    with open("/proc/meminfo", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable:"))


def _line(row: Row) -> str:
    told = [
        f"{name} {min(one['seconds']):.3f} s" if one.get("seconds") else f"{name} -"
        for name, one in row["contestants"].items()
    ]
    return f"{row['key']}: {', '.join(told)}; sgemm {max(row['flops']) / 1e9:.0f} GFLOP/s"
