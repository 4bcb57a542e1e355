"""/api/v1/folders: what there is, pausing and resuming, and uploads."""

from typing import Annotated, Final

from fastapi import APIRouter, Path
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request

from srwatchd.config import Folder as FolderConfig
from srwatchd.console.access import Operator, Person, Viewer
from srwatchd.console.desk import Desk, TheDesk
from srwatchd.console.live import folders_of
from srwatchd.console.refusals import DeclinedError, documented
from srwatchd.console.shapes import Folder, Folders, Uploaded
from srwatchd.console.uploads import name_of
from srwatchd.control.socket import ask

__all__ = ["router"]


class _WholeConvertor(Convertor[str]):
    """Everything that follows, line breaks too."""

    regex = "(?s:.+)"

    def convert(self, value: str) -> str:
        """As it is."""
        return value

    def to_string(self, value: str) -> str:
        """As it is."""
        return value


register_url_convertor("whole", _WholeConvertor())
router = APIRouter(prefix="/api/v1/folders", tags=["folders"])
_SECONDS: Final = 30.0
_FolderId = Annotated[str, Path(max_length=64, description="The folder's id.")]


@router.get("", responses=documented(401))
async def folders(desk: TheDesk, _who: Viewer) -> Folders:
    """All hot folders of the configuration."""
    moment = await desk.pulse.moment()
    return Folders(folders=await folders_of(desk, moment.report))


@router.post("/{folder}/pause", responses=documented(401, 403, 404, 503, 504))
async def pause(desk: TheDesk, who: Operator, folder: _FolderId) -> Folder:
    """Start no more pictures of the folder; what is in work is finished. Survives a restart."""
    return await _switched(desk, who, folder, "pause")


@router.post("/{folder}/resume", responses=documented(401, 403, 404, 503, 504))
async def resume(desk: TheDesk, who: Operator, folder: _FolderId) -> Folder:
    """Go on after a pause."""
    return await _switched(desk, who, folder, "resume")


@router.put(
    "/{folder}/files/{path:whole}",
    status_code=201,
    responses=documented(400, 401, 403, 404, 408, 413, 422, 503, 504, 507),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def upload(desk: TheDesk, who: Operator, folder: _FolderId, path: str, request: Request) -> Uploaded:
    """Drop a file: the body is the file as it is, `path` its name below the inbox, bytes percent-encoded.

    It is visible in the inbox, under this name or with a number in it, only when all of it has come.
    """
    del path  # decoded by the server, which loses bytes that are no UTF-8
    found = _found(desk, folder)
    _, _, raw = bytes(request.scope["raw_path"]).partition(b"/files/")
    told = request.headers.get("content-length")
    size = int(told) if told is not None and told.isdecimal() else None
    uploaded = await desk.uploads.receive(found, name_of(raw), request.stream(), size=size, who=who)
    desk.pulse.forget()
    return uploaded


async def _switched(desk: Desk, who: Person, folder: str, command: str) -> Folder:
    found = _found(desk, folder)
    place = desk.config.state_dir / "control.sock"
    await ask(place, command, timeout=_SECONDS, folder=found.id, user=who.name, address=who.address)
    desk.pulse.forget()
    moment = await desk.pulse.moment()
    return next(each for each in await folders_of(desk, moment.report) if each.id == found.id)


def _found(desk: Desk, folder: str) -> FolderConfig:
    for each in desk.config.folders:
        if each.id == folder:
            return each
    raise DeclinedError(404, "not_found", f"there is no folder {folder!r}")
