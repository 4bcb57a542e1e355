"""The registry of models: what the manifests say there is, and whether the files are the ones they speak of.

A manifest is ``manifest.yaml`` beside its model files: ``models:``, a list of entries with the keys of
:class:`ManifestEntry`. The package ships one; imported models stand in another one, in ``models_dir``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from srwatchd.config.data import data_path
from srwatchd.config.document import key_text, read_document
from srwatchd.config.kinds import ModelName
from srwatchd.config.schema import Config
from srwatchd.errors import ModelError, Problem
from srwatchd.modelspec import Colour, Layout, ModelSpec, verify_file

__all__ = [
    "MANIFEST",
    "Colour",
    "Layout",
    "ManifestEntry",
    "ModelSpec",
    "entry_spec",
    "find_models",
    "missing_models",
    "read_manifest",
    "verify_file",
]

MANIFEST: Final = "manifest.yaml"
_COLOURS: Final = 3


def _pair(value: object) -> object:
    return (0, value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _series(value: object) -> object:
    if value is None:
        return ()
    return (value,) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _joined(value: object) -> object:
    items = value if isinstance(value, tuple | list) else (value,)
    return "" if value is None else ", ".join(map(str, items))


def _plain_name(value: str) -> str:
    if "/" in value or "\0" in value or value in ("", ".", ".."):
        raise ValueError("must be the plain name of a file beside the manifest")
    return value


_FileName = Annotated[str, AfterValidator(_plain_name)]
_Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_Text = Annotated[str, BeforeValidator(_joined)]


class ManifestEntry(BaseModel):
    """One model of a manifest. Keys that are not known here are left to whoever wrote them."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)

    name: ModelName
    architecture: Annotated[str, Field(min_length=1)]
    scale: int = Field(ge=2, le=16)
    file: _FileName
    sha256: _Sha256
    onnx: _FileName | None = None
    onnx_sha256: _Sha256 | None = None
    input_colour: Colour
    input_layout: Layout = "nhwc"
    output_layout: Layout = "nchw"
    input_range: Annotated[tuple[float, float], BeforeValidator(_pair)]
    mean: Annotated[tuple[float, ...], BeforeValidator(_series)] = ()
    output_node: Annotated[str, Field(min_length=1)]
    receptive_radius: int = Field(ge=0, le=1024)
    parameters: int = Field(ge=0)
    macs_per_input_pixel: int = Field(ge=0)
    engines: tuple[str, ...] = ()
    memory_per_pixel: dict[str, Annotated[int, Field(ge=0, le=1 << 40)]] = Field(default_factory=dict)
    source: _Text = ""
    source_sha256: _Sha256 | Literal[""] = ""
    size: _Text = ""
    licence: _Text = ""
    training_data: _Text = ""
    scores: dict[str, Any] = Field(default_factory=dict)
    trained_at_commit: _Text = ""

    def spec(self, folder: Path) -> ModelSpec:
        """The model, with its files in ``folder``."""
        fields = self.model_dump(exclude={"file", "onnx", "onnx_sha256", "mean"})
        return ModelSpec(
            **fields,
            mean=() if self.input_colour == "y" else self.mean or (0.0,) * _COLOURS,
            path=folder / self.file,
            onnx=None if self.onnx is None else folder / self.onnx,
            onnx_sha256=self.onnx_sha256 or "",
        )


def entry_spec(entry: Mapping[str, Any], folder: Path) -> ModelSpec:
    """The model that the plain data ``entry`` describes, with its files in ``folder``. Raises ValidationError."""
    tuples = {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
    return ManifestEntry.model_validate(tuples).spec(folder)


def read_manifest(path: Path) -> dict[str, ModelSpec]:
    """The models of the manifest at ``path`` by name.

    Raises :class:`ModelError` ("model_unusable") with every problem of the manifest: a registry that is half
    understood might run the wrong network.
    """
    document = read_document(path)
    problems = [str(problem) for problem in document.problems]
    data = document.data
    entries = data.get("models") if isinstance(data, dict) else None
    found: dict[str, ModelSpec] = {}
    if data is not None and not isinstance(entries, tuple):
        problems.append(f"{path}:1: models: must be a list of models")
    for index, raw in enumerate(entries if isinstance(entries, tuple) else ()):
        where = ("models", index)
        try:
            entry = ManifestEntry.model_validate(raw)
        except ValidationError as error:
            for each in error.errors(include_url=False):
                at = (*where, *each["loc"])
                problems.append(f"{path}:{document.line(at)}: {key_text(at)}: {each['msg']}")
            continue
        if entry.name in found:
            problems.append(f"{path}:{document.line(where)}: {key_text(where)}: {entry.name!r} is there twice")
        if any(entry.mean) if entry.input_colour == "y" else len(entry.mean) not in (0, _COLOURS):
            at = (*where, "mean")
            message = "must have a value each for its three colours; a network of luma has none"
            problems.append(f"{path}:{document.line(at)}: {key_text(at)}: {message}")
        found[entry.name] = entry.spec(path.parent)
    if problems:
        raise ModelError("model_unusable", "\n".join(problems), hint="Correct the manifest, or restore it.")
    return found


def find_models(models_dir: Path | None) -> dict[str, ModelSpec]:
    """Every model by name: the shipped ones and those imported into ``models_dir``.

    An imported one wins over a shipped one of the same name: an update of the package that brings such a name must
    not silently change what a folder has been using. Raises what :func:`read_manifest` raises.
    """
    places = [data_path("models"), *([] if models_dir is None else [models_dir])]
    found: dict[str, ModelSpec] = {}
    for place in places:
        manifest = place / MANIFEST
        if manifest.exists():
            found.update(read_manifest(manifest))
    return found


def missing_models(config: Config, models: Mapping[str, ModelSpec]) -> list[Problem]:
    """A problem for every folder whose model is not among ``models``, where the configuration names it."""
    problems: dict[Problem, None] = {}
    for index, folder in enumerate(config.folders):
        if folder.model not in models:
            path, line = config.where("folders", index, "model")
            known = ", ".join(sorted(models)) or "none"
            message = f"there is no model {folder.model!r}; known are {known}; `srwatchd models import` adds one"
            problems[Problem(str(config.source), line, key_text(path), message)] = None
    return list(problems)
