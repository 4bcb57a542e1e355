"""The JSON Schema of a configuration file, for editors. Made from the classes; the loader is the authority."""

from __future__ import annotations

import ast
import inspect
import itertools
import json
import textwrap
from typing import Any

from srwatchd.config.schema import Config, Defaults, FolderSettings
from srwatchd.config.section import Section

__all__ = ["descriptions", "schema_text"]


def schema_text() -> str:
    """The schema (draft 2020-12) as text, the same at every call.

    It knows what a single value may be, not how values fit together, and it asks of a folder only what ``defaults``
    cannot give.
    """
    schema = Config.model_json_schema()
    folder = schema["$defs"]["Folder"]
    folder["required"] = [key for key in folder["required"] if key not in Defaults.model_fields]
    sections = {each.__name__: each for each in Section.__subclasses__() + FolderSettings.__subclasses__()}
    for name, section in ((Config.__name__, schema), *schema["$defs"].items()):
        described = descriptions(sections[name])
        for key, value in section["properties"].items():
            _tidy(value, described.get(key))
    top = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "srwatchd configuration"}
    return json.dumps(top, indent=2, sort_keys=True) + "\n"


def descriptions(section: type[Section]) -> dict[str, str]:
    """The text that follows each key of the class in its source, as documentation tools read it.

    Pydantic can do that, but reads the source of every class whenever it is imported.
    """
    found = {}
    for each in reversed(section.__mro__):
        if issubclass(each, Section):
            definition = ast.parse(textwrap.dedent(inspect.getsource(each))).body[0]
            for key, text in itertools.pairwise(definition.body if isinstance(definition, ast.ClassDef) else ()):
                match key, text:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(said))):
                        found[name] = inspect.cleandoc(said)
    return found


def _tidy(value: dict[str, Any], description: str | None) -> None:
    """Leave out the titles, which repeat the keys, and placeholders for defaults that follow from other keys.

    The description of the key stands above that of its kind; versions of pydantic differ there.
    """
    value.pop("title", None)
    if description is not None:
        value["description"] = description
        if description.startswith("Default:"):
            value.pop("default", None)
