"""The console's index over real ledgers: written on, rotated, retired, mended, replaced, damaged."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from srwatchd.audit import Entry, Ledger, segments
from srwatchd.config import Config
from srwatchd.console.history import Filters, History
from srwatchd.console.index import Index

INBOX = Path("/srv/pictures/in")


def job_lines(number, *, outcome="completed", name=None, user=None):
    """The entries of one job."""
    job = f"{number:032x}"
    about = {
        "file.path": f"{INBOX}/{name or f'p{number}.png'}",
        "file.size": 1000 + number,
        "srwatchd.folder": "photos",
        "user.name": user,
    }
    ends = {
        "completed": ("success", {"srwatchd.result.path": "/srv/pictures/done/x.png", "srwatchd.result.width": 640}),
        "quarantined": ("failure", {"error.code": "incomplete", "error.message": "torn", "srwatchd.hint": "again"}),
    }
    how, fields = ends[outcome]
    return [
        Entry("job.claimed", "unknown", job=job, fields=about),
        Entry(f"job.{outcome}", how, job=job, fields={**about, **fields}),
    ]


@pytest.fixture
def ledger(tmp_path):
    made = Ledger(tmp_path / "audit" / "audit.jsonl", segment_size=64 << 10)
    (tmp_path / "audit").mkdir()
    made.open()
    yield made
    made.close()


@pytest.fixture
def index(tmp_path):
    made = Index(tmp_path / "console" / "history.sqlite3", tmp_path / "audit/audit.jsonl", {"photos": INBOX})
    yield made
    made.close()


def caught_up(index):
    while index.advance(100):
        pass
    assert index.complete
    return {job: json.loads(account) for job, account in index.db.execute("SELECT job, account FROM jobs")}


def test_what_is_written_later_is_found_and_nothing_is_read_twice(ledger, index):
    """The second look takes in the second job only; the third changes nothing at all."""
    ledger.append(job_lines(1))
    assert [each["outcome"] for each in caught_up(index).values()] == ["delivered"]
    ledger.append(job_lines(2, outcome="quarantined"))
    found = caught_up(index)
    assert found[f"{2:032x}"]["code"] == "incomplete"
    assert found[f"{2:032x}"]["name"] == "p2.png"
    before = index.db.total_changes
    caught_up(index)
    assert index.db.total_changes == before


def test_a_line_that_is_being_written_waits(ledger, index, tmp_path):
    """Half of a line is nothing yet; the other half makes it one."""
    ledger.append(job_lines(1))
    path = tmp_path / "audit/audit.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-50])
    assert [each["outcome"] for each in caught_up(index).values()] == ["running"]
    path.write_bytes(whole)
    assert [each["outcome"] for each in caught_up(index).values()] == ["delivered"]


def test_a_rotation_loses_nothing_and_a_retired_segment_is_forgotten(ledger, index, tmp_path):
    """The history is what the ledger's files hold, no more and no less."""
    for number in range(200):
        ledger.append(job_lines(number))
        if number % 20 == 0:
            index.advance(10)
    path = tmp_path / "audit/audit.jsonl"
    files = segments(path)
    assert len(files) > 2
    assert len(caught_up(index)) == 200
    ledger.retire(files[0])
    left = caught_up(index)
    assert 0 < len(left) < 200
    kept = {json.loads(line).get("trace.id") for each in segments(path) for line in each.read_text().splitlines()}
    assert left.keys() == kept - {None}


@pytest.mark.parametrize("same_size", [False, True])
def test_another_ledger_in_its_place_makes_it_anew(ledger, index, tmp_path, same_size):
    """However alike it looks: the first line's hash tells."""
    ledger.append(job_lines(1))
    caught_up(index)
    ledger.close()
    path = tmp_path / "audit/audit.jsonl"
    size = path.stat().st_size
    path.unlink()
    other = Ledger(path)
    other.open()
    other.append(job_lines(7))
    other.close()
    if same_size:
        os.truncate(path, size)
    assert f"{1:032x}" not in caught_up(index)


def test_a_cut_and_rewritten_tail_is_noticed(ledger, index, tmp_path):
    """The last line that was read is looked at again before anything after it."""
    ledger.append(job_lines(1))
    before = (tmp_path / "audit/audit.jsonl").read_bytes()
    ledger.append(job_lines(2))
    caught_up(index)
    ledger.close()
    path = tmp_path / "audit/audit.jsonl"
    path.write_bytes(before)
    again = Ledger(path)
    again.open()
    again.append([*job_lines(3), *job_lines(4), *job_lines(5)])
    again.close()
    assert set(caught_up(index)) == {f"{number:032x}" for number in (1, 3, 4, 5)}


