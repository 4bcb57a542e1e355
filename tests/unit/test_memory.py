"""srwatchd.pipeline.memory: the sum of all processes stays below memory_limit."""

from __future__ import annotations

import pytest

from srwatchd.config import MINIMUM_MEMORY, memory_floor
from srwatchd.pipeline.memory import plan_memory

MIB = 1 << 20


@pytest.mark.parametrize("workers", [1, 2, 4, 16])
@pytest.mark.parametrize("extra", [0, 1, 512 * MIB, 8 << 30])
def test_the_shares_never_exceed_the_limit(workers, extra):
    """All workers together leave the supervisor its 96 MiB, for every configuration that is accepted."""
    limit = memory_floor(workers) + extra
    plan = plan_memory(limit, workers)
    assert plan.codec_workers == workers + 1
    assert plan.inference_workers == workers
    total = plan.codec * plan.codec_workers + plan.inference * plan.inference_workers
    assert limit - 96 * MIB - workers <= total <= limit - 96 * MIB


@pytest.mark.parametrize("workers", [1, 3])
def test_more_memory_is_more_for_everyone(workers):
    """No share shrinks when the limit grows."""
    small, large = plan_memory(memory_floor(workers), workers), plan_memory(4 << 30, workers)
    assert small.codec < large.codec
    assert small.inference < large.inference


def test_the_smallest_service_can_work():
    """At the smallest accepted limit an inference worker has well over 100 MiB, a codec worker 48 MiB."""
    plan = plan_memory(MINIMUM_MEMORY, 1)
    assert plan.inference > 128 * MIB
    assert plan.codec > 48 * MIB
