"""console: the web console, which is an extra."""

from __future__ import annotations

from pathlib import Path

import click

from srwatchd.errors import FatalError

__all__ = ["console"]

_EXTRA = (
    "Install it beside srwatchd: pip install 'srwatchd[console]'. Without a network: pip install --no-index "
    "--find-links FOLDER 'srwatchd[console]', with a FOLDER that pip download 'srwatchd[console]' has filled elsewhere."
)


@click.group(invoke_without_command=True, epilog="Example: srwatchd console --config /etc/srwatchd/srwatchd.yaml")
@click.option(
    "--config",
    "config_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The configuration (YAML).",
)
@click.option("--host", metavar="H", help="The address to listen on; default: console.host, 127.0.0.1.")
@click.option("--port", type=click.IntRange(0, 65535), metavar="P", help="The port; default: console.port, 8470.")
@click.pass_context
def console(ctx: click.Context, config_path: Path | None, host: str | None, port: int | None) -> None:
    """Serve the web console until SIGTERM. The daemon is a process of its own and need not run."""
    if ctx.invoked_subcommand is not None:
        return
    if config_path is None:
        raise click.UsageError("Missing option '--config'.")
    try:
        from srwatchd.console.serving import run  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise FatalError("extra_missing", f"the console needs the package {error.name!r}", hint=_EXTRA) from error
    ctx.exit(run(config_path, host=host, port=port, say=click.echo))
