"""upscale: what the command does, and what it says."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from srwatchd.cli.options import print_json
from srwatchd.cli.results import lines_of
from srwatchd.config import Config, Defaults, Engine, Folder, find_models, load, verify_file
from srwatchd.daemon.batch import Order, run_batch
from srwatchd.daemon.batchrun import Fate
from srwatchd.daemon.crew import CrewSettings
from srwatchd.daemon.selection import select
from srwatchd.errors import ModelError
from srwatchd.intake.names import display

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from srwatchd.config import ModelSpec
    from srwatchd.daemon.batch import Listener, Report
    from srwatchd.daemon.batchrun import BatchRun, Result
    from srwatchd.daemon.selection import Selection
    from srwatchd.pipeline.stages import Choice

__all__ = ["upscale_sources"]


def upscale_sources(  # noqa: PLR0913 - each is an option
    sources: Sequence[Path],
    *,
    model: str,
    output: Path,
    config_path: Path | None,
    engine: str | None,
    recursive: bool,
    form: str | None,
    skip_existing: bool,
    as_json: bool,
) -> int:
    """Do what the command of that name says; its exit status."""
    config = None if config_path is None else load(config_path)
    spec = _model(model, config)
    folder = _folder(config, output=output, model=model, form=form)
    selection = select(sources, recursive=recursive, output=folder.done, names=folder)
    order = Order(
        sources=selection.sources,
        spec=spec,
        folder=folder,
        crew=_crew(config, engine),
        skip_existing=skip_existing,
    )
    with _listener(len(order.sources), quiet=as_json) as listener:
        report = run_batch(order, listener, config=config)
    if as_json:
        print_json(_plain(report, order, selection))
    else:
        _summarise(report, selection)
    return 3 if selection.unreadable and not report.exit_status else report.exit_status


def _model(name: str, config: Config | None) -> ModelSpec:
    found = find_models(None if config is None else config.models_dir)
    if name not in found:
        known = ", ".join(sorted(found)) or "none"
        raise ModelError("model_missing", f"there is no model {name!r}; known are {known}")
    verify_file(found[name])
    return found[name]


def _folder(config: Config | None, *, output: Path, model: str, form: str | None) -> Folder:
    """The batch as if it were a hot folder: output, limits and retries of ``defaults:``, or the usual ones.

    Without a configuration the results get the modes that the user's umask gives to any new file.
    """
    settings = Defaults() if config is None else config.defaults
    changes: dict[str, Any] = {}
    if config is None:
        umask = os.umask(0o022)
        os.umask(umask)
        changes |= {"file_mode": 0o666 & ~umask, "dir_mode": 0o777 & ~umask}
    if form is not None:
        changes["format"] = form
        if settings.output.on_format_limit == form:
            changes["on_format_limit"] = "error"
    return Folder(
        id="batch",
        inbox=output,
        done=output,
        error=output,
        archive=output,
        model=model,
        output=settings.output.model_copy(update=changes),
        limits=settings.limits,
        retry=settings.retry,
    )


def _crew(config: Config | None, engine: str | None) -> CrewSettings:
    """The workers of the configuration, or one inference worker within the usual memory limit."""
    if config is not None:
        settings = config.model_copy(update={"engine": _engine(config.engine, engine)})
        return CrewSettings.of(settings)
    fields = Config.model_fields
    disk = Path(os.environ.get("TMPDIR", "/var/tmp"))  # noqa: S108 - on a disk, and the files there have no names
    return CrewSettings(
        engine=_engine(Engine(), engine),
        memory_limit=int(fields["memory_limit"].default),
        workers=int(fields["workers"].default),
        scratch=disk if os.access(disk, os.W_OK) else Path(tempfile.gettempdir()),
    )


def _engine(engine: Engine, name: str | None) -> Engine:
    return engine if name is None else engine.model_copy(update={"name": name})


# -- what is said ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _listener(total: int, *, quiet: bool) -> Iterator[Listener]:
    """A bar on a terminal, lines elsewhere, nothing when the answer is to be JSON."""
    if quiet:
        yield _Silent()
    elif not sys.stdout.isatty():
        yield _Lines()
    else:
        from srwatchd.cli.bar import bar  # noqa: PLC0415 - it takes longer to load than a small picture to make

        with bar(total) as listener:
            yield listener


class _Silent:
    """Says nothing."""

    def chosen(self, choice: Choice) -> None:
        """Nothing."""

    def ended(self, result: Result) -> None:
        """Nothing."""

    def advanced(self, done: float, running: Sequence[BatchRun]) -> None:
        """Nothing."""


class _Lines(_Silent):
    """A line a picture: delivered ones on standard output, failures on standard error."""

    def chosen(self, choice: Choice) -> None:
        """Which engine, and why."""
        click.echo(f"{choice.model}: {choice.reason}")
        for each in choice.warnings:
            click.echo(each, err=True)

    def ended(self, result: Result) -> None:
        """What became of a picture."""
        for line in lines_of(result):
            click.echo(line, err=result.fate is Fate.FAILED)


def _summarise(report: Report, selection: Selection) -> None:
    counts = [f"{report.count(fate)} {fate.value}" for fate in Fate if report.count(fate) or fate is Fate.DELIVERED]
    if report.left:
        counts.append(f"{len(report.left)} left")
    click.echo(", ".join(counts))
    if selection.no_pictures:
        click.echo(f"{len(selection.no_pictures)} other files in these folders are no pictures")
    for path, why in selection.unreadable:
        click.echo(f"failed: the folder {display(str(path))} cannot be read: {why}", err=True)
    if report.stopped is not None:
        click.echo(f"stopped: {report.stopped.code}: {report.stopped.message}", err=True)
        click.echo(f"  what to do: {report.stopped.hint}", err=True)
    if report.left:
        click.echo("run it again with --skip-existing to go on", err=True)


def _plain(report: Report, order: Order, selection: Selection) -> dict[str, Any]:
    """What ``--json`` prints."""
    pictures = [_picture(result) for result in report.results]
    pictures += [{"source": str(source.path), "outcome": "left"} for source in report.left]
    stopped = report.stopped
    return {
        "batch": report.batch,
        "model": order.spec.name,
        "engine": report.choice.engine if report.choice else None,
        "engine_reason": report.choice.reason if report.choice else None,
        "output": str(order.folder.done),
        "counts": {**{fate.value: report.count(fate) for fate in Fate}, "left": len(report.left)},
        "interrupted": report.interrupted,
        "stopped": {"code": stopped.code, "message": stopped.message, "hint": stopped.hint} if stopped else None,
        "pictures": pictures,
        "no_pictures": [str(path) for path in selection.no_pictures],
        "unreadable": [{"folder": str(path), "message": why} for path, why in selection.unreadable],
    }


def _picture(result: Result) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "source": str(result.source.path),
        "outcome": result.fate.value,
        "result": None if result.path is None else str(result.path),
        "seconds": round(result.seconds, 3),
    }
    if result.error is not None:
        plain |= {"code": result.error.code, "message": result.error.message, "hint": result.error.hint}
    if result.fate is Fate.DELIVERED:
        plain |= {key: result.facts[f"srwatchd.result.{key}"] for key in ("format", "width", "height")}
        plain["engine"] = result.facts["srwatchd.engine.name"]
    return plain
