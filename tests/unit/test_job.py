from __future__ import annotations

import itertools
import json
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from srwatchd.job import (
    FINAL,
    TRANSITIONS,
    Attempt,
    Event,
    Failure,
    IllegalTransitionError,
    Placement,
    Record,
    Snapshot,
    State,
    advance,
    diagram,
)

RENAMED: tuple[dict[str, Any], ...] = ({"name": "c"}, {"ctime_ns": 99}, {"owner": 99})
SNAPSHOT = Snapshot(name="sub/b\udcff.jpg", device=1, inode=2, size=3, mtime_ns=4, ctime_ns=5, owner=6)
RECORD = Record(job="j1", folder="f", snapshot=SNAPSHOT, claimed_at="2024-01-01T00:00:00Z")


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_only_the_table_moves_a_job(state: State, event: Event) -> None:
    """Every pair of state and event either is in the table or is refused by an error that names both."""
    if (state, event) in TRANSITIONS:
        assert advance(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(IllegalTransitionError, match=f"{event.value}.*{state.value}"):
            advance(state, event)


def test_final_states_are_ends() -> None:
    """Nothing leads out of a final state, and something leads out of every other."""
    assert {state for state, _ in TRANSITIONS} == set(State) - FINAL


def test_every_state_is_reached_and_ends() -> None:
    """From probing every state can be reached, and from every state a final one."""
    onward = {state: {b for (a, _), b in TRANSITIONS.items() if a is state} for state in State}

    def reachable(start: State) -> set[State]:
        found, todo = {start}, [start]
        while todo:
            fresh = onward[todo.pop()] - found
            found |= fresh
            todo += fresh
        return found

    assert reachable(State.PROBING) == set(State)
    assert all(reachable(state) & FINAL for state in State)


def test_a_delivered_result_is_never_quarantined() -> None:
    """Once its result is out a job can only end as delivered: a source is never both delivered and quarantined."""
    assert {b for (a, _), b in TRANSITIONS.items() if a is State.ARCHIVING} == {State.DELIVERED}


def test_diagram_shows_every_transition() -> None:
    """The diagram is the table: one arrow for each entry, one for the start and one for each end."""
    lines = diagram().splitlines()
    assert lines[0] == "stateDiagram-v2"
    assert len(lines) == 2 + len(TRANSITIONS) + len(FINAL)
    assert "    delivering --> archiving: archive" in lines
    assert "    delivered --> [*]" in lines


def _changed(field: str) -> Snapshot:
    change: dict[str, Any] = {field: 99}
    return replace(SNAPSHOT, **change)


@pytest.mark.parametrize("field", ["device", "inode", "size", "mtime_ns"])
def test_same_content_sees_a_change(field: str) -> None:
    """Another file, size or modification time is another content."""
    assert not SNAPSHOT.same_content(_changed(field))


@pytest.mark.parametrize("change", RENAMED)
def test_same_content_survives_a_rename(change: dict[str, Any]) -> None:
    """A rename changes the name and ctime, not the content."""
    assert SNAPSHOT.same_content(replace(SNAPSHOT, **change))


@pytest.mark.parametrize(
    "record",
    [
        RECORD,
        replace(
            RECORD,
            state=State.DELIVERING,
            source_sha256="ab",
            attempts=(Attempt("t", "worker_died", "m"), Attempt("u", "worker_hung", "n", "opencv")),
            result=Placement("r\udcff.png", "cd", 7, 8, 9),
            source=Placement("s.jpg", "ef", 1, 2, 3),
            failure=Failure("empty", "m", "h"),
            address="192.0.2.1",
            user="ann",
        ),
    ],
)
def test_record_survives_json(record: Record) -> None:
    """A record comes back from ASCII JSON as it went, names with undecodable bytes included."""
    text = json.dumps(record.to_dict(), ensure_ascii=True)
    assert text.isascii()
    assert Record.from_dict(json.loads(text)) == record


@pytest.mark.parametrize(
    "damage",
    [
        {"version": 2},
        {"state": "dancing"},
        {"snapshot": None},
        {"snapshot": {"name": "x"}},
        {"attempts": [{"at": "t"}]},
        {"attempts": 3},
        {"result": {"name": "x"}},
        {"unknown": 1},
    ],
)
def test_damaged_records_are_refused(damage: dict[str, object]) -> None:
    """Whatever is wrong in a record, from_dict raises one of the three documented errors."""
    with pytest.raises((KeyError, TypeError, ValueError)):
        Record.from_dict({**RECORD.to_dict(), **damage})


@pytest.mark.parametrize("missing", ["version", "state", "snapshot", "job", "attempts", "failure"])
def test_records_with_missing_fields_are_refused(missing: str) -> None:
    """A record without one of its fields is damaged, too."""
    data = RECORD.to_dict()
    del data[missing]
    with pytest.raises((KeyError, TypeError, ValueError)):
        Record.from_dict(data)


def test_after_checks_and_leaves_the_old_record() -> None:
    """after() makes a new record; an illegal event raises and changes nothing."""
    claimed = RECORD.after(Event.CLAIM, source_sha256="ab")
    assert (claimed.state, claimed.source_sha256, claimed.name) == (State.CLAIMED, "ab", SNAPSHOT.name)
    assert RECORD.state is State.CLAIMING
    with pytest.raises(IllegalTransitionError):
        RECORD.after(Event.DELIVER)
    with pytest.raises(FrozenInstanceError):
        setattr(RECORD, "job", "other")  # noqa: B010  (the type checker knows it is frozen)
