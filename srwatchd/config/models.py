"""The registry of models: what the manifests say there is, and whether the files are the ones they speak of.

A manifest is ``manifest.yaml`` beside its model files: ``models:``, a list of entries with the keys of
:class:`ManifestEntry`. The package ships one; imported models stand in another one, in ``models_dir``.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from srwatchd.config.data import data_path
from srwatchd.config.document import key_text, read_document
from srwatchd.config.kinds import ModelName
from srwatchd.config.schema import Config
from srwatchd.errors import ModelError, Problem

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

Colour = Literal["y", "bgr", "rgb"]
"""What the planes of a network are: luma alone, or three colours in this order."""

Layout = Literal["nhwc", "nchw"]
"""Whether the planes of a picture lie side by side (channels last) or one after another."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What is known about a model without loading it.

    ``input_range`` is what black and white become at the network's input, before ``mean`` (empty for ``y``, else
    one value for each plane in the order of ``input_colour``) is subtracted. ``receptive_radius`` is in input pixels.
    ``size`` names the variant, such as ``8x32``. ``scores`` is decibels by test set, as the manifest has them.
    ``engines`` are those that run it right (none named: all), ``memory_per_pixel`` is measured bytes per input pixel
    by engine. ``source`` and ``source_sha256`` tell of the file that an imported model was made from.
    """

    name: str
    architecture: str
    scale: int
    path: Path
    sha256: str
    input_colour: Colour
    input_range: tuple[float, float]
    mean: tuple[float, ...]
    output_node: str
    receptive_radius: int
    parameters: int
    macs_per_input_pixel: int
    input_layout: Layout = "nhwc"
    output_layout: Layout = "nchw"
    engines: tuple[str, ...] = ()
    memory_per_pixel: Mapping[str, int] = field(default_factory=dict, hash=False)
    source: str = ""
    source_sha256: str = ""
    size: str = ""
    licence: str = ""
    scores: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def reference(self) -> dict[str, str]:
        """By what another process finds it again: the name in a manifest, which lies beside the file, and the hash."""
        return {"model": self.name, "manifest": str(self.path.parent / MANIFEST), "sha256": self.sha256}

    onnx: Path | None = None
    onnx_sha256: str = ""
    training_data: str = ""
    trained_at_commit: str = ""

    @property
    def channels(self) -> int:
        """The planes of its input and of its output: 1 of luma, else 3."""
        return 1 if self.input_colour == "y" else _COLOURS


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


def verify_file(spec: ModelSpec) -> None:
    """Compare the files of ``spec`` (its ONNX twin too, when it has one) with their recorded sha256.

    Raises :class:`ModelError`: "model_missing" when one cannot be read, "model_altered" when one differs.
    """
    _verify(spec.name, spec.path, spec.sha256)
    if spec.onnx is not None:
        _verify(spec.name, spec.onnx, spec.onnx_sha256)


def _verify(name: str, path: Path, sha256: str) -> None:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError("model_missing", f"model {name}: {str(path)!r} cannot be read: {error.strerror}") from error
    if found != sha256:
        raise ModelError("model_altered", f"model {name}: {str(path)!r} has sha256 {found}, recorded is {sha256}")


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
