"""What the tests of the daemon share: folders without a configuration file, and stages without worker processes."""

# ruff: noqa: ARG002 - stand-ins have the signatures of what they stand in for
from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srwatchd.config import Folder
from srwatchd.config.models import ModelSpec
from srwatchd.errors import PermanentError
from srwatchd.job import Record, Snapshot
from srwatchd.pipeline.stages import Choice, Picture, Upscaled

if TYPE_CHECKING:
    from collections.abc import Callable

CLOCK = "2026-01-02T03:04:05.000000Z"
BROKEN = b"broken"
"""What the stand-in for a decoder takes for an incomplete picture."""


def folder(root: Path = Path("/nowhere"), **changes: Any) -> Folder:
    """A hot folder ``a`` below ``root`` that settles at once."""
    name = changes.get("id", "a")
    places = {"inbox": root / name / "in", "done": root / name / "done", "error": root / name / "error"}
    quick = {"settle": 0.05, "grace": 0.3, "min_free": 1, "retry": {"initial_delay": 0.0, "max_delay": 0.0}}
    return Folder.model_validate({"id": name, "model": "standin_x2", **places, **quick, **changes})


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
        "output_node": "out",
        "receptive_radius": 3,
        "parameters": 12_000,
        "macs_per_input_pixel": 12_000,
    }
    return ModelSpec(**(facts | changes))


def snapshot(name: str = "a.png", **changes: Any) -> Snapshot:
    facts = {"device": 1, "inode": 2, "size": 10, "mtime_ns": 3, "ctime_ns": 4, "owner": 0}
    return Snapshot(name=name, **(facts | changes))


def record(name: str = "a.png", **changes: Any) -> Record:
    facts: dict[str, Any] = {"job": "j1", "folder": "a", "snapshot": snapshot(name), "claimed_at": CLOCK}
    return Record(**(facts | changes))


def info(**changes: Any) -> dict[str, Any]:
    facts = {"width": 4, "height": 3, "channels": 3, "depth": 8, "format": "png", "alpha": False, "sealed": True}
    return facts | changes


def nothing() -> int:
    """A descriptor that can be read, written and closed."""
    return os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)


class FakeStages:
    """Does at once what workers do, unless ``script`` has something else for the next call of a stage.

    A script entry is raised when it is an exception, awaited when it is a function, and passed over when it is None.
    """

    def __init__(self, *, others: tuple[str, ...] = ("second",), tile: int = 256, **script: list[Any]) -> None:
        self.script = script
        self.calls: list[tuple[str, Any]] = []
        self.pictures: list[Picture] = []
        self.info = info()
        self._choice = Choice("standin_x2", "first", others, "because", 1.0, tile)

    def choice(self, model: str) -> Choice:
        return self._choice

    async def decode(self, source: int, folder: Folder, spec: ModelSpec) -> Picture:
        content = os.pread(source, 1 << 20, 0)
        await self._step("decode", content)
        if content.startswith(BROKEN):
            raise PermanentError("incomplete", "it ends too early")
        self.pictures.append(Picture(info=self.info, raster=nothing(), carry=nothing()))
        return self.pictures[-1]

    async def upscale(
        self, picture: Picture, spec: ModelSpec, *, engine: str, tile: int, deadline: Any, on_tile: Callable[..., None]
    ) -> Upscaled:
        await self._step("upscale", (engine, tile))
        on_tile(1, 1)
        return Upscaled(nothing(), picture.width * spec.scale, picture.height * spec.scale)

    async def encode(self, picture: Picture, result: Upscaled, staged: int, *, plan: Any) -> None:
        await self._step("encode", plan.format)
        os.pwrite(staged, b"result", 0)

    async def verify(self, picture: Picture, plan: Any, staged: int) -> None:
        await self._step("verify", plan.path)

    async def _step(self, stage: str, seen: Any) -> None:
        self.calls.append((stage, seen))
        script = self.script.get(stage)
        event = script.pop(0) if script else None
        if isinstance(event, BaseException):
            raise event
        if event is not None:
            await event()

    def seen(self, stage: str) -> list[Any]:
        """What each call of ``stage`` was given."""
        return [value for name, value in self.calls if name == stage]
