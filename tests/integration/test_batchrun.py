"""srwatchd.daemon.batchrun, batch and selection, with real folders and stand-ins for the workers."""
# ruff: noqa: ARG002 - stand-ins have the signatures of what they stand in for

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1]))
from daemon_standin import CLOCK, FakeStages, folder, spec
from worker_bench import no_descriptor_left

from srwatchd.audit import Ledger
from srwatchd.daemon import batch as batch_module
from srwatchd.daemon.batch import Order, run_batch
from srwatchd.daemon.batchrun import BatchRun, Fate, Workbench
from srwatchd.daemon.crew import CrewSettings
from srwatchd.daemon.lane import Lane
from srwatchd.daemon.selection import OutputIsSourceError, Source, select
from srwatchd.delivery import Destination
from srwatchd.errors import HostError, InstanceError, ModelError, PermanentError, TransientError

PICTURE = b"a picture"


@pytest.fixture
def run(tmp_path):
    """Runs one source through stand-in stages; gives the result."""
    (tmp_path / "out").mkdir()
    ledger = Ledger(tmp_path / "audit.jsonl")
    ledger.open()

    def do(stages, *, content=PICTURE, ledger=ledger, skip_existing=False, cancel_at=None, **settings):
        source = Source(tmp_path / "a.png", "a.png")
        if content is not None:
            source.path.write_bytes(content)
        lane = Lane("test")
        bench = Workbench(
            batch="b1",
            spec=spec(),
            folder=folder(tmp_path, done=tmp_path / "out", **settings),
            destination=Destination(tmp_path / "out"),
            stages=stages,
            lane=lane,
            clock=lambda: CLOCK,
            skip_existing=skip_existing,
            ledger=ledger,
        )

        async def main():
            task = asyncio.create_task(BatchRun(source, bench).run())
            if cancel_at is not None:
                await cancel_at.wait()
                task.cancel()
            return await task

        try:
            return asyncio.run(main())
        finally:
            lane.close()

    yield do
    ledger.close()


def names(tmp_path):
    return sorted(os.listdir(tmp_path / "out"))


def test_out_of_memory_is_tried_again_with_half_the_tile(run, tmp_path):
    """Each shortage halves the tile, never below 32."""
    shortage = [TransientError("out_of_memory", "no room"), TransientError("out_of_memory", "no room"), None]
    stages = FakeStages(upscale=shortage, tile=100)
    assert run(stages).fate is Fate.DELIVERED
    assert stages.seen("upscale") == [("first", 100), ("first", 50), ("first", 32)]
    assert names(tmp_path) == ["a_x2.png"]


def test_attempts_end(run, tmp_path):
    """After the configured number of attempts the picture fails, with every reason."""
    stages = FakeStages(encode=[TransientError("worker_died", f"time {number}") for number in (1, 2, 3)])
    result = run(stages)
    assert (result.fate, result.error.code) == (Fate.FAILED, "attempts_exhausted")
    assert "1. worker_died: time 1; 2. worker_died: time 2" in result.error.message
    assert names(tmp_path) == []


def test_an_implausible_result_gets_another_engine(run):
    """What looks wrong on every engine fails."""
    wrong = PermanentError("result_not_plausible", "black")
    stages = FakeStages(verify=[wrong, None])
    assert run(stages).fate is Fate.DELIVERED
    assert [engine for engine, _ in stages.seen("upscale")] == ["first", "second"]
    assert run(FakeStages(verify=[wrong, wrong])).error.code == "result_not_plausible"


@pytest.mark.parametrize(
    ("code", "content", "event"),
    [
        ("incomplete", b"broken", None),
        ("source_vanished", None, None),
        ("internal_error", PICTURE, RuntimeError("a defect")),
        ("io_error", PICTURE, HostError("io_error", "a bad sector")),
    ],
)
def test_what_one_picture_is_at_fault_for_fails_it_alone(run, code, content, event):
    """Its own errors, an unreadable source and a defect end one picture, recorded, and not the batch."""
    result = run(FakeStages(decode=[event]), content=content)
    assert (result.fate, result.error.code) == (Fate.FAILED, code)


def test_what_the_machine_is_at_fault_for_goes_up(run, tmp_path):
    """A full disk or a missing worker ends the batch; nothing is left behind."""
    for stage in ("decode", "upscale", "encode", "verify"):
        with pytest.raises(HostError, match="full"):
            run(FakeStages(**{stage: [HostError("disk_full", "full")]}))
    with pytest.raises(ModelError):
        run(FakeStages(upscale=[ModelError("model_altered", "another file")]))
    assert names(tmp_path) == []


