"""The command line: thin, every command with an example, exit statuses as documented."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import sys
import traceback
from typing import Final, NoReturn

import click

from srwatchd import __version__
from srwatchd.errors import ConfigurationError, FatalError, SrwatchdError

__all__ = ["entry", "main"]

_COMMANDS: Final = {
    "run": ("srwatchd.cli.service", "run"),
    "once": ("srwatchd.cli.service", "once"),
    "demo": ("srwatchd.cli.service", "demo"),
    "upscale": ("srwatchd.cli.upscale", "upscale"),
    "init": ("srwatchd.cli.setup", "init"),
    "check-config": ("srwatchd.cli.setup", "check_config"),
    "doctor": ("srwatchd.cli.doctor", "doctor"),
    "models": ("srwatchd.cli.models", "models"),
    "status": ("srwatchd.cli.steer", "status"),
    "pause": ("srwatchd.cli.steer", "pause"),
    "resume": ("srwatchd.cli.steer", "resume"),
    "retry": ("srwatchd.cli.steer", "retry"),
    "console": ("srwatchd.cli.console", "console"),
    "audit": ("srwatchd.cli.audit", "audit"),
    "systemd": ("srwatchd.cli.systemd", "systemd"),
}


class _Commands(click.Group):
    """Imports a command's module only when it is asked for, and turns errors into exit statuses."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """In the order in which a user meets them."""
        return list(_COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        if cmd_name not in _COMMANDS:
            return None
        module, attribute = _COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run; whatever goes wrong is said in one place."""
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.ClickException, click.Abort):
            raise
        except SrwatchdError as error:
            _say(error)
            ctx.exit(error.exit_code if isinstance(error, FatalError) else 1)
        except KeyboardInterrupt:
            ctx.exit(130)
        except Exception:  # noqa: BLE001 - the last place that can say it
            traceback.print_exc()
            click.echo("srwatchd: this is a defect of srwatchd; please report it with the lines above", err=True)
            ctx.exit(1)


def _say(error: SrwatchdError) -> None:
    if isinstance(error, ConfigurationError):
        for problem in error.problems:
            click.echo(str(problem), err=True)
    else:
        click.echo(f"srwatchd: {error.message}", err=True)
    click.echo(f"  what to do: {error.hint}", err=True)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: srwatchd init hot && srwatchd run --config hot/srwatchd.yaml",
)
@click.version_option(__version__, prog_name="srwatchd")
def _cli() -> None:
    """Upscale every picture that appears in a hot folder, offline, and lose nothing."""


def main() -> None:
    """Run the command of ``sys.argv``; raises SystemExit with its status."""
    sys.exit(_cli(standalone_mode=True))


def entry() -> NoReturn:
    """Entry point of the ``srwatchd`` command: :func:`main` in a process of its own.

    It ends as soon as everything is said and done: Python would first take every module apart, which takes a tenth of
    a second.
    """
    status: object = 1
    try:
        main()
    except SystemExit as end:
        status = end.code
    atexit._run_exitfuncs()  # noqa: SLF001 - what was registered is not to be left out
    with contextlib.suppress(OSError, ValueError):  # a pipe whose reader is gone, or that was closed
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status if isinstance(status, int) else 0 if status is None else 1)
