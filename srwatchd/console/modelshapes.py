"""What the console's API says of models and their import."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from srwatchd.console.shapes import Error, Shape

__all__ = ["Import", "ImportStarted", "ImportStep", "Model", "ModelCheck", "ModelDetail", "Models"]


class Model(Shape):
    """One model of the registry."""

    name: str
    scale: int
    architecture: str
    parameters: int | None
    licence: str | None
    sha256: str
    origin: Literal["shipped", "imported"]
    folders: list[str]
    """The folders that use it."""
    size: str
    """Its variant, such as 8x32; empty where that is not known."""
    scores: dict[str, dict[str, float]]
    """By test set: ``psnr`` in dB, and what else was measured."""
    engines: list[str]
    """Those that run it right; empty: all."""
    source: str
    """Where an imported one comes from."""


class ModelDetail(Model):
    """One model with what is written about it."""

    card: str | None
    """The page about its family that comes with srwatchd, as Markdown; an imported one has none."""


class Models(Shape):
    """All models, by name."""

    models: list[Model]


class ModelCheck(Shape):
    """Whether a model's file is the recorded one and works."""

    name: str
    ok: bool
    message: str


class ImportStarted(Shape):
    """An import has begun; ask for it under ``/api/v1/models/imports/{import}``."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    id: Annotated[str, Field(alias="import")]


class ImportStep(Shape):
    """What an import is doing or has done."""

    at: str
    text: str


class Import(Shape):
    """An import of a model, and how it ended."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    id: Annotated[str, Field(alias="import")]
    state: Literal["running", "imported", "refused", "failed"]
    file: str
    steps: list[ImportStep]
    model: str | None = None
    error: Error | None = None
