"""/api/v1/models: what there is, whether it is what it should be, and new ones."""

import asyncio
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect, Request

from srwatchd.config import Config, ModelSpec, data_path, find_models, verify_file
from srwatchd.console.access import Operator, Viewer
from srwatchd.console.desk import Desk, TheDesk
from srwatchd.console.modelshapes import Import, ImportStarted, Model, ModelCheck, ModelDetail, Models
from srwatchd.console.refusals import DeclinedError, documented
from srwatchd.console.uploads import pieces
from srwatchd.errors import ModelError
from srwatchd.intake.names import display

__all__ = ["router"]

router = APIRouter(prefix="/api/v1/models", tags=["models"])
_CARDS: Final = {"fsrcnn": "FSRCNN.md", "espcn": "ESPCN.md", "lapsrn": "LapSRN.md", "edsr": "EDSR.md"}
_LARGEST_CARD: Final = 1 << 16
_Name = Annotated[str, Path(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", description="The model's name.")]


class _Wished(BaseModel):
    """The query of an import: what is known about the file. The rest is recognised or found out."""

    model_config = ConfigDict(extra="forbid")

    filename: Annotated[str, Field(min_length=1, max_length=255, description="What the file is called.")] = "model"
    name: Annotated[str | None, Field(min_length=1, max_length=64, description="What the model shall be called.")] = (
        None
    )
    architecture: Annotated[str | None, Field(pattern="^[a-z0-9_]{1,32}$", description="Of an unknown .pb.")] = None
    scale: Annotated[int | None, Field(ge=2, le=16)] = None
    sha256: Annotated[str | None, Field(pattern="^[0-9a-fA-F]{64}$", description="Refuse any other file.")] = None


@router.get("", responses=documented(401, 409))
async def models(desk: TheDesk, _who: Viewer) -> Models:
    """All models: those that come with srwatchd, and imported ones."""
    found = await _found(desk)
    return Models(models=[Model(**_facts(spec, desk.config)) for spec in found.values()])


@router.get("/{name}", responses=documented(401, 404, 409))
async def model(desk: TheDesk, _who: Viewer, name: _Name) -> ModelDetail:
    """One model, with the page about its family."""
    spec = await _one(desk, name)
    card = await asyncio.to_thread(_card, spec)
    return ModelDetail(**_facts(spec, desk.config), card=card)


@router.post("/{name}/verify", responses=documented(401, 403, 404, 409))
async def verify(desk: TheDesk, _who: Operator, name: _Name) -> ModelCheck:
    """Compare a model's files with their recorded checksums, as `srwatchd models verify` does."""
    spec = await _one(desk, name)
    try:
        await asyncio.to_thread(verify_file, spec)
    except ModelError as error:
        return ModelCheck(name=name, ok=False, message=display(error.message))
    return ModelCheck(name=name, ok=True, message="")


@router.post(
    "",
    status_code=202,
    responses=documented(400, 401, 403, 408, 409, 413, 422, 503, 507),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def import_model(
    desk: TheDesk, _who: Operator, request: Request, asked: Annotated[_Wished, Query()]
) -> ImportStarted:
    """Begin to import the model (.pb, .onnx) or bundle (.tar) in the body, as `srwatchd models import` does.

    It is tried in confined workers before it is kept; `imports/{import}` says how that goes on.
    """
    told = request.headers.get("content-length", "")
    wishes = {key: value for key, value in asked.model_dump(exclude={"filename"}).items() if value is not None}
    body = pieces(request.stream())
    try:
        size = int(told) if told.isdecimal() else None
        number = await desk.imports.start(asked.filename, body, wishes, size=size)
    except ClientDisconnect:
        raise DeclinedError(400, "upload_broken", "the upload of the model ended too early") from None
    return ImportStarted(id=number)


@router.get("/imports/{number}", responses=documented(401, 404))
async def one_import(
    desk: TheDesk, _who: Viewer, number: Annotated[str, Path(pattern="^[0-9a-f]{16}$", description="The import's id.")]
) -> Import:
    """The steps of an import, and its outcome. Forgotten when the console ends."""
    return desk.imports.find(number)


async def _found(desk: Desk) -> dict[str, ModelSpec]:
    return await asyncio.to_thread(find_models, desk.config.models_dir)


async def _one(desk: Desk, name: str) -> ModelSpec:
    found = await _found(desk)
    if name not in found:
        raise DeclinedError(404, "model_missing", f"there is no model {name!r}")
    return found[name]


def _facts(spec: ModelSpec, config: Config) -> dict[str, Any]:
    return {
        "name": spec.name,
        "scale": spec.scale,
        "architecture": display(spec.architecture),
        "parameters": spec.parameters,
        "licence": display(spec.licence) or None,
        "sha256": spec.sha256,
        "origin": "shipped" if spec.path.parent == data_path("models") else "imported",
        "folders": [folder.id for folder in config.folders if folder.model == spec.name],
        "size": display(spec.size),
        "scores": {display(name): _numbers(each) for name, each in spec.scores.items() if isinstance(each, dict)},
        "engines": list(spec.engines),
        "source": display(spec.source),
    }


def _numbers(measured: dict[str, Any]) -> dict[str, float]:
    return {display(str(key)): float(value) for key, value in measured.items() if isinstance(value, int | float)}


def _card(spec: ModelSpec) -> str | None:
    name = _CARDS.get(spec.architecture)
    if name is None or spec.path.parent != data_path("models"):
        return None
    try:
        with data_path("models", name).open(encoding="utf-8") as file:
            return file.read(_LARGEST_CARD)
    except OSError:
        return None
