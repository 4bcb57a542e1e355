"""models import, export and remove: carrying models from box to box."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from rich.table import Table

from srwatchd.cli.options import config_option, console, json_option, print_json
from srwatchd.config import data_path, find_models, load
from srwatchd.config.publicmodels import FAMILIES
from srwatchd.errors import RefusedError
from srwatchd.storage import STAGING_PREFIX, fsync_directory, host_errors

if TYPE_CHECKING:
    from srwatchd.config import Config, ModelSpec
    from srwatchd.daemon.modelimport import Imported

__all__ = ["export_models", "import_model", "remove_model"]

_COLOURS: Final = 3


def _two_numbers(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[float, float] | None:
    """``0..255``."""
    if value is None:
        return None
    low, dots, high = value.partition("..")
    with contextlib.suppress(ValueError):
        if dots and float(low) < float(high):
            return float(low), float(high)
    raise click.BadParameter(f"{value!r} is not two numbers as in 0..255")


def _three_numbers(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[float, ...] | None:
    """``103.15,111.56,114.36``."""
    if value is None:
        return None
    with contextlib.suppress(ValueError):
        numbers = tuple(float(each) for each in value.split(","))
        if len(numbers) == _COLOURS:
            return numbers
    raise click.BadParameter(f"{value!r} is not three numbers with commas between")


@click.command(name="import", epilog="Example: srwatchd models import net.onnx --config srwatchd.yaml")
@click.argument("file", type=click.Path(path_type=Path))
@config_option
@click.option("--name", help="What it is called; else as the file, in lower case.")
@click.option("--architecture", type=click.Choice(tuple(FAMILIES)), help="Of a .pb file that is not recognised.")
@click.option("--scale", type=click.IntRange(2, 16), help="How many times it enlarges.")
@click.option("--sha256", "sha256", metavar="H", help="Refuse the file unless it has this checksum.")
@click.option("--colour", type=click.Choice(("y", "rgb", "bgr")), help="Its planes; else found out.")
@click.option(
    "--range", "span", callback=_two_numbers, metavar="LOW..HIGH", help="Black and white at its input; else found out."
)
@click.option(
    "--mean", callback=_three_numbers, metavar="A,B,C", help="What is subtracted from its planes; else found."
)
@click.option("--radius", type=click.IntRange(0, 1024), help="Its receptive radius; else found out.")
@json_option
def import_model(
    file: Path, config_path: Path, *, as_json: bool, span: tuple[float, float] | None, **wishes: Any
) -> None:
    """Take in a model (.pb, .onnx) or a bundle (.tar) after trying it. Exit status 0, or 4 when it is refused."""
    from srwatchd.daemon.modelimport import Wishes, import_file  # noqa: PLC0415 - starts workers; the others do not

    config = load(config_path)
    with _steps(quiet=as_json) as said:
        imported = import_file(config, file, Wishes(input_range=span, **wishes), said)
    if as_json:
        print_json([_plain(each, config) for each in imported])
        return
    for each in imported:
        _show(each, config)
    if not imported:
        click.echo("every model of the bundle is there already")


@click.command(name="export", epilog="Example: srwatchd models export --output models.tar --config srwatchd.yaml")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--config",
    "config_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A configuration whose models_dir is looked at, too.",
)
@click.option("--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The bundle to write.")
@json_option
def export_models(names: tuple[str, ...], config_path: Path | None, output: Path, *, as_json: bool) -> None:
    """Write models into one file for a box without a network; without names all imported ones. 0, or 4."""
    known = find_models(None if config_path is None else load(config_path).models_dir)
    chosen = [_known(known, name) for name in dict.fromkeys(names)] or [one for one in known.values() if _is_ours(one)]
    if not chosen:
        raise RefusedError("model_refused", "no model was imported here", hint="Name the models to export.")
    _write_bundle(chosen, output)
    if as_json:
        print_json({"output": str(output), "models": sorted(each.name for each in chosen)})
    else:
        click.echo(f"{output}: {', '.join(sorted(each.name for each in chosen))}")


@click.command(name="remove", epilog="Example: srwatchd models remove old_net --config srwatchd.yaml")
@click.argument("name")
@config_option
@json_option
def remove_model(name: str, config_path: Path, *, as_json: bool) -> None:
    """Remove an imported model that no folder of the configuration uses. Exit status 0, or 4 when it is refused."""
    from srwatchd.pipeline.modelstore import ModelStore  # noqa: PLC0415

    config = load(config_path)
    users = [folder.id for folder in config.folders if folder.model == name]
    if users:
        text = f"{name!r} is the model of the folder {', '.join(users)}"
        raise RefusedError("model_refused", text, hint="Give those folders another model first, and reload the daemon.")
    known = find_models(config.models_dir)
    if not _is_ours(_known(known, name)):
        hint = "Models that come with srwatchd stay; nothing has to be removed to use another one."
        raise RefusedError("model_refused", f"{name!r} comes with srwatchd", hint=hint)
    with ModelStore.open(config.models_dir) as store:
        store.drop(name)
    if as_json:
        print_json({"removed": name})
    else:
        click.echo(f"removed {name}")


def _write_bundle(chosen: list[ModelSpec], output: Path) -> None:
    """Write the bundle under a hidden name, then give it its own. Raises RefusedError when that is taken."""
    from srwatchd.pipeline.bundle import write_bundle  # noqa: PLC0415

    if output.exists():
        raise RefusedError("model_refused", f"{str(output)!r} exists", hint="Name a file that is not there yet.")
    staged = output.parent / f"{STAGING_PREFIX}{output.name}.tmp"
    with host_errors(output.parent, "writing a bundle into"):
        try:
            with staged.open("wb") as file:
                write_bundle(chosen, file)
                file.flush()
                os.fsync(file.fileno())
            os.link(staged, output)
            fsync_directory(output.parent)
        finally:
            staged.unlink(missing_ok=True)


def _known(known: dict[str, ModelSpec], name: str) -> ModelSpec:
    if name not in known:
        names = ", ".join(sorted(known)) or "none"
        raise RefusedError("model_refused", f"there is no model {name!r}", hint=f"Known are {names}.")
    return known[name]


def _is_ours(spec: ModelSpec) -> bool:
    """Whether it was imported."""
    return spec.path.parent != data_path("models")


@contextlib.contextmanager
def _steps(*, quiet: bool) -> Any:
    """Something to tell each step to; on a terminal it is shown."""
    if quiet or not sys.stderr.isatty():
        yield lambda _step: None
        return
    from rich.console import Console  # noqa: PLC0415

    with Console(stderr=True).status("") as status:
        yield status.update


def _users(spec: ModelSpec, config: Config) -> list[str]:
    return [folder.id for folder in config.folders if folder.model == spec.name]


def _plain(imported: Imported, config: Config) -> dict[str, Any]:
    from srwatchd.config.manifests import entry_of  # noqa: PLC0415

    return {
        **entry_of(imported.spec),
        "path": str(imported.spec.path),
        "facts": list(imported.facts),
        "tried": imported.engines,
        "folders": _users(imported.spec, config),
    }


def _show(imported: Imported, config: Config) -> None:
    spec = imported.spec
    click.echo(f"imported {spec.name}: {spec.architecture} x{spec.scale}, {spec.path}")
    if imported.facts:
        table = Table()
        for heading in ("fact", "value", "known by", "seen"):
            table.add_column(heading)
        for each in imported.facts:
            table.add_row(each["fact"], each["value"], each["how"], each["reason"])
        console().print(table)
    for engine, told in imported.engines.items():
        click.echo(f"{engine}: {told}")
    if users := _users(spec, config):
        click.echo(f"the folder {', '.join(users)} uses it; a running daemon takes it up within half a minute")
