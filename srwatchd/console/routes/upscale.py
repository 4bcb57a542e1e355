"""POST /api/v1/upscale: a picture in, the enlarged one out."""

import re
import secrets
from functools import partial
from typing import Annotated, Final, Literal, get_args

from fastapi import APIRouter, Query
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from srwatchd.codec.formats import FORMATS
from srwatchd.console.access import Operator, Person
from srwatchd.console.desk import Desk, TheDesk
from srwatchd.console.filebody import FileBody, attachment
from srwatchd.console.formdata import read_form
from srwatchd.console.leaving import gone
from srwatchd.console.refusals import DeclinedError, documented
from srwatchd.console.uploads import pieces
from srwatchd.console.upscaling import Enlarged

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", tags=["upscale"])
_BINARY: Final = {"schema": {"type": "string", "format": "binary"}}
_FORM: Final = {
    "schema": {
        "type": "object",
        "properties": {
            "file": {"type": "string", "format": "binary"},
            "model": {"type": "string"},
            "format": {"type": "string"},
        },
        "required": ["file"],
    }
}
Format = Literal["same", "jpeg", "png", "webp", "tiff", "avif", "gif"]
_FORMATS: Final = get_args(Format)
_ANYTHING: Final = frozenset({"", "*/*", "image/*", "application/octet-stream"})
_STEM: Final = re.compile(r"[^A-Za-z0-9_-]+")
_ENDINGS: Final = frozenset(ending for each in FORMATS.values() for ending in each.extensions)
_LONGEST_STEM: Final = 48
_TOKEN: Final = re.compile(r"-[0-9a-f]{12}(?=[_.])")


@router.post(
    "/upscale",
    response_class=Response,
    responses={
        200: {
            "content": {f"image/{name}": _BINARY for name, each in FORMATS.items() if each.can_encode},
            "description": "The enlarged picture.",
            "headers": {
                "X-Srwatchd-Job": {"schema": {"type": "string"}, "description": "Its job in the ledger."},
                "X-Srwatchd-Seconds": {"schema": {"type": "number"}, "description": "How long it took."},
            },
        },
        **documented(400, 401, 403, 404, 408, 410, 413, 422, 429, 503, 504, 507),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": _BINARY, "multipart/form-data": _FORM},
        }
    },
)
async def upscale(
    desk: TheDesk,
    who: Operator,
    request: Request,
    model: Annotated[str | None, Query(max_length=64, description="Needed when more than one is offered.")] = None,
    format: Annotated[Format | None, Query(description="Of the answer; without one, and without Accept: same.")] = None,  # noqa: A002 - the word of the command line
) -> Response:
    """The picture in the body, or in the form's part `file`, enlarged by `model`: a job of the daemon like any other.

    The answer comes when the job has ended; a picture that cannot be enlarged gives 422 with the job's own code. At
    most `console.upscale.in_flight` at once, others get 429; after `console.upscale.timeout` the answer is 504.
    """
    with desk.upscaling.turn():
        try:
            made = await _enlarged(desk, who, request, model, format)
        except ClientDisconnect:
            raise DeclinedError(499, "upload_broken", "whoever asked has gone") from None
    return FileBody(
        made.descriptor,
        media_type=f"image/{made.format}" if made.format in FORMATS else "application/octet-stream",
        tag=made.job,
        asked={},
        headers={
            "Cache-Control": "no-store",
            "Content-Disposition": attachment(_TOKEN.sub("", made.name, count=1)),
            "X-Srwatchd-Job": made.job,
            "X-Srwatchd-Seconds": f"{made.seconds:.3f}",
        },
    )


async def _enlarged(desk: Desk, who: Person, request: Request, model: str | None, format_: str | None) -> Enlarged:
    kind = request.headers.get("content-type", "")
    told = request.headers.get("content-length", "")
    if not kind.startswith("multipart/form-data"):
        folder = desk.upscaling.folder(model)
        size = int(told) if told.isdecimal() else None
        return await desk.upscaling.enlarged(
            folder,
            _name(""),
            request.stream(),
            size=size,
            who=who,
            gone=partial(gone, request),
            wanted=_wanted(request, format_),
        )
    form = await read_form(
        kind,
        pieces(request.stream()),
        place=desk.state / "upscale",
        most=desk.config.console.upload.max_size,
    )
    try:
        folder = desk.upscaling.folder(model or form.texts.get("model"))
        if form.descriptor < 0:
            raise DeclinedError(400, "bad_request", "the form has no part 'file'", hint="curl -F file=@picture.png ...")
        return await desk.upscaling.enlarged(
            folder,
            _name(form.filename),
            form.body(),
            size=form.size,
            who=who,
            gone=partial(gone, request),
            wanted=_wanted(request, format_ or form.texts.get("format")),
        )
    finally:
        form.close()


def _wanted(request: Request, asked: str | None) -> tuple[str, ...]:
    """The formats that will do: the one that is asked for, or those of Accept unless it takes anything."""
    if asked is not None:
        if asked not in _FORMATS:
            hint = f"There are {', '.join(_FORMATS)}."
            raise DeclinedError(422, "bad_request", f"nothing here writes the format {asked!r}", hint=hint)
        return () if asked == "same" else (asked,)
    kinds = [each.partition(";")[0].strip().lower() for each in request.headers.get("accept", "").split(",")]
    if set(kinds) & _ANYTHING:
        return ()
    return tuple(kind.removeprefix("image/") for kind in kinds if kind.removeprefix("image/") in _FORMATS)


def _name(filename: str) -> str:
    """A name that nobody else uses, in which the client's own can be recognised."""
    base = filename.replace("\\", "/").rpartition("/")[2]
    stem, dot, ending = base.rpartition(".")
    plain = _STEM.sub("_", stem if dot else ending).strip("_-")[:_LONGEST_STEM] or "picture"
    suffix = f".{ending.lower()}" if dot and f".{ending.lower()}" in _ENDINGS else ""
    return f"{plain}-{secrets.token_hex(6)}{suffix}"
