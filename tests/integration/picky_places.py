"""A stand-in for file systems that do not take every name: below some folders, names with ``:`` in them are refused."""

from __future__ import annotations

import ctypes
import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from srwatchd import storage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

__all__ = ["make_picky"]


@dataclass(frozen=True)
class _Picky:
    roots: tuple[str, ...]
    code: int

    def refuses(self, name: Any, dir_fd: int | None) -> bool:
        if dir_fd is None or ":" not in os.fsdecode(name):
            return False
        return os.readlink(f"/proc/self/fd/{dir_fd}").startswith(self.roots)

    def guarded(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def guard(name: Any, *args: Any, dir_fd: int | None = None, **kwargs: Any) -> Any:
            if self.refuses(name, dir_fd):
                raise OSError(self.code, os.strerror(self.code), name)
            return call(name, *args, dir_fd=dir_fd, **kwargs)

        return guard

    def making(self, call: Callable[..., Any]) -> Callable[..., Any]:
        guard = self.guarded(call)

        def opened(name: Any, flags: int, *args: Any, **kwargs: Any) -> Any:
            return (guard if flags & os.O_CREAT else call)(name, flags, *args, **kwargs)

        return opened

    def link(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def linked(source: Any, target: Any, *, src_dir_fd: int, dst_dir_fd: int, **kwargs: Any) -> None:
            if self.refuses(target, dst_dir_fd):
                raise PermissionError(errno.EPERM, "no hard links")
            call(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd, **kwargs)

        return linked

    def rename(self, call: Callable[..., Any]) -> Callable[..., int]:
        def renamed(source_fd: int, source: bytes, target_fd: int, target: bytes, flags: int) -> int:
            if self.refuses(target, target_fd):
                ctypes.set_errno(self.code)
                return -1
            return int(call(source_fd, source, target_fd, target, flags))

        return renamed


def make_picky(monkeypatch: pytest.MonkeyPatch, *roots: Path, code: int = errno.EINVAL, looks: bool = False) -> None:
    """Refuse such names below ``roots`` with ``code``, as vfat does; with ``looks`` already when they are looked for.

    Like vfat they have an exclusive rename, which says EINVAL, and no hard links.
    """
    picky = _Picky(tuple(map(str, roots)), code)
    monkeypatch.setattr(os, "mkdir", picky.guarded(os.mkdir))
    monkeypatch.setattr(os, "open", picky.guarded(os.open) if looks else picky.making(os.open))
    if looks:
        monkeypatch.setattr(os, "stat", picky.guarded(os.stat))
    monkeypatch.setattr(os, "link", picky.link(os.link))
    monkeypatch.setattr(storage, "_renameat2", picky.rename(storage._renameat2))
