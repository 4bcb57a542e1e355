"""Taking a model in: recognised, looked at and tried in confined workers, and only then kept."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import stat
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from srwatchd.config.models import find_models
from srwatchd.config.publicmodels import FAMILIES, recognised
from srwatchd.daemon.modeltrial import Bench, Found
from srwatchd.errors import RefusedError
from srwatchd.pipeline.bundle import is_bundle, unpack
from srwatchd.pipeline.modelstore import ModelStore
from srwatchd.storage import hash_file, host_errors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from srwatchd.config import Config
    from srwatchd.config.models import Colour, ModelSpec
    from srwatchd.config.publicmodels import PublicModel

__all__ = ["Imported", "Wishes", "import_file"]

_LARGEST: Final = 2 << 30
"""Protocol buffers have a limit of 2 GiB."""
_CHUNK: Final = 1 << 20
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_AGAIN: Final = "Get the file again: it is not the one that the checksum is of."


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the user says about the file; None is recognised or found out."""

    name: str | None = None
    architecture: str | None = None
    scale: int | None = None
    sha256: str | None = None
    colour: Colour | None = None
    input_range: tuple[float, float] | None = None
    mean: tuple[float, ...] | None = None
    radius: int | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """What was taken in: the model, what is known about it and how, and how each engine got on with it."""

    spec: ModelSpec
    facts: tuple[dict[str, str], ...] = ()
    engines: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Copied:
    """The user's file, copied: its place, size and names."""

    path: Path
    size: int
    sha256: str
    git_blob: str
    head: bytes


def import_file(config: Config, file: Path, wishes: Wishes, said: Callable[[str], None]) -> list[Imported]:
    """Take in the model or the bundle of models in ``file``; ``said`` is told each step.

    Raises :class:`RefusedError` (nothing has changed then), :class:`HostError` when ``models_dir`` cannot be written.
    """
    with ModelStore.open(config.models_dir) as store:
        copied = _copy(file, store.staging / "source")
        if wishes.sha256 is not None and wishes.sha256.lower() != copied.sha256:
            text = f"{str(file)!r} has the sha256 {copied.sha256}, not {wishes.sha256}"
            raise RefusedError("model_refused", text, hint=_AGAIN)
        bench = Bench(config, store.staging, said)
        if is_bundle(copied.head):
            return _import_bundle(store, bench, copied, wishes)
        return [_import_model(store, bench, file, copied, wishes)]


def _import_model(store: ModelStore, bench: Bench, file: Path, copied: _Copied, wishes: Wishes) -> Imported:
    public = recognised(sha256=copied.sha256, git_blob=copied.git_blob, size=copied.size)
    name = _name(store, file, wishes, public)
    facts = asyncio.run(bench.inspect(copied.path, store.staging / "changed"))
    if facts["format"] == "pb":
        _agree(file, wishes, public)
    path = store.staging / f"{name}.{facts['format']}"
    os.rename(store.staging / "changed" if facts["change"] else copied.path, path)
    origin = f"{public.origin}, {public.file}" if public else file.name
    found = Found(name, path, hash_file(path), copied.sha256, origin, facts)
    spec, evidence, engines = asyncio.run(bench.examined(found, _declared(wishes), public))
    spec = replace(spec, licence=public.licence if public else "")
    (taken,) = store.take([spec])
    return Imported(taken, tuple(evidence), engines)


def _import_bundle(store: ModelStore, bench: Bench, copied: _Copied, wishes: Wishes) -> list[Imported]:
    """All models of a bundle that are not there yet, or none."""
    if any(getattr(wishes, each) is not None for each in ("name", "architecture", "scale", "colour", "radius")):
        hint = "Leave the options out; its manifest has the facts."
        raise RefusedError("model_refused", "a bundle says itself what its models are", hint=hint)
    folder = store.staging / "bundle"
    folder.mkdir(mode=0o700)
    with contextlib.ExitStack() as opened, host_errors(folder, "unpacking into"):
        source = os.open(copied.path, os.O_RDONLY | os.O_CLOEXEC)
        opened.callback(os.close, source)
        models = unpack(source, folder)
    known = find_models(store.folder)
    fresh = [each for each in models if each.name not in known or known[each.name].sha256 != each.sha256]
    for each in fresh:
        store.refuse_taken(each.name)
    seen = {each.name: asyncio.run(bench.attempted(each)) for each in fresh}
    return [Imported(each, engines=seen[each.name]) for each in store.take(fresh)]


def _copy(file: Path, target: Path) -> _Copied:
    """Copy the user's file, which may be anything, next to its final place."""
    try:
        source = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        text = f"{str(file)!r} cannot be read: {error.strerror}"
        raise RefusedError("model_refused", text, hint="Check the path and its permissions.") from error
    try:
        status = os.fstat(source)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST:
            raise RefusedError("model_refused", f"{str(file)!r} is no plain file of at most 2 GiB")
        sha256, blob, head, done = hashlib.sha256(), hashlib.sha1(usedforsecurity=False), b"", 0
        blob.update(b"blob %d\0" % status.st_size)
        with host_errors(target, "copying the model to"), target.open("xb") as copy:
            while chunk := os.read(source, _CHUNK):
                head = head or chunk[:512]
                sha256.update(chunk)
                blob.update(chunk)
                copy.write(chunk)
                done += len(chunk)
    finally:
        os.close(source)
    return _Copied(target, done, sha256.hexdigest(), blob.hexdigest(), head)


def _name(store: ModelStore, file: Path, wishes: Wishes, public: PublicModel | None) -> str:
    """The model's name: as wished, else the file's in lower case; a public one beside ours of that name says so."""
    if wishes.name is not None:
        name = wishes.name
    else:
        name = (public.file if public else file.name).rpartition(".")[0].lower()
        shipped = {each.name for each in find_models(store.folder).values() if each.path.parent != store.folder}
        name += "_public" if public is not None and name in shipped else ""
    if not _NAME.fullmatch(name):
        hint = "Name it with --name: letters, digits, '.', '_' and '-', 64 at most, the first a letter or a digit."
        raise RefusedError("model_refused", f"{name!r} is no name for a model", hint=hint)
    store.refuse_taken(name)
    return name


def _agree(file: Path, wishes: Wishes, public: PublicModel | None) -> None:
    """Raise unless a frozen graph is a known one, or declared; and the declaration fits a known one."""
    if public is None:
        if wishes.architecture is None or wishes.scale is None:
            families = ", ".join(FAMILIES)
            raise RefusedError(
                "model_refused",
                f"{str(file)!r} is none of the public models that are known by their checksum",
                hint=f"Say what it is: --architecture (one of {families}) and --scale.",
            )
        return
    said = (wishes.architecture or public.architecture, wishes.scale or public.scale)
    if said != (public.architecture, public.scale):
        known = f"the public {public.file}, {public.architecture} x{public.scale}"
        text = f"{str(file)!r} is {known}, not {said[0]} x{said[1]}"
        raise RefusedError("model_refused", text, hint="Leave --architecture and --scale out.")


def _declared(wishes: Wishes) -> dict[str, Any]:
    """The declared facts as a worker takes them."""
    values = {"scale": wishes.scale, "colour": wishes.colour, "radius": wishes.radius, "mean": wishes.mean}
    facts: dict[str, Any] = {**values, "input_range": wishes.input_range, "architecture": wishes.architecture}
    return {key: value for key, value in facts.items() if value is not None}
