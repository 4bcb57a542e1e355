"""A soak: one daemon, thousands of pictures, and faults at random for as long as one likes.

::

    python -m benchmarks.soak --minutes 45 --report docs/soak.md      as root, for the mounts
    python -m benchmarks.soak --seconds 25                            the short version

Pictures of every kind keep coming, whole and broken, quick and slow, under every name; meanwhile processes are killed,
disks are full or read-only or gone, the configuration is read again, folders are paused. Memory, descriptors, threads
and what lies about are sampled all the time. In the end every source must be exactly once in archive or error, with one
whole result of each good one, the ledger must verify, and nothing may be left over. Everything of the daemon is used as
its users use it; the parts are those of ``benchmarks.endurance``.
"""

from __future__ import annotations

__all__: list[str] = []
