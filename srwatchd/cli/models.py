"""models: what there is, and whether it is what it should be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from srwatchd.cli.modelcarry import export_models, import_model, remove_model
from srwatchd.cli.options import console, json_option, print_json
from srwatchd.config import data_path, find_models, load, verify_file
from srwatchd.errors import ModelError

if TYPE_CHECKING:
    from srwatchd.config import ModelSpec

__all__ = ["models"]

_config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A configuration whose models_dir is looked at, too.",
)


@click.group(epilog="Example: srwatchd models list")
def models() -> None:
    """The models: those that come with srwatchd, and imported ones."""


models.add_command(import_model)
models.add_command(export_models)
models.add_command(remove_model)


@models.command(name="list", epilog="Example: srwatchd models list --json")
@_config_option
@json_option
def list_models(config_path: Path | None, as_json: bool) -> None:
    """List every model with its scale, size and scores."""
    found = _found(config_path)
    if as_json:
        print_json([_plain(spec) for spec in found.values()])
        return
    table = Table()
    for heading in ("name", "architecture", "scale", "size", "parameters", "Set5 dB", "Kodak dB"):
        table.add_column(heading)
    for spec in found.values():
        scores = [f"{spec.scores[each]['psnr']:.2f}" if each in spec.scores else "" for each in ("Set5", "Kodak")]
        row = (spec.name, spec.architecture, f"x{spec.scale}", spec.size, f"{spec.parameters:,}", *scores)
        table.add_row(*row)
    console().print(table)


@models.command(epilog="Example: srwatchd models verify")
@_config_option
@json_option
@click.pass_context
def verify(ctx: click.Context, config_path: Path | None, as_json: bool) -> None:
    """Compare every model file with its recorded sha256. Exit status 0, or 4 when one is missing or altered."""
    results = []
    for spec in _found(config_path).values():
        try:
            verify_file(spec)
            results.append({"name": spec.name, "ok": True, "message": ""})
        except ModelError as error:
            results.append({"name": spec.name, "ok": False, "message": error.message})
    if as_json:
        print_json(results)
    else:
        for each in results:
            click.echo(f"{each['name']}: {'as recorded' if each['ok'] else each['message']}")
    ctx.exit(0 if all(each["ok"] for each in results) else 4)


def _found(config_path: Path | None) -> dict[str, ModelSpec]:
    return find_models(None if config_path is None else load(config_path).models_dir)


def _plain(spec: ModelSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "architecture": spec.architecture,
        "scale": spec.scale,
        "size": spec.size,
        "parameters": spec.parameters,
        "macs_per_input_pixel": spec.macs_per_input_pixel,
        "file": str(spec.path),
        "sha256": spec.sha256,
        "licence": spec.licence,
        "origin": "shipped" if spec.path.parent == data_path("models") else "imported",
        "source": spec.source,
        "engines": list(spec.engines),
        "scores": dict(spec.scores),
    }
