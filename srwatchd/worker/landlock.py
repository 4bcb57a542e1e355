"""Landlock: this thread, and those that it starts, open no files but the ones named here (landlock(7)).

Later additions of the kernel are used as far as it has them: TCP (interface 4), devices (5), signals and abstract
sockets (6). Descriptors that are open already, or received later, keep what they could do.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["abi", "keep_signals_inside", "restrict"]

_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_ASK_VERSION: Final = 1
_PATH_BENEATH: Final = 1

_WRITE_FILE: Final = 1 << 1
_READ_FILE: Final = 1 << 2
_READ_DIR: Final = 1 << 3
_IOCTL_DEV: Final = 1 << 15
_FIRST_RIGHTS: Final = (1 << 13) - 1
_LATER_RIGHTS: Final = {2: 1 << 13, 3: 1 << 14, 5: _IOCTL_DEV}  # refer, truncate, ioctl of devices
_TCP: Final = 0b11  # bind, connect
_TCP_SINCE: Final = 4
_SCOPES: Final = 0b11  # abstract sockets, signals
_SIGNALS: Final = 0b10
_PR_SET_NO_NEW_PRIVS: Final = 38
_SCOPES_SINCE: Final = 6


def abi() -> int:
    """The version of the kernel's interface. Raises OSError where there is none, or it is refused."""
    return _call(_CREATE_RULESET, None, 0, _ASK_VERSION)


def restrict(readable: Iterable[str], devices: Iterable[str] = ()) -> int:
    """From now on only files below ``readable`` can be opened, for reading, and ``devices`` for both; the ABI used.

    Nothing can be made, removed or executed anywhere, no TCP port bound or connected to, no process outside be
    signalled or traced. Paths that are not there are left out. Needs ``no_new_privs``. Raises OSError.
    """
    version = abi()
    rights = _FIRST_RIGHTS
    for since, right in _LATER_RIGHTS.items():
        rights |= right if version >= since else 0
    attributes = struct.pack("=Q", rights)
    if version >= _TCP_SINCE:
        attributes += struct.pack("=Q", _TCP)
    if version >= _SCOPES_SINCE:
        attributes += struct.pack("=Q", _SCOPES)
    ruleset = _call(_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for path in readable:
            _allow(ruleset, path, _READ_FILE | _READ_DIR)
        for path in devices:
            _allow(ruleset, path, (_READ_FILE | _READ_DIR | _WRITE_FILE | _IOCTL_DEV) & rights)
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return version


def keep_signals_inside() -> bool:
    """From now on this thread, and what it starts, signal and trace only each other; whether the kernel can do that.

    It takes Linux 6.12. To be called before there are other threads. Sets ``no_new_privs``.
    """
    try:
        if abi() < _SCOPES_SINCE:
            return False
        ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        attributes = struct.pack("=QQQ", 0, 0, _SIGNALS)
        ruleset = _call(_CREATE_RULESET, attributes, len(attributes), 0)
        try:
            _call(_RESTRICT_SELF, ruleset, 0)
        finally:
            os.close(ruleset)
    except OSError:
        return False
    return True


def _allow(ruleset: int, path: str, rights: int) -> None:
    """Allow ``rights`` at and below ``path``, if it is there and may be reached."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not stat.S_ISDIR(os.fstat(place).st_mode):
                rights &= ~_READ_DIR
            _call(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
        finally:
            os.close(place)


def _call(number: int, *arguments: int | bytes | None) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    values = [ctypes.c_long(each) if isinstance(each, int) else ctypes.c_char_p(each) for each in arguments]
    result = int(libc.syscall(ctypes.c_long(number), *values))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
