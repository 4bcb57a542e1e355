"""upscale: a batch of pictures, without a daemon."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, get_args

import click

from srwatchd.cli.options import json_option
from srwatchd.daemon.kinds import inference
from srwatchd.terms import EngineName, ResultFormat
from srwatchd.worker.launch import launch_ahead

__all__ = ["upscale"]

_FORMATS: Final = get_args(ResultFormat)
_ENGINES: Final = get_args(EngineName)


@click.command(epilog="Example: srwatchd upscale scans --recursive --model fsrcnn_x2 --output enlarged --skip-existing")
@click.argument("sources", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="SRC...")
@click.option("--model", required=True, metavar="NAME", help="One of `srwatchd models list`.")
@click.option(
    "--output",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where the results go; made if missing.",
)
@click.option(
    "--config",
    "config_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A configuration: its engine, memory_limit, workers, imported models and `defaults:` are used, and everything"
    " is recorded in its ledger. No daemon may be running on it.",
)
@click.option(
    "--engine",
    type=click.Choice(_ENGINES),
    help="What computes.  [default: the fastest that works; for up to a megabyte the first]",
)
@click.option("--recursive", is_flag=True, help="Sub folders, too; the results mirror them.")
@click.option("--format", "form", type=click.Choice(_FORMATS), help="Of the results.  [default: same]")
@click.option(
    "--skip-existing", is_flag=True, help="Leave out pictures that have a complete result: go on where a run ended."
)
@json_option
@click.pass_context
def upscale(  # noqa: PLR0913, PLR0917 - click hands over each option
    ctx: click.Context,
    sources: tuple[Path, ...],
    model: str,
    output: Path,
    config_path: Path | None,
    engine: str | None,
    recursive: bool,
    form: str | None,
    skip_existing: bool,
    as_json: bool,
) -> None:
    """Upscale pictures and folders of pictures into DIR, without a daemon. Sources are only read.

    Nothing is overwritten: a taken name gets a number. A bad picture is reported and the others go on.

    Exit status 0, or 3 when a picture failed or was left; 130 after Ctrl-C, 69 beside a running daemon, 70 when the
    model is missing or altered.
    """
    if config_path is None:  # else it decides about threads
        launch_ahead(inference(os.cpu_count() or 1))
    from srwatchd.cli.upscaling import upscale_sources  # noqa: PLC0415 - it loads while the worker does

    status = upscale_sources(
        sources,
        model=model,
        output=output.absolute(),
        config_path=config_path,
        engine=engine,
        recursive=recursive,
        form=form,
        skip_existing=skip_existing,
        as_json=as_json,
    )
    ctx.exit(status)
