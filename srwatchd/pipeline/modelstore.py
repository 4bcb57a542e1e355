"""The folder of imported models: files beside their manifest, taken in and given up durably.

A model is there when the manifest names it, so the manifest is written last when one comes and first when one goes.
Crash before the manifest is written: the files lie there unnamed, are used by nobody, and the next import of that name
replaces them. What is half-way in the staging folder is swept by the next one who opens the store.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from srwatchd.config.manifests import manifest_text
from srwatchd.config.models import MANIFEST, find_models, read_manifest
from srwatchd.errors import RefusedError
from srwatchd.storage import STAGING_PREFIX, fsync_directory, host_errors, open_directory, sync_directory, write_durably

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from srwatchd.config.models import ModelSpec

__all__ = ["ModelStore"]

_STAGING: Final = f"{STAGING_PREFIX}import"
_FILE_MODE: Final = 0o644
_FOLDER_MODE: Final = 0o755
_BUSY_HINT: Final = "Wait until it has ended, then try again."


class ModelStore:
    """``models_dir``, locked: one command at a time changes it. Made by :meth:`open`."""

    def __init__(self, folder: Path, descriptor: int) -> None:
        self.folder = folder
        self.staging = folder / _STAGING
        """Where files are made ready; on the same file system, so that they only have to be renamed."""
        self._descriptor = descriptor

    @classmethod
    @contextlib.contextmanager
    def open(cls, folder: Path) -> Iterator[ModelStore]:
        """The store at ``folder``, made if need be, for the time of the block; its staging folder is empty.

        Raises :class:`RefusedError` when another command changes it, :class:`HostError` when it cannot be written to.
        """
        with host_errors(folder, "opening the folder of models"):
            _make(folder)
            descriptor = open_directory(folder)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                text = f"another command is changing the models in {str(folder)!r}"
                raise RefusedError("model_refused", text, hint=_BUSY_HINT) from None
            store = cls(folder, descriptor)
            with host_errors(folder, "making a staging folder in"):
                store._sweep()
                store.staging.mkdir(mode=0o700)
            try:
                yield store
            finally:
                store._sweep()
        finally:
            os.close(descriptor)

    @property
    def imported(self) -> dict[str, ModelSpec]:
        """The models in it by name."""
        manifest = self.folder / MANIFEST
        return read_manifest(manifest) if manifest.exists() else {}

    def refuse_taken(self, name: str) -> None:
        """Raise :class:`RefusedError` when a shipped or imported model has this name."""
        known = find_models(self.folder)
        if name in known:
            place = "was imported" if known[name].path.parent == self.folder else "comes with srwatchd"
            raise RefusedError(
                "model_refused",
                f"there is a model {name!r} already: it {place}",
                hint="Take another name with --name, or remove the imported one first: srwatchd models remove NAME.",
            )

    def take(self, models: Sequence[ModelSpec]) -> list[ModelSpec]:
        """Take in ``models``, whose files lie in the staging folder, all of them or none; as they are now.

        Crash: none of them, or all of them.
        """
        for each in models:
            self.refuse_taken(each.name)
        others = {path.name for each in self.imported.values() for path in (each.path, each.onnx) if path is not None}
        files = [path for each in models for path in (each.path, each.onnx) if path is not None]
        if taken_names := sorted(others & {path.name for path in files} | {MANIFEST} & {path.name for path in files}):
            text = f"another model has a file {taken_names[0]!r} in {str(self.folder)!r}"
            raise RefusedError("model_refused", text, hint="Take another name with --name.")
        with host_errors(self.folder, "keeping a model in"):
            for path in files:
                _settle(path)
            for path in files:
                os.replace(path, self.folder / path.name)
            sync_directory(self._descriptor)
        taken = [
            replace(each, path=self.folder / each.path.name, onnx=each.onnx and self.folder / each.onnx.name)
            for each in models
        ]
        self._write({**self.imported, **{each.name: each for each in taken}})
        return taken

    def drop(self, name: str) -> None:
        """Forget the imported model ``name`` and remove its files. Crash: it is there, or files that nobody names."""
        models = self.imported
        gone = models.pop(name)
        self._write(models)
        used = {path.name for each in models.values() for path in (each.path, each.onnx) if path is not None}
        with host_errors(self.folder, "removing a model from"):
            for path in (gone.path, gone.onnx):
                if path is not None and path.name not in used:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(path.name, dir_fd=self._descriptor)
            sync_directory(self._descriptor)

    def _write(self, models: Mapping[str, ModelSpec]) -> None:
        with host_errors(self.folder / MANIFEST, "writing"):
            text = manifest_text(models.values()).encode()
            write_durably(MANIFEST, text, dir_fd=self._descriptor, mode=_FILE_MODE)

    def _sweep(self) -> None:
        """Remove what an earlier command left half-way."""
        with contextlib.suppress(FileNotFoundError):
            if self.staging.is_symlink() or not self.staging.is_dir():
                self.staging.unlink()
            else:
                shutil.rmtree(self.staging)


def _settle(path: Path) -> None:
    """Have a staged file on the disk, with its final mode and the folder's owner."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchmod(descriptor, _FILE_MODE)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make(folder: Path) -> None:
    """Make ``folder`` and what is missing above it; each belongs to whom the folder above it belongs."""
    if folder.is_dir():
        return
    _make(folder.parent)
    above = folder.parent.stat()
    folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
    if os.geteuid() == 0:
        os.chown(folder, above.st_uid, above.st_gid)
    os.chmod(folder, _FOLDER_MODE)
    fsync_directory(folder.parent)
