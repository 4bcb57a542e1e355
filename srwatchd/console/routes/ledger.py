"""/api/v1/ledger: the lines, the state of the chain, a verification, an export."""

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query
from starlette.responses import StreamingResponse

from srwatchd.audit import ACTIONS
from srwatchd.console.access import Operator, Viewer
from srwatchd.console.desk import TheDesk
from srwatchd.console.ledgershapes import LedgerLines, LedgerState, Verification
from srwatchd.console.refusals import DeclinedError, documented

__all__ = ["router"]

router = APIRouter(prefix="/api/v1/ledger", tags=["ledger"])
_MOST: Final = 500
_TYPES: Final = {"jsonl": "application/jsonl", "csv": "text/csv; charset=utf-8"}
_Sequence = Annotated[int | None, Query(ge=0, le=1 << 53)]


@router.get("", responses=documented(401, 422, 504))
async def lines(
    desk: TheDesk,
    _who: Viewer,
    before: _Sequence = None,
    after: _Sequence = None,
    action: Annotated[str | None, Query(max_length=64, description="Only this action.")] = None,
    limit: Annotated[int, Query(ge=1, le=_MOST)] = 100,
) -> LedgerLines:
    """A page of lines: newest first, below `before`; with `after` in order, above it. `next` goes on the same way.

    With an `action` a page may hold fewer lines than `limit` and still have a `next`.
    """
    if action is not None and action not in ACTIONS:
        raise DeclinedError(422, "bad_request", f"the ledger has no action {action!r}", hint="docs/ledger.md has them.")
    if after is not None:
        return await desk.ledger.oldest(after=after, limit=limit, action=action)
    return await desk.ledger.newest(before=before, limit=limit, action=action)


@router.get("/state", responses=documented(401, 504))
async def state(desk: TheDesk, _who: Viewer) -> LedgerState:
    """The end of the chain, its files, and what the last verification said."""
    return await desk.ledger.state()


@router.post("/verify", status_code=202, responses=documented(401, 403, 409))
async def verify(desk: TheDesk, who: Operator) -> Verification:
    """Begin a verification of the whole chain; `state` says how it goes on."""
    return desk.verifier.start(who.name)


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses={
        200: {
            "content": {kind: {"schema": {"type": "string"}} for kind in ("application/jsonl", "text/csv")},
            "description": "The whole ledger.",
        },
        **documented(401, 422, 503),
    },
)
async def export(desk: TheDesk, _who: Viewer, format: Literal["jsonl", "csv"] = "jsonl") -> StreamingResponse:  # noqa: A002 - the word of the command line
    """The whole ledger: `jsonl` is its own bytes, of which every hash can be checked; `csv` is for a spreadsheet."""
    headers = {"Content-Disposition": f'attachment; filename="ledger.{format}"'}
    return StreamingResponse(await desk.ledger.export(format), media_type=_TYPES[format], headers=headers)
