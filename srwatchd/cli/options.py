"""Options that several commands share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

__all__ = ["config_option", "folder_option", "json_option", "print_json"]

config_option = click.option(
    "--config",
    "config_path",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The configuration (YAML).",
)
folder_option = click.option("--folder", "folder_id", metavar="ID", help="Only this folder.")
json_option = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")


def print_json(value: Any) -> None:
    """One JSON value on standard output; names that are no text stay readable as escapes."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=True))
