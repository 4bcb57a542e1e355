"""run, once, demo: the daemon itself."""

from __future__ import annotations

from pathlib import Path

import click

from srwatchd.cli.options import config_option

__all__ = ["demo", "once", "run"]


@click.command(epilog="Example: srwatchd run --config /etc/srwatchd/srwatchd.yaml")
@config_option
@click.pass_context
def run(ctx: click.Context, config_path: Path) -> None:
    """Be the daemon, in the foreground, until SIGTERM. SIGHUP reads the configuration again."""
    from srwatchd.daemon.service import run as serve  # noqa: PLC0415 - other commands start without it

    ctx.exit(serve(config_path))


@click.command(epilog="Example: srwatchd once --config srwatchd.yaml")
@config_option
@click.pass_context
def once(ctx: click.Context, config_path: Path) -> None:
    """Drain the inboxes and end.

    Exit status 0 when all was delivered, 3 when some went to the error folder, 75 when busy or held files were left,
    69 beside a running daemon.
    """
    from srwatchd.daemon.service import run as serve  # noqa: PLC0415 - other commands start without it

    ctx.exit(serve(config_path, once=True))


@click.command(epilog="Example: srwatchd demo /tmp/srwatchd-demo")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path), default=Path("srwatchd-demo"))
@click.option("--model", default=None, metavar="NAME", help="Another model than the example's.")
@click.pass_context
def demo(ctx: click.Context, directory: Path, model: str | None) -> None:
    """Make a hot folder in DIRECTORY, drop a sample picture into it, show the result, and keep watching."""
    from srwatchd.daemon.demo import run_demo  # noqa: PLC0415 - other commands start without it

    ctx.exit(run_demo(directory, model=model, say=click.echo))
