"""How ``memory_limit`` is shared between the processes of the service. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["MemoryPlan", "plan_memory"]

_MIB: Final = 1 << 20
_SUPERVISOR: Final = 96 * _MIB
_CODEC_SHARE: Final = 0.35


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Bytes each process may hold in private memory; the kernel refuses the rest (``RLIMIT_DATA``)."""

    codec_workers: int
    inference_workers: int
    codec: int
    inference: int


def plan_memory(limit: int, workers: int) -> MemoryPlan:
    """Share ``limit`` bytes between the supervisor, ``workers`` inference workers and one codec worker more.

    One codec worker more than inference workers lets the next picture be decoded and the last one be encoded while
    this one is inferred. Rasters are files (see :mod:`srwatchd.pipeline.scratch`) and are not part of the plan: the
    kernel writes them back under pressure.
    """
    codec_workers = workers + 1
    rest = limit - _SUPERVISOR
    codec = int(rest * _CODEC_SHARE) // codec_workers
    inference = (rest - codec * codec_workers) // workers
    return MemoryPlan(codec_workers=codec_workers, inference_workers=workers, codec=codec, inference=inference)
