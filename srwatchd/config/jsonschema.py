"""The JSON Schema of a configuration file, for editors. Made from the classes; the loader is the authority."""

from __future__ import annotations

import json
from typing import Any

from srwatchd.config.schema import Config, Defaults

__all__ = ["schema_text"]


def schema_text() -> str:
    """The schema (draft 2020-12) as text, the same at every call.

    It knows what a single value may be, not how values fit together, and it asks of a folder only what ``defaults``
    cannot give.
    """
    schema = Config.model_json_schema()
    folder = schema["$defs"]["Folder"]
    folder["required"] = [key for key in folder["required"] if key not in Defaults.model_fields]
    for section in (schema, *schema["$defs"].values()):
        for value in section["properties"].values():
            _tidy(value)
    top = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "srwatchd configuration"}
    return json.dumps(top, indent=2, sort_keys=True) + "\n"


def _tidy(value: dict[str, Any]) -> None:
    """Leave out the titles, which repeat the keys, and placeholders for defaults that follow from other keys."""
    value.pop("title", None)
    if str(value.get("description", "")).startswith("Default:"):
        value.pop("default", None)
