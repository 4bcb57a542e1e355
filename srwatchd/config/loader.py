"""From a file to a :class:`Config`, or to every problem of the file at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from srwatchd.config.complaints import complaint
from srwatchd.config.context import Context
from srwatchd.config.document import key_text, read_document
from srwatchd.config.implied import with_implied
from srwatchd.config.places import findings
from srwatchd.config.programs import missing_programs
from srwatchd.config.schema import Config, Defaults
from srwatchd.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from srwatchd.config.document import KeyPath

__all__ = ["load", "merge"]


def load(path: str | os.PathLike[str]) -> Config:
    """The configuration in the YAML file ``path``; relative paths in it begin at the file's own folder.

    Raises :class:`ConfigurationError` with every problem, in the order of the lines: the text's, each key's, and what
    does not fit together. Models that do not exist are no problem here; see
    :func:`srwatchd.config.models.missing_models`. Nothing is made or changed.
    """
    file = Path(path).absolute()
    document = read_document(file)
    problems = list(document.problems)
    if document.data is not None and not isinstance(document.data, dict):
        problems.append(Problem(str(file), 1, "(file)", "must be a mapping of keys; begin with folders:"))
    elif document.data is not None:
        data, origins = merge(document.data)
        data, implied = with_implied(data)
        context = Context(file, document.lines, {**origins, **implied})
        config, found = _validate(data, context)
        problems += found
        if config is not None and not problems:
            return config
    raise ConfigurationError(tuple(sorted(dict.fromkeys(problems), key=lambda each: each.line)))


def _validate(data: dict[str, Any], context: Context) -> tuple[Config | None, list[Problem]]:
    config, complaints = None, []
    try:
        config = Config.model_validate(data, context=context)
    except ValidationError as error:
        complaints = [(each["loc"], complaint(each)) for each in error.errors(include_url=False)]
    found = (*findings(data, context.directory), *missing_programs(data))
    complaints += [(each.path, each.message) for each in found]
    return config, [_problem(path, message, context) for path, message in complaints]


def _problem(path: KeyPath, message: str, context: Context) -> Problem:
    written, line = context.where(path)
    return Problem(str(context.file), line, key_text(written), message)


def merge(data: Mapping[str, Any]) -> tuple[dict[str, Any], dict[KeyPath, KeyPath]]:
    """``data`` with ``defaults`` put under every folder, section by section, and where each such value is written.

    A list is a value: a folder's own replaces the default one.
    """
    defaults, folders = data.get("defaults"), data.get("folders")
    origins: dict[KeyPath, KeyPath] = {}
    if not isinstance(defaults, dict) or not isinstance(folders, tuple):
        return dict(data), origins
    usable = {key: value for key, value in defaults.items() if key in Defaults.model_fields}
    merged = tuple(
        _under(folder, usable, ("folders", index), ("defaults",), origins) if isinstance(folder, dict) else folder
        for index, folder in enumerate(folders)
    )
    return {**data, "folders": merged}, origins


def _under(
    own: dict[str, Any], defaults: dict[str, Any], path: KeyPath, origin: KeyPath, origins: dict[KeyPath, KeyPath]
) -> dict[str, Any]:
    result = dict(own)
    for key, value in defaults.items():
        mine = own.get(key)
        if key not in own or (mine is None and isinstance(value, dict)):
            result[key] = value
            origins[*path, key] = (*origin, key)
        elif isinstance(mine, dict) and isinstance(value, dict):
            result[key] = _under(mine, value, (*path, key), (*origin, key), origins)
    return result
