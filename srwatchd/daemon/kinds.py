"""The two kinds of workers, as far as no configuration decides about them. Quick to import."""

from __future__ import annotations

from typing import Final

from srwatchd.worker.launch import SpawnSettings

__all__ = ["CODEC", "inference"]

CODEC: Final = SpawnSettings(
    role="codec",
    tasks="srwatchd.pipeline.codec_tasks:TASKS",
    threads=1,
    environment={
        "MALLOC_ARENA_MAX": "1",
        "MALLOC_MMAP_THRESHOLD_": str(1 << 19),
        "MALLOC_TRIM_THRESHOLD_": str(1 << 20),
    },
)
"""Opens, encodes and verifies pictures. With these settings of glibc, large blocks never fragment its heap: a streaming
codec takes a fifth of the memory."""


def inference(threads: int) -> SpawnSettings:
    """Runs networks with ``threads`` threads. NumPy multiplies no matrices there; its own would only reserve memory."""
    return SpawnSettings(
        role="infer",
        tasks="srwatchd.pipeline.inference_tasks:TASKS",
        threads=threads,
        environment={"OPENBLAS_NUM_THREADS": "1"},
    )
