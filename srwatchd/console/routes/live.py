"""GET /api/v1/live: what a page asks for again and again."""

from typing import Annotated

from fastapi import APIRouter, Header
from starlette.responses import Response

from srwatchd.console.access import Viewer
from srwatchd.console.desk import TheDesk
from srwatchd.console.refusals import documented
from srwatchd.console.shapes import Live

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", tags=["live"])


@router.get(
    "/live",
    response_model=Live,
    responses={304: {"description": "Nothing has changed since the answer with that ETag."}, **documented(401)},
)
async def live(desk: TheDesk, _who: Viewer, if_none_match: Annotated[str | None, Header()] = None) -> Response:
    """The present moment, at most a second old. Send the last answer's ETag as If-None-Match."""
    moment = await desk.pulse.moment()
    headers = {"ETag": moment.etag, "Cache-Control": "no-cache, private"}
    if if_none_match is not None and moment.etag in (each.strip() for each in if_none_match.split(",")):
        return Response(status_code=304, headers=headers)
    return Response(moment.body, media_type="application/json", headers=headers)
