"""srwatchd.pipeline.custody on real folders: every row of its table, and what a repetition adds to it (nothing)."""

from __future__ import annotations

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from custody_bench import Bench, Crash, Faults
from daemon_standin import CLOCK
from delivery_places import bind

from srwatchd.errors import HINTS, HostError, PermanentError, TransientError
from srwatchd.job import Attempt, Event, Failure, State

TRY = Attempt(CLOCK, "worker_died", "gone")
WHY = Failure("incomplete", "half of it", HINTS["incomplete"])


@pytest.fixture
def bench(tmp_path):
    with contextlib.closing(Bench(tmp_path)) as made:
        yield made


def claimed(bench, name="a.png", content=b"picture"):
    return bench.custody.claim(bench.drop(name, content))


def test_delivered_archived_and_told(bench):
    """The usual way: result in done, source byte for byte in the archive, intents and outcomes in order."""
    record = bench.finish(claimed(bench, "sub/a.png"))
    assert record.state is State.DELIVERED
    assert bench.files(bench.config.done) == {"sub/a_x2.png": b"result"}
    assert bench.files(bench.config.archive) == {"sub/a.png": b"picture"}
    assert bench.private == set()
    assert bench.actions(record.job) == [
        "job.claimed",
        "job.delivering",
        "job.delivered",
        "job.archiving",
        "job.completed",
    ]
    line = bench.lines()[-1]
    assert line["srwatchd.result.path"] == str(bench.config.done / "sub/a_x2.png")
    assert line["srwatchd.archive.path"] == str(bench.config.archive / "sub/a.png")
    assert line["file.hash.sha256"] == record.source_sha256
    assert bench.verified()


def test_jobs_end_beside_each_other(bench):
    """A long copy runs beside other pictures' ends: of equal names each gets its own, and nothing is mixed up."""
    contents = {f"{number}/a.png": b"%d" % number * 1000 for number in range(12)}
    records = [claimed(bench, name, content) for name, content in contents.items()]

    def end(record, number):
        if number % 3:
            return bench.finish(record, "a_x2.png", record.name.encode())
        return bench.custody.quarantine(record, WHY)

    with ThreadPoolExecutor(4) as pool:
        ended = list(pool.map(end, records, range(len(records))))
    assert {record.state for record in ended} == {State.DELIVERED, State.QUARANTINED}
    assert sorted(bench.files(bench.config.done).values()) == sorted(
        name.encode() for number, name in enumerate(contents) if number % 3
    )
    assert len(bench.files(bench.config.done)) == 8
    assert bench.private == set()
    assert all(len(found) == 1 for found in bench.outcomes().values())
    assert bench.verified()


def test_quarantined_with_its_reason(bench):
    """The source byte for byte in error, its sidecar beside it, the outcome in the ledger."""
    record = bench.custody.quarantine(bench.custody.note(claimed(bench), TRY), WHY)
    assert record.state is State.QUARANTINED
    found = bench.files(bench.config.error)
    assert found["a.png"] == b"picture"
    assert set(found) == {"a.png", "a.png.error.json"}
    assert b"half of it" in found["a.png.error.json"]
    assert bench.actions(record.job)[-2:] == ["job.quarantining", "job.quarantined"]
    assert bench.lines()[-1]["srwatchd.error.path"] == str(bench.config.error / "a.png")
    assert bench.private == set()


def test_on_success_delete(tmp_path):
    """Nothing in the archive, nothing left, and the ledger names no archive."""
    with contextlib.closing(Bench(tmp_path, on_success="delete")) as bench:
        bench.finish(claimed(bench))
        assert bench.files(bench.config.archive) == bench.claimed == {}
        assert "srwatchd.archive.path" not in bench.lines()[-1]
        assert bench.lines()[-1]["event.action"] == "job.completed"


