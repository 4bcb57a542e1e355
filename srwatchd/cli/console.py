"""console: the web console, which is an extra, and who may use it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import click

from srwatchd.cli.options import json_option, print_json
from srwatchd.config import load
from srwatchd.errors import FatalError

if TYPE_CHECKING:
    from srwatchd.console.shapes import Role
    from srwatchd.console.users import UsersFile

__all__ = ["console"]

_EXTRA: Final = (
    "Install it beside srwatchd: pip install 'srwatchd[console]'. Without a network: pip install --no-index "
    "--find-links FOLDER 'srwatchd[console]', with a FOLDER that pip download 'srwatchd[console]' has filled elsewhere."
)
_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_LONGEST_PASSWORD: Final = 1024
_config_option = click.option("--config", "config_path", type=_FILE, metavar="FILE", help="The configuration (YAML).")
_role_option = click.option(
    "--role",
    type=click.Choice(["viewer", "operator"]),
    required=True,
    help="A viewer sees everything, an operator also uploads, retries, pauses, resumes and imports.",
)


@click.group(invoke_without_command=True, epilog="Example: srwatchd console --config /etc/srwatchd/srwatchd.yaml")
@_config_option
@click.option("--host", metavar="H", help="The address to listen on; default: console.host, 127.0.0.1.")
@click.option("--port", type=click.IntRange(0, 65535), metavar="P", help="The port; default: console.port, 8470.")
@click.pass_context
def console(ctx: click.Context, config_path: Path | None, host: str | None, port: int | None) -> None:
    """Serve the web console until SIGTERM. The daemon is a process of its own and need not run.

    Exit status 0; 1 when the port is taken; 78 when it would listen elsewhere than on this machine without any user.
    """
    ctx.obj = config_path
    if ctx.invoked_subcommand is not None:
        return
    path = _config(ctx, None)
    try:
        from srwatchd.console.serving import run  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise FatalError("extra_missing", f"the console needs the package {error.name!r}", hint=_EXTRA) from error
    ctx.exit(run(path, host=host, port=port, say=click.echo))


@console.group(epilog="Example: srwatchd console user add anna --role operator --config srwatchd.yaml")
def user() -> None:
    """People with a password."""


@user.command(name="add", epilog="Example: srwatchd console user add anna --role viewer --config srwatchd.yaml")
@click.argument("name")
@_role_option
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input; else it is asked for.")
@_config_option
@click.pass_context
def add_user(ctx: click.Context, name: str, role: str, *, password_stdin: bool, config_path: Path | None) -> None:
    """Add a user, or give one another role and password. Sessions with the old password end."""
    users = _users(ctx, config_path)
    if password_stdin:
        password = sys.stdin.readline(_LONGEST_PASSWORD).rstrip("\n")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    new = users.add_user(name, cast("Role", role), password)
    click.echo(f"{'added' if new else 'changed'}: {name}, {role}")


@user.command(name="list", epilog="Example: srwatchd console user list --config srwatchd.yaml")
@_config_option
@json_option
@click.pass_context
def list_users(ctx: click.Context, config_path: Path | None, as_json: bool) -> None:
    """Show users and tokens with their roles."""
    found = _users(ctx, config_path).read()
    rows = [("user", name, each["role"]) for name, each in found.users.items()]
    rows += [("token", name, each["role"]) for name, each in found.tokens.items()]
    if as_json:
        print_json([{"kind": kind, "name": name, "role": role} for kind, name, role in rows])
    elif found.locked:
        raise FatalError("configuration", "the users cannot be read", hint="Run it as the console's user.")
    else:
        for kind, name, role in rows:
            click.echo(f"{kind} {name}: {role}")


@user.command(name="remove", epilog="Example: srwatchd console user remove anna --config srwatchd.yaml")
@click.argument("name")
@_config_option
@click.pass_context
def remove_user(ctx: click.Context, name: str, config_path: Path | None) -> None:
    """Remove a user. Sessions end at once."""
    _removed(_users(ctx, config_path).remove_user(name), "user", name)


@console.group(epilog="Example: srwatchd console token add backup --role viewer --config srwatchd.yaml")
def token() -> None:
    """Tokens for programs: `Authorization: Bearer TOKEN`."""


@token.command(name="add", epilog="Example: srwatchd console token add scanner --role operator --config srwatchd.yaml")
@click.argument("name")
@_role_option
@_config_option
@click.pass_context
def add_token(ctx: click.Context, name: str, role: str, config_path: Path | None) -> None:
    """Make a token and print it, once: only its hash is kept."""
    click.echo(_users(ctx, config_path).add_token(name, cast("Role", role)))


@token.command(name="remove", epilog="Example: srwatchd console token remove scanner --config srwatchd.yaml")
@click.argument("name")
@_config_option
@click.pass_context
def remove_token(ctx: click.Context, name: str, config_path: Path | None) -> None:
    """Remove a token; it lets nobody in any more."""
    _removed(_users(ctx, config_path).remove_token(name), "token", name)


def _removed(done: bool, kind: str, name: str) -> None:
    if not done:
        raise click.ClickException(f"there is no {kind} {name!r}")
    click.echo(f"removed: {name}")


def _users(ctx: click.Context, config_path: Path | None) -> UsersFile:
    from srwatchd.console.users import UsersFile  # noqa: PLC0415 - not for `--help`

    return UsersFile(load(_config(ctx, config_path)).state_dir / "console")


def _config(ctx: click.Context, given: Path | None) -> Path:
    """The file that this command, or ``srwatchd console`` before it, was given."""
    path = given or ctx.find_root().obj or ctx.obj
    if path is None:
        raise click.UsageError("Missing option '--config'.", ctx)
    return cast("Path", path)
