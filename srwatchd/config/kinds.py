"""The kinds of value a configuration holds: how each is checked, and how the JSON Schema describes it."""

from __future__ import annotations

import os
import re
import string
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema

from srwatchd.config.units import (
    ActiveHours,
    parse_active_hours,
    parse_directory_mode,
    parse_duration,
    parse_file_mode,
    parse_pixels,
    parse_size,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "ID_PATTERN",
    "TEMPLATE_FIELDS",
    "Colour",
    "DirectoryMode",
    "Duration",
    "FileMode",
    "Group",
    "Hours",
    "Identifier",
    "ModelName",
    "OptionalDuration",
    "OptionalPlacePath",
    "OptionalSize",
    "Patterns",
    "Pixels",
    "PlacePath",
    "Program",
    "Size",
    "Template",
    "resolve",
]

ID_PATTERN: Final = r"^[a-z0-9][a-z0-9_-]{0,31}$"
MODEL_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
TEMPLATE_FIELDS: Final = ("stem", "name", "ext", "scale", "model", "folder", "width", "height", "date")
"""What a file name template may hold in braces. ``stem`` and ``ext`` are the two halves of the source's ``name``,
``width`` and ``height`` the result's."""

_LONGEST_TEMPLATE: Final = 200
_COLOURS: Final = {"white": (255, 255, 255), "black": (0, 0, 0), "grey": (128, 128, 128), "gray": (128, 128, 128)}


def resolve(value: str | Path, base: Path) -> Path:
    """``value`` as an absolute path, relative ones from ``base``. Neither ``~`` nor ``$NAME`` is expanded.

    ``..`` is followed as the kernel follows it, through links, so that it does not stay in the result.
    """
    path = base.absolute() / value
    return Path(os.path.realpath(path)) if ".." in path.parts else path


def _path(value: object, info: ValidationInfo) -> Path:
    if not isinstance(value, str | Path) or not str(value).strip():
        raise ValueError("must be a path; write a file system path as text")
    if "\0" in str(value):
        raise ValueError("must not hold a NUL character; remove it")
    return resolve(value, Path(info.context.directory if info.context is not None else os.curdir))


def _optional_path(value: object, info: ValidationInfo) -> Path | None:
    return None if value is None or value is False or value in ("off", "none") else _path(value, info)


def _program(value: object) -> tuple[str, ...]:
    """A command as a list of words; no shell ever sees it, so the program is named by its absolute path."""
    if not isinstance(value, tuple | list) or not all(isinstance(word, str) and "\0" not in word for word in value):
        raise ValueError('must be a list of words; write for example [/usr/local/bin/notify, "--brief"]')
    if value and not str(value[0]).startswith("/"):
        raise ValueError(f"{value[0]!r} is no absolute path; write the whole path of the program, as there is no shell")
    return tuple(value)


def _off(parse: Callable[[object], object]) -> Callable[[object], object]:
    """``parse``, with null, ``off`` and ``none`` for "no limit"."""

    def parse_or_off(value: object) -> object:
        """None for what says that it is off, else what ``parse`` makes of it."""
        return None if value is None or value is False or value in ("off", "none") else parse(value)

    return parse_or_off


def _written(parse: Callable[[object], int]) -> Callable[[object, ValidationInfo], int]:
    """``parse`` for a mode. The digits in a file are octal, with or without a leading zero, as for chmod."""

    def parse_written(value: object, info: ValidationInfo) -> int:
        """The mode; the digits in a file are octal, although YAML has made a number of them."""
        return parse(str(value) if info.context is not None and type(value) is int else value)

    return parse_written


def _patterns(value: object) -> tuple[str, ...]:
    items = (value,) if isinstance(value, str) else value
    if not isinstance(items, tuple | list) or not all(isinstance(item, str) and item.strip() for item in items):
        raise ValueError('must be a list of name patterns; write for example ["*.png", "scans/*"]')
    return tuple(items)


def _hours(value: object) -> tuple[ActiveHours, ...]:
    items = value if isinstance(value, tuple | list) else (value,)
    return tuple(parse_active_hours(item) for item in items)


def _template(value: object) -> str:
    known = " ".join(f"{{{name}}}" for name in TEMPLATE_FIELDS)
    if not isinstance(value, str):
        raise ValueError("must be text; write for example {stem}_x{scale}")  # noqa: TRY004 - a problem of the value
    try:
        parts = list(string.Formatter().parse(value))
    except ValueError as error:
        raise ValueError(f"{value!r} is no template: {error}; known are {known}") from None
    used = [name for _, name, _, _ in parts if name is not None]
    for _, name, form, conversion in parts:
        if name is not None and (name not in TEMPLATE_FIELDS or form or conversion):
            raise ValueError(f"{value!r} holds {{{name}}} with an unknown name or a format; known are {known}")
    if not {"stem", "name"} & set(used):
        raise ValueError(f"{value!r} gives every picture the same name; it must contain {{stem}} or {{name}}")
    text = "".join(literal for literal, _, _, _ in parts)
    if re.search(r"[/\x00-\x1f\x7f]", text) or value.startswith((".", " ")):
        raise ValueError(f"{value!r} must not hold a slash or a control character, nor begin with a dot or a space")
    if len(os.fsencode(value)) > _LONGEST_TEMPLATE:
        raise ValueError(f"is longer than {_LONGEST_TEMPLATE} bytes; shorten it")
    return value


