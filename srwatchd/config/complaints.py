"""What pydantic objects to, in the words of somebody who has to correct a file."""

from __future__ import annotations

import difflib
import functools
import typing
from typing import TYPE_CHECKING, Any

from srwatchd.config.document import key_text
from srwatchd.config.schema import Config
from srwatchd.config.section import Section

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from srwatchd.config.document import KeyPath

__all__ = ["complaint", "section_at"]

_KINDS = {
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text; put it in quotes",
    "model_type": "must be a mapping of keys",
    "tuple_type": "must be a list",
}
_RELATIONS = {
    "greater_than": "more than",
    "greater_than_equal": "at least",
    "less_than": "less than",
    "less_than_equal": "at most",
}


def complaint(error: ErrorDetails) -> str:
    """One line: what is wrong with the value, and what to write instead."""
    kind, given, path = error["type"], error["input"], tuple(error["loc"])
    limit = next(iter(error.get("ctx", {}).values()), None)
    match kind:
        case "missing":
            message = "is required; add it"
        case "value_error":
            message = str(limit)
        case "extra_forbidden":
            message = _unknown(path)
        case "literal_error":
            message = _choice(path, given)
        case "string_pattern_mismatch":
            message = f"{_short(given)} has a character or a length that is not allowed; it must match {limit}"
        case _ if kind in _RELATIONS:
            message = f"must be {_RELATIONS[kind]} {limit}, not {_short(given)}"
        case _:
            message = f"{_KINDS.get(kind, error['msg'])}, not {_short(given)}"
    return message


def _short(value: object) -> str:
    if value is None:
        return "nothing"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 - a line of a terminal


def _choice(path: KeyPath, given: object) -> str:
    section = section_at(path[:-1])
    allowed: tuple[Any, ...] = typing.get_args(section.model_fields[str(path[-1])].annotation) if section else ()
    close = difflib.get_close_matches(str(given), map(str, allowed), n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"must be one of {', '.join(map(str, allowed))}, not {_short(given)}{hint}"


def _unknown(path: KeyPath) -> str:
    name = str(path[-1])
    section = section_at(path[:-1])
    close = difflib.get_close_matches(name.lower(), section.model_fields if section else (), n=1)
    if close:
        return f"is not a known key; did you mean {close[0]}?"
    places = _places().get(name)
    if places:
        return f"is not a known key here; it belongs to {' or '.join(places)}"
    return "is not a known key; remove it"


def section_at(path: KeyPath) -> type[Section] | None:
    """The class of the section that stands at ``path``, or None when nothing of the kind does."""
    section: type[Section] | None = Config
    for part in path:
        if isinstance(part, int):
            continue
        if section is None or part not in section.model_fields:
            return None
        section = _section_of(section.model_fields[part].annotation)
    return section


def _section_of(annotation: Any) -> type[Section] | None:
    for candidate in (annotation, *typing.get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, Section):
            return candidate
    return None


@functools.cache
def _places() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}

    def walk(section: type[Section], path: KeyPath) -> None:
        """Take in every key of ``section`` and of the sections in it."""
        for name, info in section.model_fields.items():
            found.setdefault(name, []).append(key_text(path) if path else "the top of the file")
            if below := _section_of(info.annotation):
                walk(below, (*path, name))

    walk(Config, ())
    return found
