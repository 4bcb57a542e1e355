"""Options that several commands share."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["config_option", "console", "folder_option", "json_option", "print_json"]

_PLAIN_WIDTH: Final = 120

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


def console() -> Console:
    """Where tables are printed: as wide as the terminal, 120 columns elsewhere."""
    from rich.console import Console  # noqa: PLC0415 - only where a table is printed

    return Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
