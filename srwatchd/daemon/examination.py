"""``srwatchd doctor``: everything that can be looked at without taking a lock or disturbing a running daemon."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from srwatchd.config import data_path, find_models, missing_models, verify_file
from srwatchd.control.socket import NotRunningError, call
from srwatchd.daemon.crew import Crew, CrewSettings
from srwatchd.daemon.examine_intake import examine_intake, examine_watches
from srwatchd.daemon.examine_machine import examine_machine, examine_sockets
from srwatchd.daemon.examine_operation import examine_operation
from srwatchd.daemon.examine_places import View, examine_folder, examine_state, lock_holder
from srwatchd.daemon.examine_shares import examine_share
from srwatchd.daemon.finding import Finding, ok, problem, warning
from srwatchd.daemon.lane import Lane
from srwatchd.errors import HINTS, ModelError, SrwatchdError
from srwatchd.intake.look import prepare_leases
from srwatchd.worker.confinement import gaps, summary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from srwatchd.config import Config
    from srwatchd.config.models import ModelSpec
    from srwatchd.pipeline.stages import Choice
    from srwatchd.worker.pool import WorkerState

__all__ = ["examine"]

_PATIENCE: Final = 20.0
_CONTROL_SECONDS: Final = 5.0
_SAMPLE: Final = ("config", "sample.png")


def examine(config: Config) -> list[Finding]:
    """Look at everything that ``config`` needs; takes some seconds, as every model is loaded and timed.

    To be called in the main thread (SIGIO is ignored from then on). Raises nothing that a finding can say.
    """
    prepare_leases()
    return asyncio.run(_examine(config))


async def _examine(config: Config) -> list[Finding]:
    report, findings = _daemon(config)
    daemon = int(report["pid"]) if report else None
    view = View.of(config, daemon)
    findings += await _patiently("state", str(config.state_dir), partial(examine_state, view))
    for folder in config.folders:
        findings += await _patiently("folder", folder.id, partial(examine_folder, folder, view))
        findings += await _patiently("lease", folder.id, partial(examine_intake, folder))
        findings += await _patiently("share", folder.id, partial(examine_share, folder))
    findings += await _patiently("inotify", "limits", partial(examine_watches, config.folders))
    findings += await _patiently("figures", "operation", partial(examine_operation, config))
    specs, about = _models(config)
    findings += about
    findings += await _workers(config, specs, report)
    return [*findings, *examine_machine(config, process=daemon or os.getpid())]


def _daemon(config: Config) -> tuple[dict[str, Any] | None, list[Finding]]:
    """The status of a running daemon, and what there is to say about it."""
    socket, lock = config.state_dir / "control.sock", config.state_dir / "lock"
    holder = lock_holder(lock)
    try:
        report: dict[str, Any] = call(socket, "status", timeout=_CONTROL_SECONDS)
    except NotRunningError:
        if holder is not None:
            found = f"process {holder} holds the lock of the state, but does not answer"
            return None, [warning("daemon", "process", found, "Wait while it starts; if it stays so, restart it.")]
        return None, [ok("daemon", "process", "not running")]
    except PermissionError:
        hint = "Run the doctor as the daemon's user, or as a member of its group."
        return None, [warning("daemon", "process", f"{str(socket)!r} may not be used by this user", hint)]
    except (SrwatchdError, OSError, TimeoutError) as error:
        return None, [warning("daemon", "process", f"it does not answer: {error}", "Look at its log, or restart it.")]
    findings = [ok("daemon", "process", f"running, process {report['pid']}, version {report['version']}")]
    for folder in report["folders"]:
        if folder["hold"]:
            hold = folder["hold"]
            findings.append(problem("daemon", folder["id"], f"held: {hold['message']}", hold["hint"]))
        if folder["paused"]:
            findings.append(warning("daemon", folder["id"], "paused", "`srwatchd resume` lets it go on."))
    return report, findings


async def _patiently(topic: str, subject: str, look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """What ``look`` finds, in a thread of its own: a hung mount becomes a finding and does not hang the doctor."""
    lane = Lane(f"doctor {subject}")
    try:
        async with asyncio.timeout(_PATIENCE):
            return await lane.run(lambda: list(look()))
    except TimeoutError:
        found = f"it did not answer within {_PATIENCE:g} s: a disk or a network mount hangs"
        return [problem(topic, subject, found, "Look at the mount; umount -l it if its server is gone.")]
    except OSError as error:
        return [problem(topic, subject, f"looking at it failed: {error}", HINTS["io_error"])]
    except SrwatchdError as error:
        return [problem(topic, subject, error.message, error.hint)]
    finally:
        lane.close()


def _models(config: Config) -> tuple[list[ModelSpec], list[Finding]]:
    """The usable models that folders name, and how all models are."""
    try:
        known = find_models(config.models_dir)
    except ModelError as error:
        return [], [problem("model", "manifest", error.message, error.hint)]
    findings = [
        problem("model", each.key, each.message, HINTS["model_missing"]) for each in missing_models(config, known)
    ]
    used = {folder.model for folder in config.folders}
    usable = []
    for name, spec in known.items():
        try:
            verify_file(spec)
        except ModelError as error:
            make = problem if name in used else warning
            findings.append(make("model", name, error.message, error.hint))
        else:
            usable += [spec] if name in used else []
            findings.append(ok("model", name, f"as recorded, sha256 {spec.sha256[:16]}..., {spec.path}"))
    return usable, findings


async def _workers(config: Config, specs: list[ModelSpec], report: dict[str, Any] | None) -> list[Finding]:
    """Start workers of our own, load every model in use, decode the sample; then see that nobody has a socket."""
    findings: list[Finding] = []
    async with Crew(CrewSettings.of(config)) as crew:
        choice: Choice | None = None
        for spec in specs:
            try:
                choice = await crew.choose(spec)
            except SrwatchdError as error:
                findings.append(problem("engine", spec.name, error.message, error.hint))
            else:
                findings.append(_engine(choice))
        if choice is not None:
            findings.append(await _codec(config, crew, choice, specs[0]))
        for pool in (crew.codec, crew.inference):
            findings += _confined(pool.states())
        processes = [each.pid for pool in (crew.codec, crew.inference) for each in pool.states() if each.pid]
        if report is not None:
            processes += [report["pid"], *(each["pid"] for each in report["workers"] if each["pid"])]
        findings.append(examine_sockets([os.getpid(), *processes]))
    return findings


def _engine(choice: Choice) -> Finding:
    """Which engine a model got; one alone leaves nobody to ask when a result looks wrong."""
    found = f"{choice.reason}; tiles of {choice.tile} x {choice.tile}"
    if choice.warnings:
        unused = [each for each in choice.warnings if each not in choice.reason]
        found = "; ".join((found, *unused))
        remedy = "Work goes on without it; install or allow what it needs to have a second opinion and more speed."
        return warning("engine", choice.model, found, remedy)
    return ok("engine", choice.model, found)


def _confined(states: Iterable[WorkerState]) -> list[Finding]:
    """What the first worker of a pool has given up, as it says itself."""
    for state in states:
        if state.confinement:
            missing = [f"{each.name} ({each.detail})" for each in gaps(state.confinement)]
            found = summary(state.confinement)
            if missing:
                remedy = f"Work goes on without {', '.join(missing)}; a newer kernel or a laxer container gives it."
                return [warning("sandbox", f"{state.role} worker", found, remedy)]
            return [ok("sandbox", f"{state.role} worker", found)]
    return []


async def _codec(config: Config, crew: Crew, choice: Choice, spec: ModelSpec) -> Finding:
    sample = data_path(*_SAMPLE)
    try:
        descriptor = os.open(sample, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        return warning("codec", "sample", f"{str(sample)!r}: {error.strerror}", "Install the package again.")
    try:
        picture = await crew.stages({choice.model: choice}).decode(descriptor, config.folders[0], spec)
    except SrwatchdError as error:
        return problem("codec", "sample", error.message, error.hint)
    finally:
        os.close(descriptor)
    picture.close()
    return ok("codec", "sample", f"decoded, {picture.width} x {picture.height} pixels")
