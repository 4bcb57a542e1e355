"""One picture of a batch, from its source (which is only read) to its result. Readable from top to bottom."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import os
import stat
import time
import traceback
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from srwatchd.audit import FIELDS, Entry
from srwatchd.delivery import deliver
from srwatchd.delivery.names import numbered, split
from srwatchd.errors import FatalError, HostError, JobError, PermanentError, TransientError
from srwatchd.pipeline.result import plan_result
from srwatchd.storage import hash_descriptor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from srwatchd.audit import Ledger
    from srwatchd.config import Folder
    from srwatchd.config.models import ModelSpec
    from srwatchd.daemon.lane import Lane
    from srwatchd.daemon.selection import Source
    from srwatchd.delivery import Destination, Staged
    from srwatchd.job import Placement
    from srwatchd.pipeline.result import ResultPlan
    from srwatchd.pipeline.stages import Picture, Stages

__all__ = ["JOB_PREFIX", "BatchRun", "Fate", "Result", "Workbench"]

JOB_PREFIX: Final = "batch-"
"""What every batch job's id begins with, so that its staged files are told from a daemon's."""

_FINAL: Final = frozenset({"source_vanished"})
"""Transient for a daemon, which looks again; a batch has nobody who would bring it back."""
_OF_ONE_PICTURE: Final = frozenset({"source_unreadable", "io_error"})
"""What the host is at fault for, but perhaps for one source alone; everything else ends the batch."""
_MOST_EXISTING: Final = 16


class Fate(enum.Enum):
    """What became of a picture."""

    DELIVERED = "delivered"
    SKIPPED = "skipped"
    """A complete result of it was there already."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Result:
    """``path`` is the result's, ``error`` why there is none; ``facts`` are ledger fields, ``seconds`` it took."""

    source: Source
    fate: Fate
    path: Path | None = None
    error: JobError | HostError | None = None
    seconds: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workbench:
    """What all pictures of a batch share. ``clock`` gives the time as RFC 3339; no ledger means that none is kept."""

    batch: str
    spec: ModelSpec
    folder: Folder
    destination: Destination
    stages: Stages
    lane: Lane
    clock: Callable[[], str]
    skip_existing: bool
    ledger: Ledger | None = None


