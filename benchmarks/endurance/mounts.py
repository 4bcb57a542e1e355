"""Mounts made and taken away under a daemon. They are the runner's own; see ``__main__``."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from benchmarks.endurance.scenario import SkippedError, run_tool
from benchmarks.endurance.service import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["bound", "mounted", "own_mounts", "remount", "tmpfs", "unmount"]


_OWN_MOUNTS: Final = "SRWATCHD_ENDURANCE_OWN_MOUNTS"


def own_mounts(module: str) -> None:
    """Run ``module`` again with mounts of its own, where that is allowed: none outlives it or is seen outside."""
    if os.environ.get(_OWN_MOUNTS) or os.geteuid() != 0 or shutil.which("unshare") is None:
        return
    unshare = ["unshare", "--mount", "--propagation", "private"]
    if subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode == 0:
        os.environ[_OWN_MOUNTS] = "1"
        os.execvp(unshare[0], [*unshare, sys.executable, "-m", module, *sys.argv[1:]])  # noqa: S606


def tmpfs(place: Path, options: str) -> None:
    """Mount a new, empty file system in memory; raises SkippedError where nothing can be mounted."""
    place.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", options, "tmpfs", place)


def bound(source: Path, place: Path) -> None:
    """Make ``source`` appear at ``place``, as a mount of its own; raises SkippedError as :func:`tmpfs`."""
    source.mkdir(parents=True, exist_ok=True)
    place.mkdir(parents=True, exist_ok=True)
    _mount("--bind", source, place)


def unmount(place: Path) -> None:
    """Take away what is mounted at ``place``, even while it is in use."""
    run_tool("umount", "--lazy", place)


def remount(place: Path, how: str) -> None:
    """Change a mount to ``how`` (``ro``, ``rw``, ...), as soon as nobody has a file open for writing there."""

    def done() -> bool:
        try:
            run_tool("mount", "-o", f"remount,{how}", place)
        except subprocess.CalledProcessError:
            return False
        return True

    until(done, 30.0, f"remount {how}")


@contextlib.contextmanager
def mounted(*places: Path) -> Iterator[None]:
    """Whatever is mounted at ``places`` when the block ends is taken away then."""
    try:
        yield
    finally:
        for place in places:  # os.path.ismount() does not know a mount of the same file system
            with contextlib.suppress(subprocess.CalledProcessError):
                while True:
                    unmount(place)


def _mount(*words: str | Path) -> None:
    if os.geteuid() != 0:
        raise SkippedError("only root can mount")
    try:
        run_tool("mount", *words)
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        raise SkippedError(f"nothing can be mounted here: {getattr(error, 'stderr', error)}") from error