def _colour(value: object) -> tuple[int, int, int]:
    if isinstance(value, str) and value.lower() in _COLOURS:
        return _COLOURS[value.lower()]
    if isinstance(value, str) and re.fullmatch("#[0-9A-Fa-f]{6}", value):
        value = tuple(bytes.fromhex(value[1:]))
    if isinstance(value, tuple | list) and len(value) == 3:  # noqa: PLR2004 - red, green, blue
        red, green, blue = value
        if all(type(part) is int and 0 <= part <= 255 for part in value):  # noqa: PLR2004 - 8 bit
            return red, green, blue
    raise ValueError(f'{value!r} is no colour; write white, black, grey, "#rrggbb" in quotes, or [red, green, blue]')


def _group(value: object) -> object:
    return str(value) if type(value) is int and value >= 0 else value


def _text(description: str, *examples: object, number: bool = False, null: bool = False) -> WithJsonSchema:
    kinds = ["string", *(["number"] if number else []), *(["null", "boolean"] if null else [])]
    return WithJsonSchema({"type": kinds, "description": description, "examples": list(examples)})


_SIZE: Final = "A size in bytes, or a number with kB MB GB TB (1000) or KiB MiB GiB TiB (1024)."
_DURATION: Final = "A duration in seconds, or a number with ms, s, min, h, d or w."

Size = Annotated[int, BeforeValidator(parse_size), _text(_SIZE, "1GiB", 65536, number=True)]
OptionalSize = Annotated[
    Annotated[int, Field(gt=0)] | None,
    BeforeValidator(_off(parse_size)),
    _text(_SIZE, "50 GiB", number=True, null=True),
]
Pixels = Annotated[
    int,
    BeforeValidator(parse_pixels),
    Field(ge=1),
    _text("A number of pixels, with k, M or G (powers of 1000).", "250 M", number=True),
]
Duration = Annotated[float, BeforeValidator(parse_duration), _text(_DURATION, "10 s", "15min", number=True)]
OptionalDuration = Annotated[
    Annotated[float, Field(gt=0)] | None,
    BeforeValidator(_off(parse_duration)),
    _text(_DURATION, "30 d", number=True, null=True),
]
FileMode = Annotated[
    int, BeforeValidator(_written(parse_file_mode)), _text("Permission bits in octal.", "0664", number=True)
]
DirectoryMode = Annotated[
    int, BeforeValidator(_written(parse_directory_mode)), _text("Permission bits in octal.", "2775", number=True)
]
PlacePath = Annotated[
    Path,
    BeforeValidator(_path),
    WithJsonSchema({"type": "string", "minLength": 1, "description": "A path; relative ones from this file's folder."}),
]
OptionalPlacePath = Annotated[
    Path | None,
    BeforeValidator(_optional_path),
    WithJsonSchema({"type": ["string", "null", "boolean"], "description": "A path, or off."}),
]
Program = Annotated[
    tuple[str, ...],
    BeforeValidator(_program),
    WithJsonSchema(
        {"type": "array", "items": {"type": "string"}, "examples": [["/usr/local/bin/notify", "--brief"], []]}
    ),
]
Patterns = Annotated[
    tuple[str, ...],
    BeforeValidator(_patterns),
    WithJsonSchema({"type": ["array", "string"], "items": {"type": "string", "minLength": 1}}),
]
Hours = Annotated[
    tuple[ActiveHours, ...],
    BeforeValidator(_hours),
    WithJsonSchema(
        {"type": ["array", "string"], "items": {"type": "string"}, "examples": ["22:00-06:00", "mon-fri 22:00-06:00"]}
    ),
]
Template = Annotated[
    str,
    BeforeValidator(_template),
    WithJsonSchema({"type": "string", "pattern": r"\{(stem|name)\}", "maxLength": _LONGEST_TEMPLATE}),
]
Colour = Annotated[
    tuple[int, int, int],
    BeforeValidator(_colour),
    WithJsonSchema({"type": ["string", "array"], "items": {"type": "integer", "minimum": 0, "maximum": 255}}),
]
Group = Annotated[Annotated[str, Field(min_length=1)] | None, BeforeValidator(_group)]
Identifier = Annotated[str, Field(pattern=ID_PATTERN)]
ModelName = Annotated[str, Field(pattern=MODEL_PATTERN)]