def test_nothing_is_overwritten_anywhere(bench):
    """Taken names in done, archive and error get numbers."""
    for place, name in (("done", "a_x2.png"), ("archive", "a.png"), ("error", "b.png")):
        (getattr(bench.config, place) / name).write_bytes(b"theirs")
    bench.finish(claimed(bench))
    bench.custody.quarantine(claimed(bench, "b.png"), WHY)
    assert bench.files(bench.config.done) == {"a_x2.png": b"theirs", "a_x2 (1).png": b"result"}
    assert bench.files(bench.config.archive) == {"a.png": b"theirs", "a (1).png": b"picture"}
    assert set(bench.files(bench.config.error)) == {"b.png", "b (1).png", "b (1).png.error.json"}


def test_on_conflict_error(tmp_path):
    """A taken name is the picture's failure; nothing is staged any more, the source is still ours."""
    with contextlib.closing(Bench(tmp_path, output={"on_conflict": "error"})) as bench:
        (bench.config.done / "a_x2.png").write_bytes(b"theirs")
        record = claimed(bench)
        with pytest.raises(PermanentError) as caught:
            bench.finish(record)
        assert caught.value.code == "name_taken"
        assert bench.leftovers == []
        bench.custody.quarantine(record, WHY)
        assert bench.files(bench.config.error)["a.png"] == b"picture"


def test_released_as_it_came(bench):
    """Back in the inbox under its name, or the next free one, with the reason in the ledger."""
    first, second = claimed(bench), claimed(bench, content=b"second")
    assert bench.custody.release(first, "stopped").state is State.RELEASED
    bench.custody.release(second, "stopped")
    assert bench.files(bench.config.inbox) == {"a.png": b"picture", "a (1).png": b"second"}
    assert bench.private == set()
    assert bench.lines()[-1]["srwatchd.detail.released_as"] == "a (1).png"
    assert bench.outcomes() == {first.job: ["job.released"], second.job: ["job.released"]}


def test_attempts_survive(bench):
    """A failed attempt is on the disk before the next one begins."""
    record = claimed(bench)
    bench.custody.begin(record)
    waiting = bench.custody.fail(record, TRY)
    assert waiting.state is State.WAITING
    assert f"{record.job}.run" not in bench.private
    (again,) = bench.restart()
    assert again.attempts == (TRY,)
    assert again.state is State.CLAIMED
    assert bench.actions(record.job).count("job.attempt_failed") == 1


# -- refused claims --------------------------------------------------------------------------------------------------


def _grow(path):
    with path.open("ab") as file:
        file.write(b"more")


def _replace_by_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (_grow, "source_changed"),
        (lambda path: path.unlink(), "source_vanished"),
        (_replace_by_folder, "source_vanished"),
    ],
    ids=["grown", "gone", "a folder"],
)
def test_a_changed_source_is_not_claimed(bench, change, code):
    """What is not what it was when it was looked at stays where it is, and no job begins."""
    seen = bench.drop("a.png", b"picture")
    change(bench.config.inbox / "a.png")
    with pytest.raises(TransientError) as caught:
        bench.custody.claim(seen)
    assert caught.value.code == code
    assert bench.private == set()
    assert bench.outcomes() == {}


@pytest.mark.parametrize("code", ["source_changed", "source_busy", "source_vanished"])
def test_changed_in_the_very_moment(bench, monkeypatch, code):
    """The second look, after the rename, sees what the first did not: given back, one intent and one outcome."""
    seen = bench.drop("a.png", b"picture")
    looks = iter([None, TransientError(code, "now")])

    def unchanged(_snapshot, _look):
        error = next(looks)
        if error:
            raise error

    monkeypatch.setattr(bench.custody, "_unchanged", unchanged)
    with pytest.raises(TransientError):
        bench.custody.claim(seen)
    assert bench.files(bench.config.inbox) == {"a.png": b"picture"}
    assert list(bench.outcomes().values()) == [["job.released"]]


def test_gone_between_the_look_and_the_rename(bench, monkeypatch):
    """Somebody was quicker than the rename: released in the ledger, no record."""
    seen = bench.drop("a.png", b"picture")
    monkeypatch.setattr(bench.custody, "_unchanged", lambda *_: (bench.config.inbox / "a.png").unlink(missing_ok=True))
    with pytest.raises(TransientError, match=r"a\.png"):
        bench.custody.claim(seen)
    assert bench.private == set()
    assert list(bench.outcomes().values()) == [["job.released"]]


