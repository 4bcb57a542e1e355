"""init and check-config."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from srwatchd.cli.options import json_option, print_json
from srwatchd.config import find_models, init_text, load, missing_models
from srwatchd.daemon.equipment import missing_equipment
from srwatchd.daemon.folderids import KNOWN, FolderIds
from srwatchd.daemon.places import Places
from srwatchd.daemon.premises import make_destinations
from srwatchd.daemon.state import StateDirectory
from srwatchd.errors import ConfigurationError, Problem
from srwatchd.intake.inbox import Inbox

__all__ = ["check_config", "init"]


@click.command(epilog="Example: srwatchd init /srv/pictures && srwatchd run --config /srv/pictures/srwatchd.yaml")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--model", default=None, metavar="NAME", help="The model of the example folder.")
def init(directory: Path, model: str | None) -> None:
    """Write a commented configuration into DIRECTORY and make its folders.

    Run again, it keeps the configuration and makes and marks the folders that it names and that are new.
    """
    path = directory.absolute() / "srwatchd.yaml"
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        path.write_text(init_text() if model is None else init_text(model=model), encoding="utf-8")
        click.echo(f"written: {path}")
    config = load(path)
    state = StateDirectory.open(config.state_dir)
    try:
        known, places = FolderIds(state, KNOWN), Places(state)
        for folder in config.folders:
            make_destinations(folder)
            for place in (folder.done, folder.error, folder.archive):
                places.learn(place)
            Inbox.open(folder.inbox, state_id=state.identity, create=True).close()
            known.put(folder.id)
            click.echo(f"folder {folder.id}: drop pictures into {folder.inbox}")
    finally:
        state.close()
    click.echo(f"start it with: srwatchd run --config {path}")


@click.command(name="check-config", epilog="Example: srwatchd check-config srwatchd.yaml")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@json_option
@click.pass_context
def check_config(ctx: click.Context, file: Path, as_json: bool) -> None:
    """Say everything that is wrong with a configuration, with line and key. Exit status 0, or 78."""
    problems: tuple[Problem, ...] = ()
    try:
        config = load(file)
        problems = tuple(missing_models(config, find_models(config.models_dir)))
        problems += tuple(asyncio.run(missing_equipment(config)))
    except ConfigurationError as error:
        problems = error.problems
    if as_json:
        print_json(
            [{"file": each.file, "line": each.line, "key": each.key, "message": each.message} for each in problems]
        )
    elif problems:
        for problem in problems:
            click.echo(str(problem), err=True)
    else:
        click.echo(f"{file}: no problems")
    ctx.exit(78 if problems else 0)
