"""The optional key of the chain."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from srwatchd.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_key"]

_SHORTEST: Final = 16
_LONGEST: Final = 4096


def read_key(path: Path) -> bytes:
    """The bytes of a key file exactly as they are, 16 to 4096 of them.

    Raises :class:`~srwatchd.errors.ConfigurationError` when it cannot be read or is no such file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            key = os.read(descriptor, _LONGEST + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _refused(path, error.strerror or "cannot be read") from error
    if not _SHORTEST <= len(key) <= _LONGEST:
        raise _refused(path, f"a key has {_SHORTEST} to {_LONGEST} bytes")
    return key


def _refused(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError((Problem(os.fspath(path), 0, "audit.key_file", why),))