def test_a_file_that_is_open_for_writing(bench, monkeypatch):
    """Busy is refused, unless intake has given up waiting for its writer."""
    from srwatchd.intake.look import prepare_leases

    prepare_leases()
    monkeypatch.setattr(bench.custody, "_lease", True)
    seen = bench.drop("a.png", b"picture")
    with (bench.config.inbox / "a.png").open("ab"):
        with pytest.raises(TransientError) as caught:
            bench.custody.claim(seen)
        assert caught.value.code == "source_busy"
        record = bench.custody.claim(seen, busy=True)
    bench.custody.quarantine(record, WHY)
    assert bench.files(bench.config.error)["a.png"] == b"picture"


def test_changed_while_it_was_worked_on(bench):
    """A writer with an open descriptor goes on after the claim: nothing is delivered from the old bytes."""
    record = claimed(bench)
    _grow(bench.config.inbox / ".srwatchd" / f"{record.job}.src")
    with pytest.raises(TransientError) as caught:
        bench.finish(record)
    assert caught.value.code == "source_changed"
    bench.custody.release(record, "source_changed")
    assert bench.files(bench.config.inbox) == {"a.png": b"picturemore"}
    assert bench.files(bench.config.done) == {}
    assert bench.leftovers == []


def test_a_claimed_source_that_somebody_took(bench):
    """Not ours to find again: a transient error now, an ended account after a restart."""
    record = claimed(bench)
    (bench.config.inbox / ".srwatchd" / f"{record.job}.src").unlink()
    for step in (bench.custody.fingerprint, bench.custody.open_source):
        with pytest.raises(TransientError) as caught:
            step(record)
        assert caught.value.code == "source_vanished"
    assert bench.restart() == []
    assert bench.outcomes() == {record.job: ["job.released"]}


def test_a_taken_source_is_still_quarantined(bench):
    """Attempts on a source that vanished end in order; the sidecar is the only trace."""
    record = claimed(bench)
    (bench.config.inbox / ".srwatchd" / f"{record.job}.src").unlink()
    assert bench.custody.quarantine(record, WHY).state is State.QUARANTINED
    assert "srwatchd.error.path" not in bench.lines()[-1]


def test_a_fingerprint_is_taken_once(bench):
    """A known hash is not computed again."""
    record = replace(claimed(bench), source_sha256="known")
    assert bench.custody.fingerprint(record) is record


# -- the table of crashes --------------------------------------------------------------------------------------------


def _life(bench, seen, end):
    """Claim and finish (or quarantine, or release) one picture."""
    record = bench.custody.claim(seen)
    bench.custody.begin(record)
    if end == "finish":
        bench.finish(record)
    elif end == "quarantine":
        bench.custody.quarantine(bench.custody.fail(record, TRY).after(Event.RETRY), WHY)
    else:
        bench.custody.release(record, "stopped")


def _steps(root, end):
    bench = Bench(root)
    seen = bench.drop("sub/a.png", b"picture")
    with Faults() as faults:
        _life(bench, seen, end)
    bench.close()
    return faults.steps


def _one_place(bench):
    sources = [bench.files(bench.config.inbox), bench.claimed, bench.files(bench.config.archive)]
    error = bench.files(bench.config.error)
    found = [content for place in sources for content in place.values()]
    return found + [content for name, content in error.items() if not name.endswith(".json")]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("end", ["finish", "quarantine", "release"])