class BatchRun:
    """Takes one source through the stages. Cancelled, it leaves nothing behind but a result that was placed already."""

    def __init__(self, source: Source, bench: Workbench) -> None:
        self.source = source
        self.stage = "decode"
        self.share = 0.0
        """How much of the inference is done, 0 to 1."""
        self._bench = bench
        self._job = JOB_PREFIX + uuid.uuid4().hex
        self._engine = ""
        self._tiles = 0
        self._shortages = 0
        self._size: int | None = None
        self._sha256: str | None = None
        self._nanoseconds: dict[str, int] = {}

    async def run(self) -> Result:
        """Do it, again where the error allows it. Raises HostError for what stops the whole batch, and FatalError."""
        begin = time.monotonic()
        try:
            result = await self._attempts()
        except HostError as error:
            if error.code not in _OF_ONE_PICTURE:
                raise
            result = await self._failed(error)
        except JobError as error:
            result = await self._failed(error)
        except FatalError:
            raise
        except Exception:  # noqa: BLE001 - an unknown error is a defect: it costs one picture, never the batch
            result = await self._failed(PermanentError("internal_error", traceback.format_exc(limit=20)))
        return Result(result.source, result.fate, result.path, result.error, time.monotonic() - begin, result.facts)

    async def _attempts(self) -> Result:
        limit = self._bench.folder.retry.max_attempts
        faults: list[str] = []
        while True:
            try:
                return await self._attempt()
            except TransientError as error:
                faults.append(f"{len(faults) + 1}. {error.code}: {error.message}")
                self._shortages += error.code == "out_of_memory"
                if error.code in _FINAL or limit == 1:
                    raise
                if len(faults) >= limit:
                    reasons = f"{limit} attempts failed: " + "; ".join(faults)
                    raise PermanentError("attempts_exhausted", reasons, hint=error.hint) from error

    async def _attempt(self) -> Result:
        bench = self._bench
        descriptor = await bench.lane.run(_open, self.source.path)
        try:
            before = os.fstat(descriptor)
            self._size = before.st_size
            with self._timed("decode"):
                picture = await bench.stages.decode(descriptor, bench.folder, bench.spec)
            with contextlib.closing(picture):
                plan = self._plan(picture)
                if bench.skip_existing and (existing := await self._existing(picture, plan)) is not None:
                    return Result(self.source, Fate.SKIPPED, existing)
                if bench.ledger is not None and self._sha256 is None:
                    self._sha256 = await bench.lane.run(hash_descriptor, descriptor)
                return await self._produce(picture, plan, lambda: _unchanged(self.source.path, descriptor, before))
        finally:
            os.close(descriptor)

    def _plan(self, picture: Picture) -> ResultPlan:
        bench = self._bench
        date = bench.clock()[:10]
        folder = bench.folder
        return plan_result(self.source.name, folder.output, bench.spec, picture.info, folder=folder.id, date=date)

    # -- what is there already -----------------------------------------------------------------------------------

    async def _existing(self, picture: Picture, plan: ResultPlan) -> Path | None:
        """A complete result of this very picture under the planned name or a numbered one.

        Complete: it decodes to the planned size and looks like the source, the same test that a new result passes.
        """
        bench = self._bench
        for number in range(_MOST_EXISTING):
            path = bench.destination.root / numbered(plan.path, number)
            try:
                descriptor = await bench.lane.run(_open, path)
            except TransientError:
                return None
            except (HostError, PermanentError):
                continue
            try:
                with self._timed("verify"):
                    await bench.stages.verify(picture, plan, descriptor)
            except PermanentError:
                continue
            else:
                return path
            finally:
                os.close(descriptor)
        return None

    # -- a new one -----------------------------------------------------------------------------------------------

    async def _produce(self, picture: Picture, plan: ResultPlan, unchanged: Callable[[], None]) -> Result:
        """Upscale, encode, verify and deliver; on an implausible result once more on another engine."""
        choice = self._bench.stages.choice(self._bench.spec.name)
        engines = (choice.engine, *choice.others)
        for number, engine in enumerate(engines, 1):
            self._engine = engine
            try:
                return await self._produce_on(picture, plan, unchanged)
            except PermanentError as error:
                if error.code != "result_not_plausible" or number == len(engines):
                    raise
        raise AssertionError

    async def _produce_on(self, picture: Picture, plan: ResultPlan, unchanged: Callable[[], None]) -> Result:
        bench = self._bench
        stages, folder = bench.stages, bench.folder
        with self._timed("upscale"):
            upscaled = await stages.upscale(
                picture,
                bench.spec,
                engine=self._engine,
                tile=max(32, stages.choice(bench.spec.name).tile >> self._shortages),
                deadline=folder.limits.seconds_per_megapixel,
                on_tile=self._on_tile,
            )
        with contextlib.closing(upscaled):
            staged = await self._keep(bench.destination.stage, split(plan.path)[0], self._job)
            try:
                with self._timed("encode"):
                    await stages.encode(picture, upscaled, staged.fd, plan=plan)
                with self._timed("verify"):
                    await stages.verify(picture, plan, staged.fd)
                facts = self._facts(picture, plan)
                with self._timed("deliver"):
                    placed = await self._keep(self._deliver, staged, plan, facts, unchanged)
            finally:
                await self._keep(staged.discard)
        return Result(self.source, Fate.DELIVERED, bench.destination.root / placed.name, facts=facts)

    def _deliver(
        self, staged: Staged, plan: ResultPlan, facts: dict[str, Any], unchanged: Callable[[], None]
    ) -> Placement:
        """Intent, placement and outcome; in the lane."""
        bench = self._bench
        unchanged()
        staged.seal()
        wished = {"srwatchd.result.path": str(bench.destination.root / plan.path)}
        self._tell(self._entry("job.delivering", "unknown", wished))
        try:
            numbering = bench.folder.output.on_conflict == "rename"
            placed = deliver(staged, plan.path, record=lambda _placement: None, numbering=numbering)
        except FileExistsError:
            raise PermanentError("name_taken", f"{plan.path!r} exists in the output folder already") from None
        where = {
            "srwatchd.result.path": str(bench.destination.root / placed.name),
            "srwatchd.result.sha256": placed.sha256,
            "srwatchd.result.size": placed.size,
        }
        self._tell(
            self._entry("job.delivered", "success", where),
            self._entry("job.produced", "success", {**where, **facts}),
        )
        return placed

    # -- small things --------------------------------------------------------------------------------------------

    def _on_tile(self, done: int, total: int) -> None:
        self._tiles, self.share = total, done / max(1, total)

    def _facts(self, picture: Picture, plan: ResultPlan) -> dict[str, Any]:
        """What is kept of how the result was made."""
        spec = self._bench.spec
        durations = {f"srwatchd.duration.{stage}": spent for stage, spent in self._nanoseconds.items()}
        return {
            "srwatchd.model.name": spec.name,
            "srwatchd.model.scale": spec.scale,
            "srwatchd.model.sha256": spec.sha256,
            "srwatchd.engine.name": self._engine,
            "srwatchd.source.format": picture.info["format"],
            "srwatchd.source.width": picture.width,
            "srwatchd.source.height": picture.height,
            "srwatchd.source.pages": len(picture.pages),
            "srwatchd.result.format": plan.format,
            "srwatchd.result.width": plan.width,
            "srwatchd.result.height": plan.height,
            "srwatchd.tiles": self._tiles,
            **{name: spent for name, spent in durations.items() if name in FIELDS},
        }

    def _entry(self, action: str, outcome: Any, fields: dict[str, Any]) -> Entry:
        about = {
            "file.path": str(self.source.path),
            "file.size": self._size,
            "file.hash.sha256": self._sha256,
            "srwatchd.batch.id": self._bench.batch,
        }
        return Entry(action, outcome, job=self._job, fields={**about, **fields})

    def _tell(self, *entries: Entry) -> None:
        if self._bench.ledger is not None:
            self._bench.ledger.append(entries)

    async def _failed(self, error: JobError | HostError) -> Result:
        fields = {"error.code": error.code, "error.message": error.message, "srwatchd.hint": error.hint}
        await self._keep(self._tell, self._entry("job.failed", "failure", fields))
        return Result(self.source, Fate.FAILED, error=error)

    @contextlib.contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        self.stage = stage
        begin = time.monotonic_ns()
        try:
            yield
        finally:
            self._nanoseconds[stage] = self._nanoseconds.get(stage, 0) + time.monotonic_ns() - begin

    async def _keep(self, step: Callable[..., Any], *args: Any) -> Any:
        """Run a step on the disk to its end, even when this run is cancelled meanwhile."""
        call = asyncio.ensure_future(self._bench.lane.run(step, *args))
        try:
            return await asyncio.shield(call)
        except asyncio.CancelledError:
            outcome = (await asyncio.gather(call, return_exceptions=True))[0]
            if step == self._bench.destination.stage and not isinstance(outcome, BaseException):
                outcome.discard()
            raise


def _open(path: Path) -> int:
    """A descriptor of a plain file for reading. Raises JobError when it is none, HostError when it may not be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise TransientError("source_vanished", f"{str(path)!r} is not there") from None
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise HostError("source_unreadable", f"{str(path)!r} cannot be read: {why}", path=str(path)) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise PermanentError("not_a_picture", f"{str(path)!r} is no plain file")
    return descriptor


def _unchanged(path: Path, descriptor: int, before: os.stat_result) -> None:
    """Raise TransientError when the open source was written to since ``before``."""
    now = os.fstat(descriptor)
    if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise TransientError("source_changed", f"{str(path)!r} was written to meanwhile")
