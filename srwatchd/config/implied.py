"""The hot folders that a configuration implies: one for each model that ``POST /api/v1/upscale`` offers.

An ordinary folder in every respect, but for what would make somebody wait who is on the line: no time to settle (files
appear in it by a rename), no active hours, no patterns, no marker. What nobody fetched is removed after a day.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from srwatchd.config.kinds import ID_PATTERN, MODEL_PATTERN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from srwatchd.config.document import KeyPath

__all__ = ["implied_id", "with_implied"]

_KEYS: Final = ("console", "upscale", "models")
_KEPT: Final = 25
_WEIGHT: Final = 4
_AT_ONCE: Final = 0.001
_FROM_DEFAULTS: Final = ("output", "limits", "retry", "min_free", "max_size")
_LEFT_OVER: Final = {"max_age": "1 d"}


def implied_id(model: str) -> str:
    """The id of the folder behind ``POST /api/v1/upscale?model=MODEL``: its name, as far as an id may hold it."""
    plain = f"upscale-{model}"
    if re.fullmatch(ID_PATTERN, plain):
        return plain
    kept = re.sub(r"[^a-z0-9_-]", "-", plain.lower())[:_KEPT]
    return f"{kept}-{hashlib.sha256(model.encode('ascii')).hexdigest()[:6]}"


def with_implied(data: Mapping[str, Any]) -> tuple[dict[str, Any], dict[KeyPath, KeyPath]]:
    """``data`` with the implied folders behind its own, and where each of them is written.

    Anything that is not as it should be is left to validation.
    """
    folders = data.get("folders")
    if not isinstance(folders, tuple) or not folders:
        return dict(data), {}
    implied: list[dict[str, Any]] = []
    origins: dict[KeyPath, KeyPath] = {}
    for model, where in _models(data):
        place: KeyPath = ("folders", len(folders) + len(implied))
        origins |= {place: where, (*place, "id"): where, (*place, "model"): where}
        implied.append(_folder(data, model))
    return {**data, "folders": (*folders, *implied)}, origins


def _models(data: Mapping[str, Any]) -> Iterator[tuple[str, KeyPath]]:
    """Each model once, and where it is named."""
    value: Any = data
    for key in _KEYS:
        value = value.get(key) if isinstance(value, dict) else None
    names = value if isinstance(value, tuple) else (value,)
    seen = set()
    for index, name in enumerate(names):
        if isinstance(name, str) and re.fullmatch(MODEL_PATTERN, name) and name not in seen:
            seen.add(name)
            yield name, (*_KEYS, index) if isinstance(value, tuple) else _KEYS


def _folder(data: Mapping[str, Any], model: str) -> dict[str, Any]:
    state = data.get("state_dir", "var")
    place = Path(state if isinstance(state, str | Path) else "var") / "console" / "upscale" / model
    defaults = data.get("defaults")
    known = {key: defaults[key] for key in _FROM_DEFAULTS if key in defaults} if isinstance(defaults, dict) else {}
    return {
        **known,
        "id": implied_id(model),
        "model": model,
        "inbox": place / "in",
        "done": place / "done",
        "error": place / "error",
        "archive": place / "archive",
        "on_success": "delete",
        "weight": _WEIGHT,
        "settle": _AT_ONCE,
        "grace": _AT_ONCE,
        "retention": {"done": _LEFT_OVER, "error": _LEFT_OVER},
    }