def test_a_source_that_changes_meanwhile_is_read_again(run, tmp_path):
    """The result is of the bytes that are there at the end."""

    async def write():
        (tmp_path / "a.png").write_bytes(PICTURE + b" changed")

    stages = FakeStages(encode=[write])
    assert run(stages).fate is Fate.DELIVERED
    assert stages.seen("decode") == [PICTURE, PICTURE + b" changed"]


def test_a_taken_name_is_an_error_where_it_is_wished(run, tmp_path):
    """on_conflict: error fails the picture and leaves what is there."""
    (tmp_path / "out" / "a_x2.png").write_bytes(b"older")
    result = run(FakeStages(), output={"on_conflict": "error"})
    assert result.error.code == "name_taken"
    assert (tmp_path / "out" / "a_x2.png").read_bytes() == b"older"
    assert run(FakeStages()).path == tmp_path / "out" / "a_x2 (1).png"


def test_an_existing_result_counts_when_it_is_whole_and_of_this_picture(run, tmp_path):
    """A folder or another picture's result of that name is passed over, the next number looked at."""
    out = tmp_path / "out"
    (out / "a_x2.png").mkdir()
    (out / "a_x2 (1).png").write_bytes(b"another's")
    (out / "a_x2 (2).png").write_bytes(b"ours")
    stages = FakeStages(verify=[PermanentError("result_not_plausible", "another"), None])
    result = run(stages, skip_existing=True)
    assert (result.fate, result.path) == (Fate.SKIPPED, out / "a_x2 (2).png")
    assert stages.seen("upscale") == []


def test_special_files_are_never_read(run, tmp_path):
    """A FIFO in a picture's place neither blocks nor counts."""
    os.mkfifo(tmp_path / "a.png")
    assert run(FakeStages(), content=None).error.code == "not_a_picture"


def test_no_picture_without_its_record(run, tmp_path):
    """When the ledger refuses the intent, nothing is placed and the batch ends."""

    class Refusing:
        def append(self, entries):
            raise HostError("ledger_unwritable", "full")

    with pytest.raises(HostError, match="full"):
        run(FakeStages(), ledger=Refusing())
    assert names(tmp_path) == []


@pytest.mark.parametrize("stage", ["decode", "upscale", "encode", "verify"])
def test_a_cancelled_run_leaves_nothing(run, tmp_path, stage):
    """Whatever it was doing: no staged file, no descriptor of the picture stays open."""
    reached = asyncio.Event()

    async def stay():
        reached.set()
        await asyncio.sleep(60)

    with no_descriptor_left(), pytest.raises(asyncio.CancelledError):
        run(FakeStages(**{stage: [stay]}), cancel_at=reached)
    assert names(tmp_path) == []


# -- the batch ----------------------------------------------------------------------------------------------------


class _Crew:
    """Stand-in workers."""

    slots = 2
    script: dict
    timed: list[bool]

    def __init__(self, settings):
        self._stages = FakeStages(**self.script)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        return None

    def hasten(self):
        """Nothing to start."""

    async def choose(self, spec, *, timed):
        self.timed.append(timed)
        return self._stages.choice(spec.name)

    def stages(self, choice):
        return self._stages


class _Listener:
    def __init__(self):
        self.ends = []

    def chosen(self, choice):
        """Nothing."""

    def ended(self, result):
        self.ends.append(result)

    def advanced(self, done, running):
        """Nothing."""


@pytest.fixture
def batch(tmp_path, monkeypatch):
    """Runs a batch of three pictures with a scripted crew."""
    sources = []
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).write_bytes(PICTURE)
        sources.append(Source(tmp_path / name, name))

    def do(*, only=slice(None), timed=None, **script):
        monkeypatch.setattr(
            batch_module,
            "Crew",
            type("Scripted", (_Crew,), {"script": script, "timed": timed if timed is not None else []}),
        )
        crew = CrewSettings(engine=None, memory_limit=0, workers=1, scratch=tmp_path)
        settings = folder(tmp_path, done=tmp_path / "deep" / "out")
        return run_batch(Order(sources=tuple(sources[only]), spec=spec(), folder=settings, crew=crew), _Listener())

    return do


