"""How ``memory_limit`` is shared between the processes of the service. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["MemoryPlan", "plan_memory"]

_MIB: Final = 1 << 20
_SUPERVISOR: Final = 96 * _MIB
_CODEC_SHARE: Final = 0.35
_CODEC_RESERVED: Final = 128 * _MIB
_INFERENCE_RESERVED: Final = 448 * _MIB
"""What a worker's libraries reserve and never touch (thread stacks, arenas of allocators): ``VmData`` less ``RssAnon``
of an idle worker is 95 MiB for a codec worker and 425 MiB for an inference worker with both engines loaded. The kernel
counts it for ``RLIMIT_DATA``; memory it is not.
"""


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """How many workers there are, and the bytes of private memory that each may take.

    ``codec`` and ``inference`` are real memory; ``codec_limit`` and ``inference_limit`` what the kernel is told
    (``RLIMIT_DATA``), which counts memory that is only reserved, too.
    """

    codec_workers: int
    inference_workers: int
    codec: int
    inference: int

    @property
    def codec_limit(self) -> int:
        """``RLIMIT_DATA`` of a codec worker."""
        return self.codec + _CODEC_RESERVED

    @property
    def inference_limit(self) -> int:
        """``RLIMIT_DATA`` of an inference worker."""
        return self.inference + _INFERENCE_RESERVED


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
