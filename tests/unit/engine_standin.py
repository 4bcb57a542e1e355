"""Networks and engines that need no library: what selection, smoke test and tile loop are tested with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from srwatchd.config.models import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable


def spec(**changes: Any) -> ModelSpec:
    facts: dict[str, Any] = {
        "name": "standin_x2",
        "architecture": "fsrcnn",
        "scale": 2,
        "path": Path("/nowhere/standin_x2.pb"),
        "sha256": "0" * 64,
        "input_colour": "y",
        "input_range": (0.0, 1.0),
        "mean": (),
        "output_node": "NCHW_output",
        "receptive_radius": 3,
        "parameters": 12_000,
        "macs_per_input_pixel": 12_000,
    }
    return ModelSpec(**(facts | changes))


def blurred(tile: np.ndarray, model: ModelSpec) -> np.ndarray:
    """Every pixel repeated after a box blur as wide as the receptive radius, zero outside: like a real network."""
    radius, scale = model.receptive_radius, model.scale
    padded = np.pad(tile.astype(np.int64), ((radius, radius), (radius, radius), (0, 0)))
    height, width = tile.shape[:2]
    total = sum(
        padded[dy : dy + height, dx : dx + width] for dy in range(2 * radius + 1) for dx in range(2 * radius + 1)
    )
    mean = (total // (2 * radius + 1) ** 2).astype(tile.dtype)
    return mean.repeat(scale, axis=0).repeat(scale, axis=1)


def repeated(tile: np.ndarray, model: ModelSpec) -> np.ndarray:
    """Every pixel repeated: perfect in the eyes of the smoke test."""
    return tile.repeat(model.scale, axis=0).repeat(model.scale, axis=1)


@dataclass
class StandIn:
    """A network that calculates ``function`` and remembers the shapes it saw."""

    function: Callable[[np.ndarray, ModelSpec], np.ndarray] = repeated
    spec: ModelSpec = field(default_factory=spec)
    engine: str = "standin"
    device: str = "cpu"
    precision: str = "f32"
    bytes_per_input_pixel: int = 100
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    released: int = 0

    def upscale(self, tile: np.ndarray) -> np.ndarray:
        self.shapes.append(tile.shape)
        return self.function(tile, self.spec)

    def release(self) -> None:
        self.released += 1


class Clock:
    """Seconds that pass only when a network of :class:`StandInEngine` works."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class StandInEngine:
    """An engine whose networks take ``seconds`` of ``clock`` for each megapixel."""

    name: str
    clock: Clock
    seconds: float = 1.0
    missing: str | None = None
    failure: Exception | None = None
    present: tuple[str, ...] = ("cpu",)
    absent: bool = False
    unreadable: bool = False
    opened: list[tuple[str, str, int]] = field(default_factory=list)

    def available(self) -> str | None:
        return self.missing

    def installed(self) -> bool:
        return not self.absent

    def reads(self, _model: ModelSpec) -> bool:
        return not self.unreadable

    def lacks(self, device: str) -> str | None:
        return None if device in self.present else f"it has no {device}"

    def devices(self) -> tuple[str, ...]:
        return () if self.missing else self.present

    def open(self, model: ModelSpec, *, device: str = "auto", precision: str = "f32", threads: int = 0) -> StandIn:
        self.opened.append((device, precision, threads))
        if self.failure is not None:
            raise self.failure
        slower = 1.0 if device == "cpu" else 0.5

        def function(tile: np.ndarray, known: ModelSpec) -> np.ndarray:
            self.clock.now += self.seconds * slower * tile.shape[0] * tile.shape[1] / 1e6
            return repeated(tile, known)

        return StandIn(function=function, spec=model, engine=self.name, device=device, precision=precision)
