"""A job's account: what its lines come to, in whatever state the ledger ends."""

from __future__ import annotations

import pytest

from srwatchd.console.account import told

CLAIMED = {"event.action": "job.claimed", "@timestamp": "t1", "file.path": "/in/a.png", "user.name": "anna"}


def account(*lines):
    made = {}
    for line in lines:
        made = told(made, line)
    return made


def line(action, **fields):
    return {
        "event.action": f"job.{action}",
        "@timestamp": "t9",
        **{key.replace("__", "."): v for key, v in fields.items()},
    }


@pytest.mark.parametrize(
    ("action", "outcome"),
    [
        ("completed", "delivered"),
        ("produced", "delivered"),
        ("quarantined", "quarantined"),
        ("released", "released"),
        ("failed", "failed"),
    ],
)
def test_each_end_is_an_outcome(action, outcome):
    """And nothing else is."""
    ended = account(CLAIMED, line(action))
    assert (ended["outcome"], ended["claimed_at"], ended["ended_at"], ended["user"]) == (outcome, "t1", "t9", "anna")
    assert account(CLAIMED, line("attempt_failed"))["outcome"] == "running"


def test_a_delivered_picture_keeps_no_error_of_an_attempt():
    """The second attempt went well."""
    failed = line("attempt_failed", error__code="worker_died", error__message="it died")
    assert account(CLAIMED, failed)["code"] == "worker_died"
    assert "code" not in account(CLAIMED, failed, line("completed"))


def test_a_result_that_was_only_wished_for_has_no_place():
    """Its name may become another one when it is placed."""
    wished = line("delivering", srwatchd__result__path="/done/a.png")
    assert "result_path" not in account(CLAIMED, wished)
    placed = line("delivered", srwatchd__result__path="/done/a (1).png")
    assert account(CLAIMED, wished, placed)["result_path"] == "/done/a (1).png"


def test_what_comes_after_the_end_is_no_second_end():
    """A hook that failed, a line of recovery."""
    ended = account(CLAIMED, line("completed"))
    assert told(ended, {"event.action": "hook.failed", "@timestamp": "t99"}) == ended
    assert told(ended, line("recovered")) == ended
