"""One run of one job, from the look at a candidate to its final place. Readable from top to bottom."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import os
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from srwatchd.audit import FIELDS
from srwatchd.daemon.faults import defect, host_error
from srwatchd.delivery import Staged
from srwatchd.errors import JobError, PermanentError, SrwatchdError, TransientError
from srwatchd.intake.settle import Doomed, Ready
from srwatchd.job import Attempt, Event, Failure, Record, State
from srwatchd.pipeline.result import plan_result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from srwatchd.config.models import ModelSpec
    from srwatchd.daemon.folder import ServedFolder
    from srwatchd.job import Snapshot
    from srwatchd.pipeline.result import ResultPlan
    from srwatchd.pipeline.stages import Choice, Picture, Stages

__all__ = ["BLAMELESS", "INTERRUPTIONS", "KILLED", "UNDECODABLE", "JobRun", "Outcome", "Verdict"]

KILLED: Final = "worker_killed"
BLAMELESS: Final = frozenset({KILLED, "worker_stuck"})
"""What is no fault of the picture: a worker killed from outside, or on a disk that did not answer."""
INTERRUPTIONS: Final = 10
"""How often a picture may see the service or a worker end so before it is taken for the cause."""

_LONG_BYTES: Final = 64 << 20
"""From so many bytes on, reading, copying or flushing a file takes seconds, and other pictures do not wait for it."""

UNDECODABLE: Final = frozenset({"incomplete", "not_a_picture", "empty"})
"""What a picture that is still being written looks like: it stays in the inbox until its grace is over."""


class Verdict(enum.Enum):
    """How a run ended."""

    DELIVERED = "delivered"
    QUARANTINED = "quarantined"
    DECLINED = "declined"
    """Not claimed: intake goes on watching it."""
    RELEASED = "released"
    """Claimed and given back to the inbox."""
    RETRY = "retry"
    """An attempt failed; ``record`` waits for the next one."""
    HELD = "held"
    """The host is at fault; ``record`` (if claimed) waits until the folder is taken up again."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A verdict with what is needed to act on it."""

    verdict: Verdict
    record: Record | None = None
    error: SrwatchdError | None = None


@dataclass(slots=True)
class _Progress:
    """What the status shows of a running job."""

    stage: str = "probe"
    done: int = 0
    total: int = 0
    nanoseconds: dict[str, int] = field(default_factory=dict)
    input_pixels: int = 0
    output_pixels: int = 0


