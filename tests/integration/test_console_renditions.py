"""srwatchd.console.renditions: pictures for pages, from real confined workers."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from srwatchd.codec.vips import pyvips
from srwatchd.console.pictureworkers import PictureWorkers
from srwatchd.console.refusals import DeclinedError
from srwatchd.console.renditions import Renditions, View
from srwatchd.console.shelf import Shelf
from srwatchd.errors import PermanentError
from srwatchd.pipeline.memory import plan_renditions
from srwatchd.storage import STAGING_PREFIX
from srwatchd.worker.process import Worker

sys.path.append(str(Path(__file__).parents[1] / "golden"))
import pictures

MIB = 1 << 20
LOTS = 1 << 30


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "console" / "renditions"


def within(folder, use, *, memory_limit=512 * MIB, most=64 * MIB):
    """What ``use(renditions)`` gives, with workers that end afterwards."""

    async def run():
        workers = PictureWorkers(memory_limit)
        renditions = Renditions(folder, workers, most=most)
        try:
            return await use(renditions)
        finally:
            await renditions.close()
            await workers.close()

    before = set(os.listdir("/proc/self/fd"))
    result = asyncio.run(run())
    assert len(os.listdir("/proc/self/fd")) <= len(before)
    return result


def file(folder, pixels=None, name="a.png", kind="png"):
    path = folder.parents[1] / name
    path.write_bytes(pictures.encoded(pictures.image(pictures.scene(300, 200) if pixels is None else pixels), kind))
    return path


async def looked_at(renditions, path, view=None, max_pixels=LOTS):
    """The picture that is shown of the file, its type, and its tag."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        made = await renditions.shown(descriptor, view or View(100), max_pixels=max_pixels)
    finally:
        os.close(descriptor)
    image = pyvips().Image.new_from_buffer(os.pread(made.descriptor, 1 << 24, 0), "")
    os.close(made.descriptor)
    return (image.width, image.height), made.media_type, made.tag


def states(renditions):
    pool = renditions._workers.crew._pool
    return [] if pool is None else [each.phase for each in pool.states()]


async def until(true):
    while not true():  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0.005)


def test_made_once_and_kept(folder):
    """The second time it comes from the disk, also after a restart; another view, or a changed file, is made anew."""
    path = file(folder)

    async def first(renditions):
        assert states(renditions) == []
        one = await looked_at(renditions, path)
        assert one[:2] == ((100, 67), "image/jpeg")
        assert await looked_at(renditions, path) == one
        other = await looked_at(renditions, path, View(50, (10, 10, 100, 100)))
        assert other[0] == (50, 50)
        assert (renditions.counts.made, renditions.counts.kept) == (2, 1)
        return one

    one = within(folder, first)

    async def again(renditions):
        assert await looked_at(renditions, path) == one
        assert states(renditions) == []
        path.write_bytes(pictures.encoded(pictures.image(pictures.scene(80, 200, 4)), "png"))
        changed = await looked_at(renditions, path)
        assert changed[:2] == ((40, 100), "image/png")
        assert changed[2] != one[2]

    within(folder, again)
    assert not [each for each in os.listdir(folder) if each.startswith(STAGING_PREFIX)]
    assert folder.stat().st_mode & 0o777 == 0o700


def test_the_same_for_many_is_made_once(folder):
    """Fifty who ask at once get one and the same; one who goes away takes nothing from the others."""
    path = file(folder)

    async def use(renditions):
        asking = [asyncio.create_task(looked_at(renditions, path)) for _ in range(50)]
        await until(lambda: renditions.in_flight)
        for each in asking[:10]:
            each.cancel()
        results = await asyncio.gather(*asking, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in results[:10])
        assert len(set(results[10:])) == 1
        assert renditions.counts.made == 1
        assert not renditions.in_flight

    within(folder, use)


def begun(renditions):
    return sum(each.begun for each in renditions._makings.values())


def test_what_nobody_waits_for_is_not_begun(folder):
    """Views that a page has turned away from cost no worker; what is being made is finished and kept."""
    path = file(folder, np.random.default_rng(1).integers(0, 255, (3000, 3000, 3), np.uint8))

    async def use(renditions):
        count = plan_renditions(512 * MIB).workers
        asking = [asyncio.create_task(looked_at(renditions, path, View(100)))]
        await until(lambda: begun(renditions) or renditions.counts.made)
        asking += [asyncio.create_task(looked_at(renditions, path, View(number))) for number in range(101, count + 120)]
        await until(lambda: begun(renditions) >= count)
        for each in asking:
            each.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        left = [each for each in renditions._makings.values() if not each.task.done()]
        assert all(each.begun for each in left)
        every = renditions.counts.made + len(left)  # a fast worker may have begun its second one before we looked
        assert count <= every < len(asking)
        assert (await looked_at(renditions, path, View(100)))[0] == (100, 100)
        await until(lambda: not renditions.in_flight)
        assert renditions.counts.made == every

    within(folder, use)


def test_many_that_are_given_up_while_workers_start_leave_nothing_behind(folder, monkeypatch):
    """A page that is left before its first picture: the next one is made as if nothing had been."""
    path = file(folder)
    spawn, left = Worker.spawn, asyncio.Event()

    async def spawned(settings):
        await left.wait()
        return await spawn(settings)

    monkeypatch.setattr(Worker, "spawn", spawned)

    async def use(renditions):
        workers = renditions._workers
        count = plan_renditions(512 * MIB).workers
        asking = [asyncio.create_task(looked_at(renditions, path, View(100 + number))) for number in range(count + 4)]
        await until(lambda: len(workers._lendable._waiting) == 4)
        assert not begun(renditions)
        for each in asking:
            each.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        left.set()
        await until(lambda: not renditions.in_flight)
        assert (await looked_at(renditions, path, View(50)))[0] == (50, 33)
        assert workers._lendable.free == workers.all

    within(folder, use)