def test_the_engines_are_timed_for_more_than_a_megabyte(batch, tmp_path):
    """For little work that would take longer than it saves."""
    timed = []
    batch(timed=timed)
    with open(tmp_path / "b.png", "ab") as file:
        file.truncate(1 << 20)
    batch(timed=timed)
    assert timed == [False, True]


def test_the_machines_fault_stops_the_batch_and_says_what_is_left(batch):
    """Nobody's picture is at fault; the rest waits for a rerun: exit 3."""
    report = batch(upscale=[None, HostError("disk_full", "full")])
    assert report.stopped.code == "disk_full"
    assert (report.exit_status, len(report.left) >= 1, report.interrupted) == (3, True, False)


def test_a_fatal_error_on_the_way_keeps_its_exit_status(batch):
    """A model that is exchanged under a running batch ends it with 70."""
    assert batch(upscale=[ModelError("model_altered", "another file")]).exit_status == 70


def test_only_leftovers_of_batches_are_swept(batch, tmp_path):
    """A staged file of a killed batch goes; one of a daemon's job, which may still deliver it, stays."""
    out = tmp_path / "deep" / "out"
    out.mkdir(parents=True)
    (out / ".srwatchd-batch-1.result").write_bytes(b"")
    (out / ".srwatchd-0123abcd.result").write_bytes(b"")
    assert batch().exit_status == 0
    assert sorted(os.listdir(out)) == [".srwatchd-0123abcd.result", "a_x2.png", "b_x2.png", "c_x2.png"]


def test_nothing_to_do_is_done_without_workers(batch):
    """An empty selection starts no process and succeeds."""
    report = batch(only=slice(0))
    assert (report.exit_status, report.results, report.choice) == (0, (), None)


def test_an_instance_error_is_no_result(batch, monkeypatch):
    """What keeps the batch from beginning is raised."""
    monkeypatch.setattr(_Crew, "choose", _refuse)
    with pytest.raises(InstanceError):
        batch()


async def _refuse(_self, _spec, **_):
    raise InstanceError("another_instance", "busy")


# -- the selection -------------------------------------------------------------------------------------------------


def picked(selection):
    return [source.name for source in selection.sources]


def test_folders_give_their_pictures_in_order(tmp_path):
    """By name or content, sorted; junk, links to folders, other files and the output are left out."""
    source, out = tmp_path / "in", tmp_path / "in" / "out"
    (source / "sub" / "@eaDir").mkdir(parents=True)
    out.mkdir()
    for name in ("b.PNG", "a.jpg", "sub/c.tif", "sub/@eaDir/d.png", "out/e.png", ".f.png", "g.part"):
        (source / name).write_bytes(b"x")
    (source / "sub" / "no_extension").write_bytes(b"\xff\xd8\xff\xe0")
    (source / "table.csv").write_text("1;2")
    (source / "loop").symlink_to(source)
    os.mkfifo(source / "pipe")
    flat = select([source], recursive=False, output=out, names=folder())
    assert picked(flat) == ["a.jpg", "b.PNG"]
    assert [path.name for path in flat.no_pictures] == ["pipe", "table.csv"]
    deep = select([source], recursive=True, output=out, names=folder())
    assert picked(deep) == ["a.jpg", "b.PNG", "sub/c.tif", "sub/no_extension"]


def test_a_picture_named_twice_is_taken_once(tmp_path):
    """By itself, by its folder, by a link: one file, one result. A file that is named is taken whatever it is."""
    (tmp_path / "a.png").write_bytes(b"x")
    (tmp_path / "b.txt").write_bytes(b"x")
    (tmp_path / "c.png").symlink_to(tmp_path / "a.png")
    given = [tmp_path / "b.txt", tmp_path / "a.png", tmp_path, tmp_path / "c.png"]
    assert picked(select(given, recursive=False, output=tmp_path / "out", names=folder())) == ["b.txt", "a.png"]


def test_a_folder_is_not_its_own_output(tmp_path):
    """Under any of its names."""
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(OutputIsSourceError):
        select([tmp_path], recursive=False, output=tmp_path / "link", names=folder())


def test_a_folder_that_cannot_be_listed_is_told(tmp_path, monkeypatch):
    """The rest of the batch is not given up for it."""
    (tmp_path / "closed").mkdir()
    (tmp_path / "a.png").write_bytes(b"x")
    listed = os.scandir

    def scandir(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = select([tmp_path], recursive=True, output=tmp_path / "out", names=folder())
    assert picked(found) == ["a.png"]
    assert found.unreadable == ((tmp_path / "closed", "Permission denied"),)
