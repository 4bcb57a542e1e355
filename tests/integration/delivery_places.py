"""Mounts for the tests of delivery: a second file system, and a second mount of the same one."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["bind", "elsewhere", "fill", "mount", "remount", "tmpfs"]


@contextlib.contextmanager
def mount(point: Path, *arguments: str) -> Iterator[Path]:
    """Mount at the new folder ``point`` for the time of the block; skips where that is not allowed."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting needs root")
    point.mkdir()
    done = subprocess.run(["mount", *arguments, str(point)], capture_output=True, text=True, check=False)  # noqa: S607
    if done.returncode != 0:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
    try:
        yield point
    finally:
        subprocess.run(["umount", "--lazy", str(point)], check=True)  # noqa: S607


def tmpfs(point: Path, options: str = "size=1m") -> contextlib.AbstractContextManager[Path]:
    """A small file system of its own."""
    return mount(point, "-t", "tmpfs", "-o", options, "tmpfs")


def remount(point: Path, how: str) -> None:
    """Mount it again: ``ro`` or ``rw``."""
    subprocess.run(["mount", "-o", f"remount,{how}", str(point)], check=True)  # noqa: S607


def fill(place: Path) -> None:
    """Leave no byte free there."""
    with (place / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


@contextlib.contextmanager
def elsewhere(point: Path) -> Iterator[Path]:
    """A folder on another file system: 3 MiB at ``point`` for root, some folder in memory for anybody else."""
    if os.geteuid() == 0:
        with tmpfs(point, "size=3m") as mounted:
            yield mounted
        return
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or memory.stat().st_dev == point.parent.stat().st_dev:
        pytest.skip("there is no other file system to write to")
    with tempfile.TemporaryDirectory(dir=memory) as made:
        yield Path(made)


@contextlib.contextmanager
def bind(point: Path, of: Path) -> Iterator[Path]:
    """A second mount of the folder ``of``: the same file system, and yet rename says EXDEV."""
    of.mkdir()
    with mount(point, "--bind", str(of)) as mounted:
        yield mounted