def test_bounded(folder):
    """The ones that nobody asked for longest go; what is left over of a crash is swept at the next start."""
    folder.mkdir(parents=True)
    (folder / f"{STAGING_PREFIX}1-1.tmp").write_bytes(b"half")
    for number in range(10):
        (folder / f"{number}.jpg").write_bytes(bytes(1000))
        os.utime(folder / f"{number}.jpg", (number, number))
    shelf = Shelf(folder, 6000)
    shelf.prepare()
    staged, descriptor = shelf.staged()
    os.write(descriptor, bytes(1000))
    os.close(descriptor)
    assert sorted(os.listdir(folder)) == [staged, *(f"{number}.jpg" for number in range(5, 10))]
    found = shelf.find("5.jpg")
    os.close(found[1])
    shelf.keep(staged, "new.png")
    assert shelf.used == 6000
    staged, descriptor = shelf.staged()
    os.close(descriptor)
    shelf.keep(staged, "empty.png")
    staged, descriptor = shelf.staged()
    os.write(descriptor, bytes(500))
    os.close(descriptor)
    shelf.keep(staged, "last.png")
    assert sorted(os.listdir(folder)) == ["5.jpg", "8.jpg", "9.jpg", "empty.png", "last.png", "new.png"]
    assert shelf.used == 4500


def test_one_that_is_larger_than_all_the_room_is_shown_all_the_same(folder):
    """The latest one is not thrown away for its own sake."""
    path = file(folder, np.random.default_rng(1).integers(0, 255, (900, 900, 3), np.uint8))

    async def use(renditions):
        assert (await looked_at(renditions, path, View(900)))[0] == (900, 900)
        assert len(os.listdir(folder)) == 1

    within(folder, use, most=1000)


def test_large_pictures_get_all_the_memory_or_figures(folder):
    """More than one worker's share is lent when nobody else needs it; more than all is refused, and no worker dies."""
    plan = plan_renditions(512 * MIB)
    edge = int(((plan.share + plan.codec) / 2 / 17) ** 0.5)
    flat = pyvips().Image.black(edge, edge, bands=3).copy(interpretation="srgb")
    large = folder.parents[1] / "large.webp"
    large.write_bytes(flat.webpsave_buffer(lossless=True, effort=0))
    huge = folder.parents[1] / "huge.webp"
    huge.write_bytes(flat.resize(2).webpsave_buffer(lossless=True, effort=0))

    async def use(renditions):
        assert (await looked_at(renditions, large, View(64)))[0] == (64, 64)
        with pytest.raises(PermanentError, match=r"needs \d+ MiB; \d+ are allowed") as caught:
            await looked_at(renditions, huge, View(64))
        assert caught.value.code == "too_large_for_memory"
        assert "console.memory_limit" in caught.value.hint
        assert renditions._workers.crew._pool.restarts == 0

    within(folder, use)


def test_what_cannot_be_shown_is_remembered_for_a_while(folder):
    """A damaged picture costs its worker once a minute, not with every look."""
    path = folder.parents[1] / "cut.png"
    path.write_bytes(pictures.encoded(pictures.image(pictures.scene()), "png")[:-3000])

    async def use(renditions):
        for _ in range(3):
            with pytest.raises(PermanentError) as caught:
                await looked_at(renditions, path)
            assert caught.value.code == "incomplete"
        assert renditions.counts.failed == 1
        bomb = folder.parents[1] / "bomb.png"
        bomb.write_bytes(pictures.png_bomb())
        with pytest.raises(PermanentError) as caught:
            await looked_at(renditions, bomb, max_pixels=10**8)
        assert caught.value.code == "too_many_pixels"

    within(folder, use)


def test_workers_that_die_are_the_console_s_trouble(folder, monkeypatch):
    """One death is made good; after the second the page is told to ask again, and the next picture works."""
    path = file(folder)
    call, deaths = Worker.call, 0

    async def cut_short(worker, *asked, **options):
        nonlocal deaths
        if deaths:
            deaths -= 1
            os.kill(worker.pid, signal.SIGSTOP)  # else it may answer before it is killed, which is once it was asked
            asyncio.get_running_loop().call_soon(os.kill, worker.pid, signal.SIGKILL)
        return await call(worker, *asked, **options)

    monkeypatch.setattr(Worker, "call", cut_short)

    async def use(renditions):
        nonlocal deaths
        deaths = 1
        assert (await looked_at(renditions, path, View(70)))[0] == (70, 47)
        assert deaths == 0
        deaths = 2
        with pytest.raises(DeclinedError) as caught:
            await looked_at(renditions, path, View(71))
        assert (caught.value.status, caught.value.code) == (503, "worker_killed")
        assert deaths == 0
        assert (await looked_at(renditions, path, View(72)))[0] == (72, 48)

    within(folder, use)


def test_workers_rest_when_there_is_nothing_to_do(folder):
    """After a while without pictures no process is left, and the next picture starts one again."""
    path = file(folder)

    async def use(renditions):
        renditions._workers.crew._rest = 0.05
        await looked_at(renditions, path, View(20))
        crew = renditions._workers.crew
        await until(lambda: crew.resting and not crew._ending)
        assert (await looked_at(renditions, path, View(21)))[0] == (21, 14)

    within(folder, use)
