"""The worker processes of one command: who they are, what they may take, and the stages they carry out."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Self

from srwatchd.config import data_path
from srwatchd.daemon.kinds import CODEC, inference
from srwatchd.engine.accelerators import visible
from srwatchd.errors import ModelError, TransientError
from srwatchd.pipeline.memory import plan_memory
from srwatchd.pipeline.scratch import Scratch
from srwatchd.pipeline.stages import Choice, Stages
from srwatchd.worker.confinement import Confinement
from srwatchd.worker.pool import Pool

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from srwatchd.config import Config, Engine
    from srwatchd.config.models import ModelSpec

__all__ = ["Crew", "CrewSettings"]

_CHOOSE_SECONDS: Final = 120.0
_CHOOSE_ATTEMPTS: Final = 10
_CLOSE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CrewSettings:
    """What decides about the workers. ``memory_limit`` in bytes is shared between them and the supervisor.

    ``scratch`` is a folder on a disk for the rasters, ``models_dir`` where imported models are (None: there are none).
    """

    engine: Engine
    memory_limit: int
    workers: int
    scratch: Path
    models_dir: Path | None = None

    @classmethod
    def of(cls, config: Config) -> Self:
        """The settings that the daemon of this configuration has."""
        return cls(
            engine=config.engine,
            memory_limit=config.memory_limit,
            workers=config.workers,
            scratch=config.state_dir / "scratch",
            models_dir=config.models_dir,
        )


class Crew:
    """Codec and inference workers, until :meth:`close` or for an ``async with`` block; they start when first needed."""

    def __init__(self, settings: CrewSettings) -> None:
        plan = plan_memory(settings.memory_limit, settings.workers)
        threads = settings.engine.threads or max(1, (os.cpu_count() or 1) // settings.workers)
        self.slots = plan.codec_workers + plan.inference_workers
        """How many pictures at once keep every worker busy."""
        self._settings = settings
        self._memory = plan
        self._machine: dict[str, Any] = {
            "device": settings.engine.device,
            "precision": settings.engine.precision,
            "threads": threads,
            "memory": plan.inference_memory,
        }
        self.codec = Pool(replace(CODEC, data_limit=plan.codec_limit), count=plan.codec_workers)
        self.inference = Pool(
            replace(
                inference(threads),
                data_limit=plan.inference_limit(threads, accelerated=_accelerated(settings.engine.device)),
                confinement=Confinement(
                    readable=tuple(map(str, filter(None, (data_path("models"), settings.models_dir)))),
                    devices=settings.engine.device != "cpu",
                ),
            ),
            count=plan.inference_workers,
        )

    async def start(self) -> None:
        """Have every worker ready now."""
        await asyncio.gather(self.codec.start(), self.inference.start())

    def hasten(self) -> None:
        """Begin to start a codec worker, for a picture that is decoded as soon as the engine is chosen."""
        self.codec.hasten()

    async def close(self) -> None:
        """End every worker."""
        await asyncio.gather(self.codec.close(_CLOSE_SECONDS), self.inference.close(_CLOSE_SECONDS))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def choose(self, spec: ModelSpec, *, timed: bool = True) -> Choice:
        """Have a worker load, test and time ``spec`` on every engine allowed; the engine that will be used.

        Without ``timed`` it is the first that works, which is known sooner. Raises ModelError, and HostError
        ``workers_unavailable``. A worker that dies meanwhile is tried again.
        """
        named = {"engine": self._settings.engine.name, "timed": timed}
        params: dict[str, Any] = {**self._machine, **spec.reference, **named}
        for attempt in range(1, _CHOOSE_ATTEMPTS + 1):
            try:
                async with self.inference.worker() as worker:
                    answer = await worker.call("choose", params, deadline=_CHOOSE_SECONDS)
            except TransientError as error:
                if attempt == _CHOOSE_ATTEMPTS:
                    raise ModelError("model_unusable", f"{spec.name}: {error.message}", hint=error.hint) from error
            else:
                tuples = {key: tuple(answer[key]) for key in ("others", "warnings")}
                return Choice(**{**answer, **tuples})
        raise AssertionError

    async def check_equipment(self) -> None:
        """Raise ModelError ``engine_unavailable`` unless a worker finds the engine and device asked for."""
        params = {**self._machine, "engine": self._settings.engine.name}
        async with self.inference.worker() as worker:
            await worker.call("equipment", params, deadline=_CHOOSE_SECONDS)

    def stages(self, choices: dict[str, Choice]) -> Stages:
        """What the workers do with pictures, with the models that ``choices`` (by name) are about."""
        return Stages(
            codec=self.codec,
            inference=self.inference,
            scratch=Scratch(self._settings.scratch, in_memory=self._memory.write_behind),
            choices=choices,
            machine=self._machine,
            memory=self._memory,
        )


def _accelerated(device: str) -> bool:
    """Whether a worker may come to load the driver of an accelerator."""
    return bool(visible()) if device == "auto" else device != "cpu"