def test_garbage_in_the_ledger_hides_nothing_else(ledger, index, tmp_path):
    """What is no line is stepped over; a break that the daemon found is kept as an alarm."""
    ledger.append(job_lines(1))
    ledger.close()
    path = tmp_path / "audit/audit.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"\xff\x00 no json\n" + b"[1]\n" + b"{}\n" + b"".join(lines[1:]))
    again = Ledger(path)
    again.open()
    again.append(job_lines(2))
    again.close()
    assert len(caught_up(index)) == 2
    assert index.db.execute("SELECT count(*) FROM alarms").fetchone() == (1,)


def test_any_name_goes_in_and_comes_out(ledger, index):
    """Undecodable bytes, line breaks, markup, lone surrogates: as the ledger has them."""
    names = ["a\nb.png", "<b>&.png", os.fsdecode(b"\xff\xfe.png"), "\u202etxt.png", "100%_\\.png", "\ud800.png"]
    for number, name in enumerate(names):
        ledger.append(job_lines(number, name=name, user=os.fsdecode(b"\xe9va")))
    assert [each["name"] for each in caught_up(index).values()] == names


def test_what_a_page_shows_finds_it_again(ledger, tmp_path):
    """Names and users as they are, and in the harmless form of a page; nothing in them means anything else."""
    for number, name in enumerate(["100%_a.png", "100x_b.png", "c\\d.png", "line\nbreak.png"]):
        ledger.append(job_lines(number, name=name, user="DOMAIN\\anna"))
    config = Config(
        state_dir=tmp_path,
        audit={"path": tmp_path / "audit/audit.jsonl"},
        folders=({"id": "photos", "model": "fsrcnn_x2", "inbox": INBOX, "done": "/srv/d", "error": "/srv/e"},),
    )

    async def look():
        history = History(config, tmp_path / "history.sqlite3")
        await history._ask(caught_up)

        async def count(**wanted):
            return (await history.page(Filters(**wanted), before=None, limit=9))[1]

        assert [await count(text=text) for text in ("100%", "_", "c\\d", "c\\\\d", "LINE\n", "\\u000ab")] == [
            1,
            2,
            1,
            1,
            1,
            1,
        ]
        assert [await count(user=user) for user in ("DOMAIN\\anna", "DOMAIN\\\\anna", "anna")] == [4, 4, 0]
        await history.close()

    asyncio.run(look())


def test_a_damaged_or_foreign_index_is_made_anew(ledger, tmp_path):
    """It is a cache: nobody has to repair it."""
    ledger.append(job_lines(1))
    place = tmp_path / "console" / "history.sqlite3"
    place.parent.mkdir()
    for content in (b"not a database at all" * 100, b""):
        place.write_bytes(content)
        index = Index(place, tmp_path / "audit/audit.jsonl", {"photos": INBOX})
        assert len(caught_up(index)) == 1
        index.close()
    index = Index(place, tmp_path / "audit/other.jsonl", {})
    assert caught_up(index) == {}
    index.close()


def test_an_index_of_an_earlier_boot_is_made_anew(ledger, tmp_path, monkeypatch):
    """It is never made durable, so that what a power cut has left of it cannot be told from a whole one."""
    ledger.append(job_lines(1))
    place, path = tmp_path / "console" / "history.sqlite3", tmp_path / "audit/audit.jsonl"
    index = Index(place, path, {})
    caught_up(index)
    index.close()
    again = Index(place, path, {})
    assert again.db.execute("SELECT count(*) FROM jobs").fetchone() == (1,)
    again.close()
    monkeypatch.setattr("srwatchd.console.index._boot", lambda: "another")
    later = Index(place, path, {})
    assert later.db.execute("SELECT count(*) FROM jobs").fetchone() == (0,)
    assert len(caught_up(later)) == 1
    later.close()


def test_damage_while_it_is_open_makes_it_anew(ledger, tmp_path):
    """A page of the history is answered all the same; the next look fills it again."""
    ledger.append(job_lines(1))
    config = Config(
        state_dir=tmp_path,
        audit={"path": tmp_path / "audit/audit.jsonl"},
        folders=({"id": "photos", "model": "fsrcnn_x2", "inbox": INBOX, "done": "/srv/d", "error": "/srv/e"},),
    )
    place = tmp_path / "console" / "history.sqlite3"

    async def look():
        history = History(config, place)
        assert await history.recent(5) == []
        os.truncate(place, 0)
        place.with_name("history.sqlite3-wal").write_bytes(b"x" * 8192)
        place.write_bytes(b"y" * 8192)
        following = asyncio.create_task(history.follow())
        while not await history.recent(5):  # noqa: ASYNC110 - files tell nobody
            await asyncio.sleep(0.01)
        following.cancel()
        await history.close()

    asyncio.run(look())


def test_without_a_place_to_write_it_lies_in_a_nameless_file(ledger, tmp_path):
    """A read-only state keeps nobody from looking."""
    ledger.append(job_lines(1))
    (tmp_path / "console").write_text("a file where the folder would be")
    index = Index(tmp_path / "console" / "history.sqlite3", tmp_path / "audit/audit.jsonl", {"photos": INBOX})
    assert len(caught_up(index)) == 1
    index.close()
