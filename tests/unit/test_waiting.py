"""srwatchd.daemon.waiting: whose fault a hold is, and what is shown of a long queue."""

from __future__ import annotations

import pytest
from intake_standin import Folder, look

from srwatchd.daemon.waiting import concerns_source, waiting_files
from srwatchd.errors import HostError
from srwatchd.intake.mounts import LOCAL
from srwatchd.intake.settle import Settler

SOURCE = ("/in/d4/p.png", "/real/in/d4/p.png", "/real/in/.srwatchd/j1.src")


@pytest.mark.parametrize(
    ("code", "path", "alone"),
    [
        ("io_error", "/in/d4/p.png", True),
        ("io_error", "/real/in/d4/p.png", True),
        ("io_error", "/real/in/.srwatchd/j1.src", True),
        ("io_error", "/archive/d4/p.png", False),
        ("io_error", "/in", False),
        ("source_unreadable", "/in/d4/p.png", True),
        ("source_unmovable", "/in/d4/p.png", True),
        ("disk_full", "/done", False),
    ],
)
def test_only_what_is_wrong_with_the_source_itself_spares_its_folder(code, path, alone):
    """An archive that fails at a file of the same name is no fault of the source."""
    assert concerns_source(HostError(code, "no", path=path), SOURCE) is alone


def backlog(count, *, unreadable=()):
    """A settler that has looked at so many files, a new one every second, some of which nobody may read."""
    subject = Settler(LOCAL, Folder())
    for number in range(count):
        for now in (number, number + LOCAL.settle):
            subject.observe(look(f"{number:04}", readable=number not in unreadable, problem="may not"), float(now))
    return subject


def test_of_very_many_files_those_that_need_a_person_are_shown_first():
    """A thousand at most, then the oldest."""
    shown = waiting_files(backlog(1500, unreadable={1200, 1400}), now=9999.0, older_than=600.0)
    assert len(shown) == 1000
    assert [(each["name"], each["reason"]) for each in shown[:3]] == [
        ("1200", "source_unreadable"),
        ("1400", "source_unreadable"),
        ("0000", "queued"),
    ]
    assert shown[-1]["name"] == "0997"


def test_a_young_file_is_not_shown_unless_it_needs_a_person():
    """Ten minutes are nothing unusual."""
    shown = waiting_files(backlog(9, unreadable={8}), now=602.0, older_than=600.0)
    assert [each["name"] for each in shown] == ["0008", "0000", "0001", "0002"]
