"""How much memory this process takes, and may still take."""

from __future__ import annotations

import ctypes
import gc

__all__ = ["private", "reserved", "room", "trim"]


def private() -> int:
    """The bytes of private memory that this process has touched (``RssAnon`` of ``/proc/self/status``).

    What libraries reserve and never touch does not count; ``RLIMIT_DATA`` counts it, and is therefore set higher.
    """
    return _status("RssAnon:")


def reserved() -> int:
    """The bytes that the kernel counts for ``RLIMIT_DATA`` (``VmData``)."""
    return _status("VmData:")


def room(limit: int) -> int:
    """The bytes of private memory that this process may still take when ``limit`` is all it may have, at least 0."""
    return max(0, limit - private())


def trim() -> None:
    """Give memory that nothing uses any more back to the system (``malloc_trim(3)``, where the C library has it)."""
    gc.collect()
    release = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if release is not None:
        release(ctypes.c_size_t(0))


def _status(key: str) -> int:
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(key))