def test_a_crash_at_every_step(memory_path, end, after):
    """Dead before or after any rename, link, unlink, mkdir or fsync: the source is in one place, and recovery ends.

    Recovery is repeated, which changes nothing; then the job is finished, once.
    """
    steps = _steps(memory_path / "whole", end)
    assert steps > 10
    for number in range(1, steps + 1):
        bench = Bench(memory_path / f"{number}")
        seen = bench.drop("sub/a.png", b"picture")
        with contextlib.suppress(Crash), Faults(at=number, after=after):
            _life(bench, seen, end)
        left = bench.restart()
        once = (bench.files(bench.root), bench.claimed)
        again = bench.restart()
        assert (bench.files(bench.config.done), _one_place(bench)) == (
            {name.removeprefix("a/done/"): data for name, data in once[0].items() if name.startswith("a/done/")},
            [b"picture"],
        ), number
        assert {record.job for record in again} == {record.job for record in left}
        for record in again:
            bench.finish(record)
        results = bench.files(bench.config.done)
        assert len(results) == len(bench.files(bench.config.archive)) <= 1, number
        assert bench.private == set(), number
        assert bench.leftovers == [], number
        assert all(len(outcomes) == 1 for outcomes in bench.outcomes().values()), number
        assert bench.verified()
        bench.close()


@pytest.mark.parametrize("lasting", [1, 3, 1000])
@pytest.mark.parametrize("end", ["finish", "quarantine", "release"])
def test_a_full_disk_at_every_step(memory_path, end, lasting):
    """Full at any step: a host error at most, no attempt, and once there is room everything ends as it should."""
    for number in range(1, _steps(memory_path / "whole", end) + 1):
        bench = Bench(memory_path / f"{number}")
        seen = bench.drop("sub/a.png", b"picture")
        with Faults(at=number, dead=False, lasting=lasting), contextlib.suppress(HostError):
            _life(bench, seen, end)
        assert len(_one_place(bench)) == 1, number
        for record in bench.recover():
            bench.finish(record)
        assert _one_place(bench) == [b"picture"], number
        assert bench.private == set(), number
        assert bench.leftovers == [], number
        assert all(len(outcomes) == 1 for outcomes in bench.outcomes().values()), number
        bench.close()


def _delivering(bench):
    """A record as it is right before the result gets its name, with the result staged and sealed."""
    record = bench.custody.fingerprint(claimed(bench))
    staged = bench.custody.stage(record, "a_x2.png")
    os.write(staged.fd, b"result")
    staged.seal()
    record = record.after(Event.DELIVER, result=staged.placement("a_x2.png"))
    bench.claims.save(record)
    return record, staged


def test_placement_recorded_not_renamed(bench):
    """The sealed staged file is given its name; it is not made again."""
    _, staged = _delivering(bench)
    inode = os.fstat(staged.fd).st_ino
    assert bench.restart() == []
    assert bench.files(bench.config.done) == {"a_x2.png": b"result"}
    assert (bench.config.done / "a_x2.png").stat().st_ino == inode


def test_renamed_not_recorded(bench):
    """Its own result is recognised: no ` (1)`."""
    _, staged = _delivering(bench)
    bench.custody.done.place(staged, "a_x2.png")
    assert bench.restart() == []
    assert bench.files(bench.config.done) == {"a_x2.png": b"result"}
    assert bench.files(bench.config.archive) == {"a.png": b"picture"}


def test_a_consumer_took_the_result(bench):
    """Neither staged nor placed: the job runs once more, which is documented."""
    _, staged = _delivering(bench)
    bench.custody.discard(staged)
    (record,) = bench.restart()
    assert (record.state, record.result) == (State.CLAIMED, None)


def test_somebody_took_the_planned_name(bench):
    """Between crash and restart the name was taken: the next number, and theirs is untouched."""
    _delivering(bench)
    (bench.config.done / "a_x2.png").write_bytes(b"theirs")
    bench.restart()
    assert bench.files(bench.config.done) == {"a_x2.png": b"theirs", "a_x2 (1).png": b"result"}


def test_outcome_written_record_still_there(bench, monkeypatch):
    """The record is removed, the outcome is not written twice."""
    record = claimed(bench)
    monkeypatch.setattr(bench.custody, "_forget", _dead)
    with pytest.raises(Crash):
        bench.finish(record)
    assert bench.restart() == []
    assert bench.actions(record.job).count("job.completed") == 1
    assert bench.actions(record.job).count("job.delivered") == 1
    assert bench.private == set()


