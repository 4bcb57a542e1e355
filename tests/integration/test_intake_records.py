"""srwatchd.intake.records: the last whole line counts, whatever happened to the ones after it."""

from __future__ import annotations

import errno
import os
from dataclasses import replace

import pytest

from srwatchd.intake.records import Records, record_name
from srwatchd.job import Event, Record, Snapshot

SNAPSHOT = Snapshot("sub/a.jpg", 1, 2, 3, 4, 5, 6)
CLAIMING = Record("job1", "a", SNAPSHOT, "2026-01-01T00:00:00Z")
CLAIMED = CLAIMING.after(Event.CLAIM)
DELIVERING = CLAIMED.after(Event.DELIVER)


@pytest.fixture
def private(tmp_path):
    """A private folder."""
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def test_the_state_saved_last_counts(private, tmp_path):
    """Each save is a line more; another process reads the last one, and goes on in a file of its own."""
    records = Records(private)
    for record in (CLAIMING, CLAIMED, DELIVERING):
        records.save(record)
        assert Records(private).read("job1") == record
    assert (tmp_path / record_name("job1")).read_bytes().count(b"\n") == 3
    another = Records(private)
    another.save(CLAIMED)
    assert another.read("job1") == CLAIMED
    assert (tmp_path / record_name("job1")).read_bytes().count(b"\n") == 1


@pytest.mark.parametrize("rest", [b"", b"{", b'{"version": 1, "job"', b"\0" * 4096, b"\0" * 512 + b"\n"])
def test_a_torn_line_leaves_the_state_before(private, tmp_path, rest):
    """What a crash left of a line that was being written is not believed."""
    Records(private).save(CLAIMED)
    with (tmp_path / record_name("job1")).open("ab") as file:
        file.write(rest)
    again = Records(private)
    assert again.read("job1") == CLAIMED
    again.save(DELIVERING)
    assert Records(private).read("job1") == DELIVERING


def test_after_a_failed_write_the_file_is_replaced(private, tmp_path, monkeypatch):
    """A line that a full disk cut is followed by no other one."""
    records = Records(private)
    records.save(CLAIMING)
    real = os.write

    def full(descriptor, data):
        if len(data) < 100:
            raise OSError(errno.ENOSPC, "full")
        return real(descriptor, data[:-50])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="full"):
        records.save(CLAIMED)
    monkeypatch.undo()
    assert Records(private).read("job1") == CLAIMING
    records.save(DELIVERING)
    assert (tmp_path / record_name("job1")).read_bytes().count(b"\n") == 1
    assert Records(private).read("job1") == DELIVERING


def test_a_record_that_was_taken_away_is_written_anew(private, tmp_path):
    """Somebody cleared the private folder: what is saved next is there all the same."""
    records = Records(private)
    records.save(CLAIMING)
    (tmp_path / record_name("job1")).unlink()
    records.save(CLAIMED)
    assert Records(private).read("job1") == CLAIMED
    records.remove("job1")
    records.remove("job1")
    assert os.listdir(tmp_path) == []
    with pytest.raises(ValueError, match="file name"):
        records.save(replace(CLAIMING, job="../x"))
