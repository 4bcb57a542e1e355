"""The vocabulary of the ledger, its entries and its documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from srwatchd.audit.chain import HEADS, canonical
from srwatchd.audit.events import ACTIONS, Entry, actions_table
from srwatchd.audit.fields import FIELDS, OWN_FIELDS, fields_table
from srwatchd.audit.origin import Origin, timestamp
from srwatchd.audit.survey import Jobs

DOCS = Path(__file__).parents[2] / "docs" / "ledger.md"

ECS_CATEGORIES = {"file", "process", "configuration", "host"}
ECS_TYPES = {
    "access", "admin", "allowed", "change", "connection", "creation", "deletion", "denied", "end", "error", "group",
    "indicator", "info", "installation", "protocol", "start", "user",
}  # fmt: skip


@pytest.mark.parametrize("table", [actions_table(), fields_table()], ids=["actions", "fields"])
def test_the_documentation_holds_the_tables_as_they_are(table: str) -> None:
    """Every action and field is documented, in the words of the code."""
    assert table in DOCS.read_text(encoding="utf-8")


def test_the_actions_are_consistent() -> None:
    """Dotted lower-case names, categories and types of ECS, the heads among them, roles only for jobs."""
    for name, action in ACTIONS.items():
        assert re.fullmatch(r"[a-z]+\.[a-z_]+", name)
        assert name == action.name
        assert action.category in ECS_CATEGORIES
        assert action.type in ECS_TYPES
        assert action.description.endswith(".")
        assert action.role == "fact" or action.about_job
    assert set(ACTIONS) >= HEADS
    assert not set(FIELDS) & set(OWN_FIELDS)


@pytest.mark.parametrize(
    ("error", "arguments"),
    [
        (ValueError, {"action": "job.exploded", "job": "a"}),
        (ValueError, {"action": "job.claimed"}),
        (ValueError, {"action": "daemon.started", "outcome": "great"}),
        (ValueError, {"action": "daemon.started", "fields": {"file.colour": "red"}}),
        (ValueError, {"action": "daemon.started", "fields": {"event.sequence": 7}}),
        (ValueError, {"action": "daemon.started", "fields": {"srwatchd.hash": "0"}}),
        (ValueError, {"action": "daemon.started", "fields": {"srwatchd.detail.": "x"}}),
        (ValueError, {"action": "daemon.started", "fields": {"file.size": 1 << 53}}),
        (TypeError, {"action": "daemon.started", "fields": {"file.size": "1"}}),
        (TypeError, {"action": "daemon.started", "fields": {"file.size": True}}),
        (TypeError, {"action": "daemon.started", "fields": {"srwatchd.detail.x": 0.5}}),
        (TypeError, {"action": "daemon.started", "fields": {"file.path": Path("a")}}),
        (TypeError, {"action": "daemon.started", "fields": {"srwatchd.configuration.problems": [1]}}),
    ],
)
def test_a_wrong_entry_is_refused_when_it_is_made(error: type[Exception], arguments: dict) -> None:
    """A defect of a caller shows at once, and never as a line that no table explains."""
    with pytest.raises(error):
        Entry(**arguments)


def test_an_entry_becomes_the_documented_fields() -> None:
    """None is absent, long texts are cut, the duration fits a JSON number, and only documented fields come out."""
    entry = Entry(
        "job.completed",
        job="j1",
        duration_ns=1 << 60,
        reason="r" * 9000,
        fields={"file.path": "a.png", "user.name": None, "srwatchd.detail.free": 1, "error.message": "m" * 99_999},
    )
    line = Origin("h", "b", 1).fields(entry, 3, "0" * 64, now_ns=1_500_000_000_123_456_789)
    assert line["event.duration"] == (1 << 53) - 1
    assert (line["trace.id"], line["event.kind"], line["event.category"]) == ("j1", "event", ["file"])
    assert (len(line["event.reason"]), len(line["error.message"])) == (8192, 32768)
    assert "user.name" not in line
    assert line["@timestamp"] == "2017-07-14T02:40:00.123456Z"
    assert set(line) <= {*FIELDS, *OWN_FIELDS, "srwatchd.detail.free"}
    assert canonical(line)


def test_lists_are_cut_to_what_a_line_can_hold() -> None:
    """A thousand problems of a configuration cannot make a line too long."""
    entry = Entry("configuration.refused", "failure", fields={"srwatchd.configuration.problems": ["é" * 999] * 9999})
    assert len(canonical(entry.to_fields())) < 4 << 20


@pytest.mark.parametrize(("now", "text"), [(0, "1970-01-01T00:00:00.000000Z"), (999, "1970-01-01T00:00:00.000000Z")])
def test_a_box_without_a_clock_writes_valid_times(now: int, text: str) -> None:
    """1970 is a time like any other."""
    assert timestamp(now) == text


def test_the_account_of_jobs_knows_open_and_closed_ones() -> None:
    """An intent opens, an outcome closes, facts change nothing, and only the latest thousand closed ones are kept."""
    jobs = Jobs()
    for action, job in [("job.claimed", "a"), ("job.claimed", "b"), ("job.delivered", "b"), ("job.completed", "b")]:
        jobs.note(action, job)
    jobs.note("daemon.started", "")
    jobs.note("job.unheard_of", "c")
    assert (list(jobs.unfinished), jobs.finished) == (["a"], {"b": "job.completed"})
    for number in range(2000):
        jobs.note("job.released", f"n{number}")
    assert len(jobs.finished) == 1024
    assert "n1999" in jobs.finished
