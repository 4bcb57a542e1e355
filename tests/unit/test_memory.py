"""srwatchd.pipeline.memory: the sum of all processes stays below memory_limit, and what is lent comes back."""

from __future__ import annotations

import asyncio

import pytest

from srwatchd.config import MINIMUM_MEMORY, memory_floor
from srwatchd.pipeline.memory import Allotment, plan_memory, plan_renditions

MIB = 1 << 20
CONSOLE = 108 * MIB
SUPERVISOR, LIBRARIES, CODEC_IDLE, INFERENCE_IDLE = 72 * MIB, 56 * MIB, 24 * MIB, 64 * MIB


@pytest.mark.parametrize("workers", [1, 2, 4, 16])
@pytest.mark.parametrize("extra", [0, 1, 512 * MIB, 8 << 30])
def test_the_parts_never_exceed_the_limit(workers, extra):
    """Supervisor, idle workers, libraries, pages and all that is lent together are what is allowed, to the byte."""
    limit = memory_floor(workers) + extra
    plan = plan_memory(limit, workers)
    assert plan.codec_workers == workers + 1
    assert plan.inference_workers == workers
    idle = SUPERVISOR + LIBRARIES + CODEC_IDLE * plan.codec_workers + INFERENCE_IDLE * workers
    assert idle + plan.pages + plan.alone == limit
    assert plan.codec_share * plan.codec_workers <= plan.codec
    assert 2 * plan.write_behind * (plan.codec_workers + workers) <= plan.pages


@pytest.mark.parametrize("workers", [1, 3])
def test_more_memory_is_more_for_everyone(workers):
    """No part shrinks when the limit grows."""
    small, large = plan_memory(memory_floor(workers), workers), plan_memory(4 << 30, workers)
    assert small.codec_share < large.codec_share
    assert small.inference < large.inference
    assert small.write_behind < large.write_behind


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_the_smallest_service_can_work(workers):
    """At the smallest accepted limit a codec worker streams 12 megapixels, and tiles have 40 MiB."""
    plan = plan_memory(memory_floor(workers), workers)
    assert plan.codec_share >= 24 * MIB
    assert plan.inference >= 40 * MIB
    assert plan.alone >= 100 * MIB


def test_networks_are_given_what_tiles_can_use_and_large_ones_a_quarter():
    """An everyday limit leaves the rest to codecs; a large one leaves room for networks of millions of weights."""
    assert plan_memory(2 << 30, 1).inference == 448 * MIB
    large = plan_memory(64 << 30, 1)
    assert large.inference == large.alone // 4


def test_the_kernel_is_told_more_than_is_planned():
    """RLIMIT_DATA counts what is only reserved: it is a net, not the plan."""
    plan = plan_memory(MINIMUM_MEMORY, 1)
    assert plan.codec_limit > plan.alone + CODEC_IDLE
    assert plan.inference_limit(1) > plan.inference_memory
    assert plan.inference_limit(64) > plan.inference_limit(1)


async def _settled():
    for _ in range(5):
        await asyncio.sleep(0)


class _Borrower:
    def __init__(self, allotment, size):
        self.having = False
        self._leave = asyncio.Event()
        self.task = asyncio.create_task(self._run(allotment, size))

    async def _run(self, allotment, size):
        async with allotment.lent(size):
            self.having = True
            await self._leave.wait()
        self.having = False

    async def leave(self):
        self._leave.set()
        await self.task
        await _settled()


def test_what_fits_is_lent_at_once_and_the_rest_waits_its_turn():
    """A small one that would fit does not overtake a large one that waits."""

    async def play():
        allotment = Allotment(100)
        first, large, small = (_Borrower(allotment, size) for size in (60, 100, 10))
        await _settled()
        assert (first.having, large.having, small.having) == (True, False, False)
        await first.leave()
        assert (large.having, small.having) == (True, False)
        await large.leave()
        assert small.having
        await small.leave()
        assert allotment.free == allotment.total == 100

    asyncio.run(play())


def test_what_fits_together_is_lent_together():
    """Everyday pictures do not wait for each other."""

    async def play():
        allotment = Allotment(100)
        borrowers = [_Borrower(allotment, 50) for _ in range(3)]
        await _settled()
        assert [each.having for each in borrowers] == [True, True, False]
        for each in borrowers:
            await each.leave()
        assert allotment.free == 100

    asyncio.run(play())


def test_one_that_gives_up_waiting_lets_the_next_one_in():
    """A cancelled wait takes nothing, and does not stand in the way."""

    async def play():
        allotment = Allotment(100)
        first, large, small = (_Borrower(allotment, size) for size in (60, 100, 10))
        await _settled()
        large.task.cancel()
        await _settled()
        assert small.having
        await small.leave()
        await first.leave()
        assert allotment.free == 100

    asyncio.run(play())


def test_one_cancelled_while_it_is_given_its_part_gives_it_back():
    """Lent and cancelled in the same turn of the loop: nothing is lost."""

    async def play():
        allotment = Allotment(100)
        first, second = _Borrower(allotment, 100), _Borrower(allotment, 100)
        await _settled()
        first._leave.set()
        await first.task
        second.task.cancel()
        await _settled()
        assert second.task.cancelled()
        assert allotment.free == 100

    asyncio.run(play())


def test_one_that_gives_up_while_another_gives_back_loses_nothing():
    """Its place in the queue is passed over when it has gone and does not know yet; nobody else fails for it."""

    async def play():
        allotment = Allotment(100)
        first, second, third = (_Borrower(allotment, size) for size in (100, 100, 60))
        await _settled()
        first._leave.set()
        second.task.cancel()  # before the first one is awake, and awake itself after that one
        await first.task
        await _settled()
        assert second.task.cancelled()
        assert third.having
        await third.leave()
        assert allotment.free == 100

    asyncio.run(play())


def test_more_than_there_is_is_refused():
    """It would wait for ever."""

    async def play():
        with pytest.raises(ValueError, match="101 of 100"):
            async with Allotment(100).lent(101):
                pass

    asyncio.run(play())


@pytest.mark.parametrize("limit", [192, 256, 512, 1024, 4096])
def test_a_console_s_parts_never_exceed_its_limit(limit):
    """Console, libraries, idle workers and all that is lent to them together; one worker at least, a few at most."""
    plan = plan_renditions(limit * MIB)
    assert 1 <= plan.workers <= 4
    assert plan.share * plan.workers <= plan.codec < plan.limit
    assert CONSOLE + CODEC_IDLE * plan.workers + plan.codec == limit * MIB


def test_the_smallest_console_shows_a_camera_s_picture():
    """12 megapixels as a baseline JPEG: 640 rows of its decoder, 2048 of the filter, and what comes besides."""
    assert plan_renditions(192 * MIB).share > 16 * MIB + (640 * 3 + 2048 * 3) * 4300
