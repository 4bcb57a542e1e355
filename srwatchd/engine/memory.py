"""How much memory this process may still take."""

from __future__ import annotations

__all__ = ["room"]


def room(limit: int) -> int:
    """The bytes of private memory that this process may still take when ``limit`` is all it may have.

    Counted as the kernel does for ``RLIMIT_DATA``: reserved, not only touched, memory (``VmData`` of
    ``/proc/self/status``). Never negative.
    """
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        taken = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmData:"))
    return max(0, limit - taken)
