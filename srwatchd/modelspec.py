"""What is known about a model without loading it, and whether its files are still those. Free of the configuration."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from srwatchd.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Colour", "Layout", "ModelSpec", "verify_file"]

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

    onnx: Path | None = None
    onnx_sha256: str = ""
    training_data: str = ""
    trained_at_commit: str = ""

    @property
    def channels(self) -> int:
        """The planes of its input and of its output: 1 of luma, else 3."""
        return 1 if self.input_colour == "y" else _COLOURS

    @property
    def reference(self) -> dict[str, Any]:
        """All that another process needs to run it, as plain data; the inverse is :meth:`of`."""
        fields = asdict(replace(self, scores={}, licence="", training_data=""))
        return {"model": {**fields, "path": str(self.path), "onnx": None if self.onnx is None else str(self.onnx)}}

    @classmethod
    def of(cls, reference: Mapping[str, Any]) -> Self:
        """The model of a :attr:`reference` that has gone through JSON, without its scores and its origin."""
        given = reference["model"].items()
        fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in given}
        onnx = None if fields["onnx"] is None else Path(fields["onnx"])
        return cls(**{**fields, "path": Path(fields["path"]), "onnx": onnx})


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
