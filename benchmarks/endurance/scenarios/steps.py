"""A fault at every single step of a job: the supervisor killed there, or the step refused by the file system."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.endurance.checker import Fate
from benchmarks.endurance.dropping import Dropper
from benchmarks.endurance.mounts import bound, mounted
from benchmarks.endurance.pictures import Picture, made
from benchmarks.endurance.scenario import Result, drained, finish, run_tool
from benchmarks.endurance.service import NotInTimeError, until
from benchmarks.endurance.tracer import Step, injecting, steps_in

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from benchmarks.endurance.scenario import Bench
    from benchmarks.endurance.service import Service
    from benchmarks.endurance.site import Site

__all__ = ["step_errors", "step_kills", "worker_kills"]

_FILLER_BYTES: Final = 64 << 20
_DRAIN_SECONDS: Final = 60.0
_SEEN_SECONDS: Final = 10.0
_HEALED_SECONDS: Final = 180.0
"""A hold is looked at every 30 s in the end, and a slow machine does the job twice."""
_QUICK: Final = {"settle": "0.5 s", "grace": "1 s"}


@dataclass(frozen=True, slots=True)
class _Flow:
    """One way that a job can go."""

    name: str
    fate: Fate = Fate.DELIVERED
    four_mounts: bool = False


_KILLED_FLOWS: Final = (
    _Flow("delivery across four mounts", four_mounts=True),
    _Flow("delivery on one mount"),
    _Flow("quarantine across four mounts", Fate.QUARANTINED, four_mounts=True),
)


def step_kills(bench: Bench, result: Result) -> None:
    """SIGKILL at every rename, write, fsync and unlink of a job, then a start: everything exactly once."""
    for flow in _KILLED_FLOWS[: bench.many(3, short=1)]:
        with _prepared(bench, f"kills {flow.name}", flow) as (service, dropper):
            rng = bench.random()
            service.start()
            steps = _steps(service, dropper, rng, flow)
            chosen = steps[:: bench.many(1, short=12)]
            reached = 0
            for step in chosen:
                reached += _killed_at(step, service, dropper, rng, flow, result)
            result.figure(f"{flow.name}: steps, killed at", f"{len(steps)}, {reached}")
            result.expect(
                reached >= len(chosen) - 2, f"{flow.name}: only {reached} of {len(chosen)} steps were reached"
            )
            finish(service, dropper.dropped, result)


def worker_kills(bench: Bench, result: Result) -> None:
    """SIGKILL of a worker at every write of a job: an interruption, done again at once, no attempt spent."""
    flow = _KILLED_FLOWS[0]
    with _prepared(bench, "worker kills", flow) as (service, dropper):
        rng = bench.random()
        service.start()
        number = len(service.workers())
        steps = _steps(service, dropper, rng, flow, workers=True)
        reached = 0
        for step in steps[:: bench.many(1, short=4)]:
            until(lambda: len(service.workers()) == number, _DRAIN_SECONDS, "every worker is there")
            with injecting(service.workers(), service.site.root / "trace", step=step, fault="signal=KILL"):
                before = set(service.workers())
                _drop(dropper, rng, flow)
                until(lambda: _settled(service), _DRAIN_SECONDS, f"done in spite of a kill at {step}")
            reached += not before <= set(service.workers())
        result.figure("steps of workers, killed at", f"{len(steps)}, {reached}")
        result.figure("interruptions", service.site.count("job.attempt_failed"))
        finish(service, dropper.dropped, result)


def step_errors(bench: Bench, result: Result) -> None:
    """ENOSPC and EIO at every step: held and taken up again, or tried again; no attempt spent, nothing in error."""
    flow = _KILLED_FLOWS[0]
    for error in ("ENOSPC", "EIO"):
        with _prepared(bench, f"{error}", flow) as (service, dropper):
            rng = bench.random()
            service.start()
            steps = _steps(service, dropper, rng, flow)
            chosen = steps[:: bench.many(1, short=21)]
            for step in chosen:
                _refused_at(step, error, service, dropper, rng, result)
            result.figure(f"{error}: steps, refused at", f"{len(steps)}, {len(chosen)}")
            result.figure(f"{error}: times held", service.site.count("folder.held"))
            spent = service.site.count("job.attempt_failed")
            result.expect(spent == 0, f"{error}: {spent} attempts were spent")
            finish(service, dropper.dropped, result)


@contextlib.contextmanager
def _prepared(bench: Bench, name: str, flow: _Flow) -> Iterator[tuple[Service, Dropper]]:
    site = bench.site(name.replace(" ", "-"), options=_QUICK)
    places = (site.inbox, site.done, site.error, site.archive)
    with mounted(*places), bench.service(site) as service:
        if flow.four_mounts:
            for place in places:
                bound(place, place)
        yield service, Dropper(site.inbox, site.root / "outside")


def _picture(rng: random.Random, flow: _Flow) -> Picture:
    picture = made(rng, width=rng.randint(16, 32), height=rng.randint(16, 32))
    if flow.fate is Fate.QUARANTINED:
        return Picture(rng.randbytes(500), "png", 1, 1, picture.afar)
    return picture


def _drop(dropper: Dropper, rng: random.Random, flow: _Flow) -> None:
    """Each into a new sub folder, so that making folders is among the steps."""
    dropper.drop(_picture(rng, flow), folder=f"d{len(dropper.dropped)}", way="mv", fate=flow.fate)


def _settled(service: Service) -> bool:
    """Whether nothing is in the inbox or claimed, and no record is left."""
    return service.site.waiting() == 0 and not list(service.site.private.glob("*.json"))


def _steps(service: Service, dropper: Dropper, rng: random.Random, flow: _Flow, *, workers: bool = False) -> list[Step]:
    """What the supervisor, or the workers, do for a job when nothing goes wrong."""
    _drop(dropper, rng, flow)
    until(lambda: _settled(service), _DRAIN_SECONDS, "the first job is done")
    trace = service.site.root / "trace"
    with injecting(service.workers() if workers else [service.pid], trace):
        _drop(dropper, rng, flow)
        until(lambda: _settled(service), _DRAIN_SECONDS, "the traced job is done")
    return steps_in(trace)


def _killed_at(step: Step, service: Service, dropper: Dropper, rng: random.Random, flow: _Flow, result: Result) -> bool:
    """Whether the supervisor was killed at that step. It is started again."""
    with injecting([service.pid], service.site.root / "trace", step=step, fault="signal=KILL"):
        _drop(dropper, rng, flow)
        with contextlib.suppress(NotInTimeError):
            until(lambda: not service.running or _settled(service), _DRAIN_SECONDS, "killed")
    if service.running:  # asked after the tracer has let go: the last step is a line of the log, after all else
        return False
    service.wait(5.0)
    service.start()
    try:
        drained(service, _DRAIN_SECONDS)
    except NotInTimeError as error:
        result.problems.append(f"{flow.name}: killed at {step}: {error}; {service.last_words()}")
    return True


def _refused_at(step: Step, error: str, service: Service, dropper: Dropper, rng: random.Random, result: Result) -> None:
    """One call is refused once. Once the folder is held, something is freed: a hold waits for more than it saw."""
    filler = service.site.root / "filler"
    holds = service.site.count("folder.held")
    run_tool("fallocate", "--length", str(_FILLER_BYTES), filler)
    with injecting([service.pid], service.site.root / "trace", step=step, fault=f"error={error}"):
        _drop(dropper, rng, _KILLED_FLOWS[0])
        with contextlib.suppress(NotInTimeError):
            until(lambda: _settled(service) or service.site.count("folder.held") > holds, _SEEN_SECONDS, "held")
        filler.unlink()
        try:
            until(lambda: _settled(service) or not service.running, _HEALED_SECONDS, "done after all")
        except NotInTimeError as late:
            folders = service.status().get("folders")
            result.problems.append(f"{error} at {step}: {late}: {folders}: {_left(service.site)}")
    if not service.running:
        result.problems.append(f"{error} at {step}: the daemon ended: {service.last_words()}")
        service.start()


def _left(site: Site) -> list[str]:
    return sorted(path.name for path in site.private.iterdir())
