"""/api/v1/jobs/{job}/thumbnail, view and download: a job's pictures, as long as their files are there."""

import os
from functools import partial
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from srwatchd.codec.formats import FORMATS
from srwatchd.config import Limits
from srwatchd.console.access import Viewer
from srwatchd.console.account import Account
from srwatchd.console.desk import Desk, TheDesk
from srwatchd.console.filebody import FileBody, attachment
from srwatchd.console.files import Side, path_of
from srwatchd.console.leaving import unless_gone
from srwatchd.console.refusals import DeclinedError, documented
from srwatchd.console.renditions import View
from srwatchd.console.routes.jobs import JobId, found_job

__all__ = ["router"]

router = APIRouter(prefix="/api/v1/jobs", tags=["pictures"])
_OPEN_SECONDS: Final = 30.0
_THUMBNAIL: Final = 320
_THUMBNAIL_QUALITY: Final = 82
_VIEW_QUALITY: Final = 95
_FARTHEST: Final = 1 << 31
_ASK_AGAIN: Final = {"Cache-Control": "private, no-cache"}
_TYPES: Final = {name: f"image/{name}" for name, each in FORMATS.items() if each.can_decode}
_BINARY: Final = {"schema": {"type": "string", "format": "binary"}}
_SHOWN: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"image/jpeg": _BINARY, "image/png": _BINARY}, "description": "The picture."},
    304: {"description": "It is the one of If-None-Match."},
}
_LONGEST: Final = "The longest edge of the answer in pixels."
_At = Annotated[int | None, Field(ge=0, lt=_FARTHEST)]
_Length = Annotated[int | None, Field(ge=1, lt=_FARTHEST)]


class _Asked(BaseModel):
    """The query of a view: a region in pixels of the upright picture; what is left out reaches to the edge."""

    model_config = ConfigDict(extra="forbid")

    x: _At = None
    y: _At = None
    width: _Length = None
    height: _Length = None
    longest: Annotated[int, Field(alias="max", ge=16, le=4096, description=_LONGEST)] = 1600

    @property
    def region(self) -> tuple[int, int, int, int] | None:
        """The region, None for the whole picture."""
        if self.x is self.y is self.width is self.height is None:
            return None
        return (self.x or 0, self.y or 0, self.width or _FARTHEST, self.height or _FARTHEST)


@router.get(
    "/{job}/thumbnail",
    response_class=Response,
    responses={**_SHOWN, **documented(401, 404, 409, 410, 422, 503, 504)},
)
async def thumbnail(
    desk: TheDesk,
    _who: Viewer,
    request: Request,
    job: JobId,
    longest: Annotated[int, Query(alias="max", ge=16, le=1024, description=_LONGEST)] = _THUMBNAIL,
) -> Response:
    """A small picture of the result, or of the source where there is none (any more). Upright, sRGB, no metadata."""
    account = (await found_job(desk, job)).account
    side: Side = "result" if account["outcome"] == "delivered" else "source"
    try:
        descriptor = await _opened(desk, account, side)
    except DeclinedError as error:
        if side == "source" or error.status != 410:  # noqa: PLR2004 - HTTP
            raise
        side = "source"
        descriptor = await _opened(desk, account, side)
    return await _shown(desk, request, account, side, descriptor, View(longest, quality=_THUMBNAIL_QUALITY))


@router.get(
    "/{job}/view/{side}",
    response_class=Response,
    responses={**_SHOWN, **documented(400, 401, 404, 409, 410, 422, 503, 504)},
)
async def view(
    desk: TheDesk,
    _who: Viewer,
    request: Request,
    job: JobId,
    side: Literal["source", "result"],
    asked: Annotated[_Asked, Query()],
) -> Response:
    """The source or the result, or a region of it in its own upright pixels, shrunk to `max`; nothing is enlarged.

    A JPEG, or a PNG where something is transparent: sRGB, 8 bit, no metadata; of documents and animations the first
    page or frame. A region that reaches over the edge ends there.
    """
    account = (await found_job(desk, job)).account
    descriptor = await _opened(desk, account, side)
    return await _shown(desk, request, account, side, descriptor, View(asked.longest, asked.region, _VIEW_QUALITY))


@router.get(
    "/{job}/download/{side}",
    response_class=Response,
    responses={
        200: {"content": {"application/octet-stream": _BINARY}, "description": "The file, as an attachment."},
        206: {"description": "The part that Range asks for."},
        304: {"description": "It is the one of If-None-Match."},
        416: {"description": "It has no such part."},
        **documented(401, 404, 409, 410, 503, 504),
    },
)
async def download(
    desk: TheDesk, _who: Viewer, request: Request, job: JobId, side: Literal["source", "result"]
) -> Response:
    """The source or the result, byte for byte, to be saved; answers Range and If-None-Match."""
    account = (await found_job(desk, job)).account
    descriptor = await _opened(desk, account, side)
    known = account.get("result_sha256" if side == "result" else "sha256")
    facts = os.fstat(descriptor)
    return FileBody(
        descriptor,
        media_type=_TYPES.get(str(account.get(f"{side}_format")), "application/octet-stream"),
        tag=str(known)[:40] if known else f"{facts.st_ino:x}-{facts.st_size:x}-{facts.st_mtime_ns:x}",
        asked=request.headers,
        headers={**_ASK_AGAIN, "Content-Disposition": attachment(_name(account, side))},
    )


async def _opened(desk: Desk, account: Account, side: Side) -> int:
    try:
        return await desk.disks.run(
            str(account.get("folder", "")),
            partial(desk.originals.open, account, side),
            seconds=_OPEN_SECONDS,
            unwanted=os.close,
        )
    except TimeoutError:
        raise DeclinedError(504, "not_answering", "the disk of that folder does not answer") from None


async def _shown(desk: Desk, request: Request, account: Account, side: Side, descriptor: int, wanted: View) -> Response:
    """The rendition of the open file, which is closed."""
    try:
        making = desk.renditions.shown(descriptor, wanted, max_pixels=_most_pixels(desk, account, side))
        made = await unless_gone(request, making)
    finally:
        os.close(descriptor)
    return FileBody(
        made.descriptor, media_type=made.media_type, tag=made.tag, asked=request.headers, headers=_ASK_AGAIN
    )


def _most_pixels(desk: Desk, account: Account, side: Side) -> int:
    """What the job's folder takes and makes; a folder that is not configured any more, the usual."""
    try:
        limits = desk.config.folder(str(account.get("folder"))).limits
    except KeyError:
        limits = Limits()
    return limits.max_input_pixels if side == "source" else limits.max_output_pixels


def _name(account: Account, side: Side) -> str:
    """What the file is called when it is saved."""
    return str(account.get("name")) if side == "source" else path_of(account, side) or ""
