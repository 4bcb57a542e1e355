"""/api/v1/jobs: the history, one job with its timeline, and a second try."""

from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from srwatchd.console.access import Operator, Viewer
from srwatchd.console.desk import Desk, TheDesk
from srwatchd.console.files import relative_to_error
from srwatchd.console.history import Filters, Found
from srwatchd.console.jobs import detail, jobs_of
from srwatchd.console.refusals import DeclinedError, documented
from srwatchd.console.shapes import JobDetail, Jobs, Outcome, Retried
from srwatchd.control.socket import ask
from srwatchd.intake.names import display

__all__ = ["JobId", "found_job", "router"]

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"])
_MOST: Final = 200
_RETRY_SECONDS: Final = 60.0
JobId = Annotated[str, Path(pattern="^[0-9A-Za-z_-]{1,64}$", description="The job's id.")]
_Word = Annotated[str | None, Field(min_length=1, max_length=256)]


class _Asked(BaseModel):
    """The query of a page of the history."""

    model_config = ConfigDict(extra="forbid")

    q: Annotated[str | None, Field(max_length=256, description="A part of a name, or of a job's id.")] = None
    folder: _Word = None
    outcome: Outcome | None = None
    code: _Word = None
    user: _Word = None
    since: Annotated[AwareDatetime | None, Field(description="Claimed then or later.")] = None
    until: Annotated[AwareDatetime | None, Field(description="Claimed before.")] = None
    cursor: Annotated[str | None, Field(pattern="^[0-9]{1,15}$", description="`next` of the page before.")] = None
    limit: Annotated[int, Field(ge=1, le=_MOST)] = 50


@router.get("", responses=documented(401, 422))
async def jobs(desk: TheDesk, _who: Viewer, asked: Annotated[_Asked, Query()]) -> Jobs:
    """A page of the history, newest first."""
    filters = Filters(
        text=asked.q,
        since=_stamp(asked.since),
        until=_stamp(asked.until),
        **asked.model_dump(include={"folder", "outcome", "code", "user"}),
    )
    before = int(asked.cursor) if asked.cursor else None
    found, total = await desk.history.page(filters, before=before, limit=asked.limit + 1)
    page = found[: asked.limit]
    return Jobs(
        jobs=await jobs_of(desk, page),
        next=str(page[-1].opened) if len(found) > len(page) else None,
        total=total,
        indexed=await desk.history.complete(),
    )


@router.get("/{job}", responses=documented(401, 404))
async def one_job(desk: TheDesk, _who: Viewer, job: JobId) -> JobDetail:
    """One job with everything that the ledger says about it."""
    found = await found_job(desk, job)
    return await detail(desk, found, await desk.history.timeline(job))


@router.post("/{job}/retry", responses=documented(401, 403, 404, 409, 503, 504))
async def retry(desk: TheDesk, who: Operator, job: JobId) -> Retried:
    """Put the source of a quarantined picture back into the inbox, as `srwatchd retry` does."""
    found = await found_job(desk, job)
    place = relative_to_error(desk.config, found.account)
    if place is None:
        raise DeclinedError(409, "not_retryable", "the picture is not in an error folder")
    folder, name = place
    moved = await ask(
        desk.config.state_dir / "control.sock",
        "retry",
        timeout=_RETRY_SECONDS,
        folder=folder,
        names=[name],
        user=who.name,
        address=who.address,
    )
    desk.pulse.forget()
    if moved["missing"]:
        raise DeclinedError(409, "not_retryable", "its source is no longer in the error folder")
    return Retried(folder=folder, name=display(name))


async def found_job(desk: Desk, job: str) -> Found:
    """The job of that id. Raises DeclinedError ``not_found``."""
    found = await desk.history.job(job)
    if found is None:
        raise DeclinedError(404, "not_found", f"the ledger says nothing of a job {job!r}")
    return found


def _stamp(moment: datetime | None) -> str | None:
    """In the form in which the ledger has its times, so that texts can be compared."""
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