class JobRun:
    """Takes one candidate or one claimed record through the stages.

    The run is cancelled to stop it: what is in custody (a step that moves files) is finished first, then the source
    is given back. ``run`` raises nothing but :class:`asyncio.CancelledError`.
    """

    def __init__(
        self,
        folder: ServedFolder,
        stages: Stages,
        spec: ModelSpec,
        *,
        candidate: Ready | Doomed | None = None,
        record: Record | None = None,
    ) -> None:
        self.folder = folder
        self.record = record.after(Event.RETRY) if record is not None and record.state is State.WAITING else record
        self.progress = _Progress()
        self._custody = folder.custody
        self._stages = stages
        self._spec = spec
        self._candidate = candidate
        self._picture: Picture | None = None
        self._began = time.monotonic()
        self._engine = ""
        self._uncertain = False
        self.moving = False
        """Whether result or source may have moved: from then on only what lies on the disk tells how far it came."""

    @property
    def fresh(self) -> bool:
        """Whether it began with a candidate that intake has reserved."""
        return self._candidate is not None

    @property
    def name(self) -> str:
        """The source's path relative to its inbox."""
        if self.record is not None:
            return self.record.name
        return self._candidate.snapshot.name if self._candidate is not None else ""

    @property
    def seconds(self) -> float:
        """For how long this run has gone on."""
        return time.monotonic() - self._began

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the source, zeros until it is decoded."""
        return (0, 0) if self._picture is None else (self._picture.width, self._picture.height)

    @property
    def choice(self) -> Choice:
        """The engine and tile for this job's model."""
        return self._stages.choice(self._spec.name)

    async def run(self) -> Outcome:
        """Do the job. Every error of this tree and every unknown one has become an outcome."""
        try:
            return await self._run()
        except Exception as error:  # noqa: BLE001 - even a defect in custody holds a folder rather than lose its job
            return Outcome(Verdict.HELD, self.record, host_error(error))
        except asyncio.CancelledError:
            ours = self.record is not None and self.record.state is State.CLAIMED and not self.record.attempts
            if ours and not self._uncertain:  # else the next take-up goes on from what lies on the disk
                with contextlib.suppress(SrwatchdError):
                    await self._keep(self._custody.release, self.record, "stopped")
            raise
        finally:
            if self._picture is not None:
                self._picture.close()
            if self.record is not None and self.record.state is State.CLAIMED:
                with contextlib.suppress(SrwatchdError):
                    await self._keep(self._custody.end, self.record)

    async def _run(self) -> Outcome:
        try:
            if self.record is None:
                declined = await self._admit()
                if declined is not None:
                    return declined
            return await self._complete()
        except TransientError as error:
            return await self._failed(error)
        except PermanentError as error:
            return await self._quarantine(error)
        except (SrwatchdError, OSError, asyncio.CancelledError):
            raise
        except Exception as error:  # noqa: BLE001 - an unknown error is a defect: it costs one picture, not the service
            return await self._quarantine(defect(error))

    # -- from the inbox into custody ---------------------------------------------------------------------------

    async def _admit(self) -> Outcome | None:
        """Probe the candidate where it lies, then claim it. An outcome means that it was not claimed."""
        candidate = self._candidate
        assert candidate is not None  # noqa: S101 - a run without a record has a candidate
        failure: SrwatchdError | None = None
        if isinstance(candidate, Doomed) and candidate.code != "incomplete":
            failure = PermanentError(candidate.code, self._doom(candidate))
        else:  # what did not decode before its grace was over is asked once more, for the exact reason
            try:
                await self._probe(candidate if isinstance(candidate, Ready) else Ready(candidate.snapshot))
            except PermanentError as error:
                if error.code in UNDECODABLE and not self.folder.grace_over(candidate.snapshot.name):
                    return Outcome(Verdict.DECLINED, error=error)
                failure = error
            except TransientError as error:
                failure = error
            except (SrwatchdError, OSError):
                raise
            except Exception as error:  # noqa: BLE001 - claimed first, then quarantined
                failure = defect(error)
        try:
            with self._timed("claim"):
                busy = isinstance(candidate, Doomed) and candidate.code == "writer_never_closed"
                self.record = await self._keep(partial(self._custody.claim, candidate.snapshot, busy=busy))
        except TransientError as error:  # changed, busy or gone: intake looks again
            return Outcome(Verdict.DECLINED, error=error)
        if failure is not None:
            raise failure
        return None

    def _doom(self, candidate: Doomed) -> str:
        """What intake found wrong, in figures."""
        size, config = candidate.snapshot.size, self.folder.config
        match candidate.code:
            case "too_large_file":
                return f"it has {size} bytes, and max_size is {config.max_size}"
            case "too_small_file":
                return f"it has {size} bytes, and min_size is {config.min_size}"
            case "writer_never_closed":
                return f"a program has had it open for writing for {config.max_hold:g} s and writes nothing"
            case _:
                return f"it has {size} bytes and has not changed until its grace was over"

    async def _probe(self, candidate: Ready) -> None:
        self._picture = await self._decoded(self.folder.open_candidate, candidate.snapshot)
        if candidate.hole and not self._picture.info["sealed"]:
            raise PermanentError("incomplete", "the file ends in a hole and its format cannot prove its end")

    async def _decoded(self, opened: Callable[..., int], what: Snapshot | Record) -> Picture:
        """The picture in the file that ``opened`` gives a descriptor of."""
        with self._timed("decode"):
            source = await self._keep(opened, what)
            try:
                return await self._stages.decode(source, self.folder.config, self._spec)
            finally:
                os.close(source)

    # -- from custody to done ----------------------------------------------------------------------------------

    async def _complete(self) -> Outcome:
        record = self._claimed()
        if record.state is State.WAITING:
            self.record = record = record.after(Event.RETRY)
        await self._keep(self._custody.begin, record)
        if self._picture is None:
            self._picture = await self._decoded(self._custody.open_source, record)
        size = record.snapshot.size
        hashing = asyncio.ensure_future(self._keep(self._custody.fingerprint, record, size=size))
        try:
            await self._produce(hashing)
        finally:
            hashing.cancel()
            with contextlib.suppress(BaseException):
                await hashing
        delivered = self.record is not None and self.record.state is State.DELIVERED
        return Outcome(Verdict.DELIVERED if delivered else Verdict.RELEASED, self.record)

    async def _produce(self, hashing: asyncio.Future[Record]) -> None:
        """Upscale, encode, verify and deliver; on an implausible result once more on another engine."""
        engines = (self.choice.engine, *self.choice.others)
        for number, engine in enumerate(engines):
            self._engine = engine
            try:
                await self._produce_on(engine, hashing)
            except PermanentError as error:
                if error.code != "result_not_plausible" or number + 1 == len(engines):
                    raise
            else:
                return

    async def _produce_on(self, engine: str, hashing: asyncio.Future[Record]) -> None:
        picture = self._picture
        assert picture is not None  # noqa: S101 - decoded above
        record = self._claimed()
        config = self.folder.config
        plan = plan_result(
            record.name, config.output, self._spec, picture.info, folder=config.id, date=self._custody.now()[:10]
        )
        staged = await self._keep(self._custody.stage, record, plan.path)  # first: a place that refuses costs no work
        try:
            with self._timed("upscale"):
                result = await self._stages.upscale(
                    picture,
                    self._spec,
                    engine=engine,
                    tile=self._tile(record),
                    deadline=config.limits.seconds_per_megapixel,
                    on_tile=self._on_tile,
                )
            with contextlib.closing(result):
                with self._timed("encode"):
                    await self._stages.encode(picture, result, staged.fd, plan=plan)
                with self._timed("verify"):
                    await self._stages.verify(picture, plan, staged.fd)
            self.record = record = await hashing
            with self._timed("deliver"):
                facts = self._facts(picture, plan)
                self.moving = True
                size = max(record.snapshot.size, os.fstat(staged.fd).st_size)
                self.record = await self._keep(self._custody.finish, record, staged, plan.path, facts, size=size)
        finally:
            await self._keep(self._custody.discard, staged)

    # -- when it goes wrong ------------------------------------------------------------------------------------

    async def _failed(self, error: TransientError) -> Outcome:
        record = self._claimed()
        if error.code in ("source_changed", "source_busy"):
            await self._keep(self._custody.release, record, error.code)
            return Outcome(Verdict.RELEASED, record, error)
        attempt = Attempt(at=self._custody.now(), code=error.code, message=error.message, engine=self._engine)
        attempts = (*record.attempts, attempt)
        if give_up := _given_up(attempts, error, limit=self.folder.config.retry.max_attempts):
            self.record = await self._keep(self._custody.note, record, attempt)
            return await self._quarantine(give_up)
        self.record = await self._keep(self._custody.fail, record, attempt)
        return Outcome(Verdict.RETRY, self.record, error)

    async def _quarantine(self, error: JobError) -> Outcome:
        record = self._claimed()
        failure = Failure(code=error.code, message=error.message, hint=error.hint)
        with self._timed("quarantine"):
            self.moving = True
            self.record = await self._keep(self._custody.quarantine, record, failure, size=record.snapshot.size)
        return Outcome(Verdict.QUARANTINED, self.record, error)

    # -- small things ------------------------------------------------------------------------------------------

    def _claimed(self) -> Record:
        assert self.record is not None  # noqa: S101 - claimed before
        return self.record

    def _tile(self, record: Record) -> int:
        """The planned tile, halved for each time that the memory did not suffice."""
        shortages = sum(attempt.code == "out_of_memory" for attempt in record.attempts)
        return max(32, self.choice.tile >> shortages)

    def _on_tile(self, done: int, total: int) -> None:
        self.progress.done, self.progress.total = done, total

    def _facts(self, picture: Picture, plan: ResultPlan) -> dict[str, Any]:
        """What the ledger keeps of how the result was made."""
        self.progress.input_pixels = picture.width * picture.height
        self.progress.output_pixels = plan.width * plan.height
        durations = {f"srwatchd.duration.{stage}": spent for stage, spent in self.progress.nanoseconds.items()}
        return {
            "srwatchd.model.name": self._spec.name,
            "srwatchd.model.scale": self._spec.scale,
            "srwatchd.model.sha256": self._spec.sha256,
            "srwatchd.engine.name": self._engine,
            "srwatchd.source.format": picture.info["format"],
            "srwatchd.source.width": picture.width,
            "srwatchd.source.height": picture.height,
            "srwatchd.source.pages": len(picture.pages),
            "srwatchd.result.format": plan.format,
            "srwatchd.result.width": plan.width,
            "srwatchd.result.height": plan.height,
            "srwatchd.tiles": self.progress.total,
            **{name: spent for name, spent in durations.items() if name in FIELDS},
        }

    @contextlib.contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        self.progress.stage = stage
        begin = time.monotonic_ns()
        try:
            yield
        finally:
            spent = time.monotonic_ns() - begin
            self.progress.nanoseconds[stage] = self.progress.nanoseconds.get(stage, 0) + spent

    async def _keep(self, step: Callable[..., Any], *args: Any, size: int = 0) -> Any:
        """Run a step on the disk to its end, even when this run is cancelled meanwhile; what it gave is put away.

        ``size``: the bytes that it goes through. A long step runs aside, so that other pictures need not wait for it.
        """
        lane = self.folder.lane
        call = asyncio.ensure_future((lane.run_aside if size >= _LONG_BYTES else lane.run)(step, *args))
        try:
            return await asyncio.shield(call)
        except asyncio.CancelledError:
            outcome = (await asyncio.gather(call, return_exceptions=True))[0]
            if isinstance(outcome, BaseException):
                self._uncertain = True  # nobody knows how far it came: its result may be delivered already
            elif isinstance(outcome, Record):
                self.record = outcome
            elif isinstance(outcome, int):
                os.close(outcome)
            elif isinstance(outcome, Staged):
                await self.folder.lane.run(self._custody.discard, outcome)
            raise


def _given_up(attempts: tuple[Attempt, ...], error: TransientError, *, limit: int) -> PermanentError | None:
    """The end of a job's attempts, or None while another one follows.

    Interruptions are no faults of the picture: only ten of them end it.
    """
    faults = [each for each in attempts if each.code not in BLAMELESS]
    if len(faults) >= limit:
        reasons = "; ".join(f"{number}. {each.code}: {each.message}" for number, each in enumerate(faults, 1))
        return PermanentError("attempts_exhausted", f"{len(faults)} attempts failed: {reasons}", hint=error.hint)
    if len(attempts) - len(faults) >= INTERRUPTIONS:
        return PermanentError("interrupted_too_often", f"{INTERRUPTIONS} times a worker was cut off on this picture")
    return None
