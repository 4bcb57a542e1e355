"""The manifest of imported models as text: written here, read by :func:`srwatchd.config.models.read_manifest`."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable

    from srwatchd.config.models import ModelSpec

__all__ = ["entry_of", "manifest_text"]

_HEADING: Final = "# Written by `srwatchd models import` and `remove`; do not edit by hand.\n"
_NEEDED: Final = frozenset({"receptive_radius", "parameters", "macs_per_input_pixel", "input_layout", "output_layout"})


def manifest_text(models: Iterable[ModelSpec]) -> str:
    """The manifest of ``models``, their files beside it, in the order of their names: equal models, equal text."""
    entries = [entry_of(spec) for spec in sorted(models, key=lambda each: each.name)]
    return _HEADING + yaml.safe_dump({"version": 1, "models": entries}, sort_keys=False, allow_unicode=True, width=120)


def entry_of(spec: ModelSpec) -> dict[str, Any]:
    """The model as its manifest has it: plain data, its files by name; :class:`ManifestEntry` is the way back."""
    entry: dict[str, Any] = {}
    for each in fields(spec):
        value = getattr(spec, each.name)
        if each.name == "path":
            entry["file"] = spec.path.name
        elif each.name == "onnx":
            entry |= {} if spec.onnx is None else {"onnx": spec.onnx.name}
        elif value or each.name in _NEEDED:
            entry[each.name] = _plain(value)
    return entry


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in sorted(value.items())}
    return value