@pytest.mark.parametrize("step", ["_deliver", "_put_away", "_moved", "_forget"])
def test_what_a_result_was_made_by_survives(bench, monkeypatch, step):
    """The outcome that recovery writes has the model's facts, like any other."""
    record = claimed(bench)
    real = getattr(bench.custody, step)
    monkeypatch.setattr(bench.custody, step, lambda *args: (real(*args), _dead()) if step == "_deliver" else _dead())
    with pytest.raises(Crash):
        bench.finish(record, **{"srwatchd.model.name": "standin_x2", "srwatchd.model.scale": 2})
    bench.die()
    bench.open()
    (orphan,) = bench.claims.orphans()
    assert bench.custody.recover(orphan.record, present=orphan.source_present).state is State.DELIVERED
    (line,) = [line for line in bench.lines() if line["event.action"] == "job.completed"]
    assert (line["srwatchd.model.name"], line["srwatchd.model.scale"]) == ("standin_x2", 2)


def test_a_name_that_is_taken_at_recovery(tmp_path):
    """With on_conflict error the source is quarantined then as at any other time, and its folder is not held."""
    with contextlib.closing(Bench(tmp_path, output={"on_conflict": "error"})) as bench:
        _delivering(bench)
        (bench.config.done / "a_x2.png").write_bytes(b"theirs")
        assert bench.restart() == []
        assert bench.files(bench.config.done) == {"a_x2.png": b"theirs"}
        assert b"name_taken" in bench.files(bench.config.error)["a.png.error.json"]
        assert bench.leftovers == []


def _dead(*_):
    raise Crash


def test_a_sweep_passes_over_what_it_cannot_look_at(bench):
    """A destination that is not there is no reason to stop."""
    bench.config.error.rmdir()
    bench.custody.sweep(set())


def test_four_mounts(memory_path):
    """Inbox, done, archive and error on mounts of their own: copied, compared, and only then removed."""
    with contextlib.ExitStack() as stack:
        (memory_path / "a").mkdir()
        for name in ("in", "done", "archive", "error"):
            stack.enter_context(bind(memory_path / "a" / name, memory_path / name))
        bench = stack.enter_context(contextlib.closing(Bench(memory_path)))
        with pytest.raises(OSError, match="cross-device"):
            os.rename(bench.config.inbox / ".srwatchd" / "id", bench.config.done / "id")
        bench.finish(claimed(bench))
        bench.custody.quarantine(claimed(bench, "b.png"), WHY)
        assert bench.files(bench.config.done) == {"a_x2.png": b"result"}
        assert bench.files(bench.config.archive) == {"a.png": b"picture"}
        assert bench.files(bench.config.error)["b.png"] == b"picture"
        assert bench.claimed == {}
        assert bench.leftovers == []


@pytest.mark.parametrize("end", ["finish", "quarantine"])
def test_a_crash_at_every_step_across_four_mounts(memory_path, end):
    """The copy that stands in for a rename loses and doubles nothing either."""
    with contextlib.ExitStack() as stack:
        (memory_path / "a").mkdir()
        for name in ("in", "done", "archive", "error"):
            stack.enter_context(bind(memory_path / "a" / name, memory_path / name))
        steps = _steps(memory_path, end)
        for number in range(1, steps + 1):
            bench = Bench(memory_path)
            seen = bench.drop("sub/a.png", b"picture")
            for place in (bench.config.done, bench.config.archive, bench.config.error):
                for path in place.rglob("*"):
                    if path.is_file():
                        path.unlink()
            with contextlib.suppress(Crash), Faults(at=number, after=number % 2 == 0):
                _life(bench, seen, end)
            for record in bench.restart():
                bench.finish(record)
            found = _one_place(bench)
            assert found == [b"picture"], number
            assert len(bench.files(bench.config.done)) == len(bench.files(bench.config.archive)), number
            assert (bench.private, bench.leftovers) == (set(), []), number
            for path in bench.config.inbox.rglob("*.png"):
                path.unlink()
            bench.close()
