from __future__ import annotations

import dataclasses

import pytest
from intake_standin import Folder, look, snapshot

from srwatchd.intake.hints import Hint, HintKind
from srwatchd.intake.mounts import Timing
from srwatchd.intake.observation import Lease
from srwatchd.intake.order import Selection
from srwatchd.intake.settle import Ready, Settler, WaitReason

LOCAL = Timing(2.0, 60.0)
CLOSED = Hint(HintKind.CLOSED, "a.jpg")


def settler(timing: Timing = LOCAL, **folder: object) -> Settler:
    return Settler(timing, Folder(**folder))


def reason(subject: Settler, name: str = "a.jpg") -> WaitReason:
    return subject.waiting()[name].reason


@pytest.mark.parametrize(
    ("order", "expected"),
    [("oldest", "cab"), ("newest", "bac"), ("name", "abc"), ("smallest", "bca")],
)
def test_settle_ready_is_in_the_folders_order(order, expected):
    """Oldest and newest go by ctime, the server's own clock; mtime is the client's."""
    subject = settler(order=order)
    looks = [look("a", ctime_ns=2, size=9, mtime_ns=1), look("b", ctime_ns=3, size=1), look("c", ctime_ns=1, size=5)]
    for now in (0.0, 2.0):
        for each in looks:
            subject.observe(each, now)
    assert "".join(verdict.snapshot.name for verdict in subject.ready(2.0)) == expected
    assert [verdict.snapshot.name for verdict in subject.ready(2.0, limit=1)] == [expected[0]]


def test_settle_ready_file_that_changes_is_not_ready():
    """Until it is claimed, every look and every scan can take the verdict back."""
    subject = settler()
    subject.observe(look(), 0.0)
    subject.observe(look(), 2.0)
    subject.reconcile(Selection([snapshot(size=11)]), 3.0)
    assert subject.ready(3.0) == []
    subject.observe(look(size=11), 5.0)
    assert len(subject.ready(5.0)) == 1
    subject.observe(look(size=11, lease=Lease.BUSY), 6.0)
    assert subject.ready(6.0) == []


def test_settle_reconcile_forgets_what_is_gone_and_adds_what_is_new():
    """A scan is the truth, for everything that is older than the scan."""
    subject = settler()
    subject.reconcile(Selection([snapshot("a"), snapshot("b")]), 0.0)
    subject.hinted(Hint(HintKind.CLOSED, "late.jpg"), 9.5)
    subject.reconcile(Selection([snapshot("b"), snapshot("c")]), 10.0, started=9.0)
    assert set(subject.waiting()) == {"b", "c", "late.jpg"}
    assert len(subject) == 3
    subject.forget("b")
    subject.forget("never heard of")
    assert set(subject.waiting()) == {"c", "late.jpg"}


def test_settle_scan_does_not_overrule_a_later_look():
    """What a scan saw before the latest look is not news."""
    subject = settler()
    subject.observe(look(size=20), 5.0)
    subject.reconcile(Selection([snapshot(size=10)]), 6.0, started=4.0)
    subject.observe(look(size=20), 7.0)
    assert subject.ready(7.0) == [Ready(snapshot(size=20))]


def test_settle_scan_does_not_hide_what_cannot_be_read():
    """A file whose only looks failed stays one that needs a person, until it is another one."""
    subject = settler()
    subject.hinted(CLOSED, 0.0)
    assert subject.due(0.0) == ["a.jpg"]
    subject.hold("a.jpg", 0.0, reason=WaitReason.UNREADABLE, detail="permission denied")
    subject.reconcile(Selection([snapshot()]), 1.0, started=0.5)
    assert (subject.waiting()["a.jpg"].reason, subject.waiting()["a.jpg"].detail) == (
        WaitReason.UNREADABLE,
        "permission denied",
    )
    subject.reconcile(Selection([snapshot(size=11)]), 1.5, started=1.2)
    assert reason(subject) is WaitReason.SETTLING


def test_settle_lost_look_is_made_up_for_by_the_next_scan():
    """A name that was handed out and never observed is due again."""
    subject = settler()
    subject.reconcile(Selection([snapshot()]), 0.0)
    assert subject.due(2.0) == ["a.jpg"]
    subject.reconcile(Selection([snapshot()]), 60.0)
    assert subject.due(60.0) == ["a.jpg"]


def test_settle_claimed_file_is_not_reported_again():
    """Neither by a scan that began before the claim nor by a scan while it is being claimed; a later drop is new."""
    subject = settler()
    subject.observe(look(), 0.0)
    subject.observe(look(), 2.0)
    subject.reserve("a.jpg")
    subject.reconcile(Selection([snapshot()]), 2.5)
    subject.reconcile(Selection([]), 2.6)
    assert reason(subject) is WaitReason.IN_WORK
    subject.observe(look(), 2.7)
    assert subject.ready(2.7) == []
    subject.claimed("a.jpg", 3.0)
    subject.reconcile(Selection([snapshot()]), 4.0, started=2.9)
    assert subject.waiting() == {}
    subject.reconcile(Selection([snapshot(inode=77)]), 9.0)
    assert set(subject.waiting()) == {"a.jpg"}


def test_settle_event_while_a_file_is_claimed_means_a_new_file():
    """A file dropped under the same name in that moment is looked at without waiting for a scan."""
    subject = settler()
    subject.observe(look(), 0.0)
    subject.observe(look(), 2.0)
    subject.reserve("a.jpg")
    assert not subject.hinted(CLOSED, 2.1)
    subject.claimed("a.jpg", 2.2)
    assert subject.due(2.2) == ["a.jpg"]


def test_settle_file_put_back_settles_anew():
    """What changed or was busy at the claim is judged from the beginning."""
    subject = settler()
    subject.observe(look(), 0.0)
    subject.observe(look(), 2.0)
    subject.reserve("a.jpg")
    subject.put_back("a.jpg", 3.0)
    assert subject.ready(3.0) == []
    assert subject.due(3.2) == ["a.jpg"]
    subject.observe(look(), 3.2)
    assert subject.ready(3.2) == []
    subject.observe(look(), 5.0)
    assert subject.ready(5.0) == [Ready(snapshot())]


def test_settle_names_that_are_gone_meanwhile_are_no_accident():
    """Whatever becomes of an unknown name, nothing happens; only reserving it is a mistake."""
    subject = settler()
    subject.undecodable("x", 0.0)
    subject.put_back("x", 0.0)
    subject.hold("x", 0.0, reason=WaitReason.UNMOVABLE, detail="")
    subject.claimed("x", 0.0)
    assert subject.grace_over("x", 0.0)
    assert subject.next_due() is None
    with pytest.raises(KeyError):
        subject.reserve("x")


def test_settle_hints_that_ask_for_no_look():
    """Directories and overflows ask for a scan, junk for nothing."""
    subject = settler()
    for hint in (Hint(HintKind.DIRECTORY, "d"), Hint(HintKind.OVERFLOW), Hint(HintKind.CLOSED, "a.tmp")):
        assert not subject.hinted(hint, 0.0)
    assert len(subject) == 0


def test_settle_storm_of_closes_costs_few_looks():
    """A writer that opens and closes all the time is looked at no more often than every 30 ms."""
    subject = settler()
    now, looks = 0.0, 0
    for step in range(1000):
        now = step / 1000
        subject.hinted(CLOSED, now)
        for _ in subject.due(now):
            looks += 1
            subject.observe(look(size=step + 1), now)
    assert looks <= 35


def test_settle_ten_thousand_files_one_by_one():
    """Draining a full inbox in order touches each file a bounded number of times."""
    subject = settler()
    names = [f"{number:05}.jpg" for number in range(10_000)]
    shots = [snapshot(name, inode=number, ctime_ns=number) for number, name in enumerate(names)]
    subject.reconcile(Selection(shots), 0.0)
    due = subject.due(2.0, limit=6000) + subject.due(2.0)
    assert len(due) == 10_000
    for shot in shots:
        subject.observe(dataclasses.replace(look(), snapshot=shot), 2.0)
    for name in names:
        (verdict,) = subject.ready(3.0, limit=1)
        assert verdict.snapshot.name == name
        subject.reserve(name)
        subject.claimed(name, 3.0)
    assert subject.ready(3.0) == []


def test_settle_looks_come_in_the_folders_order():
    """Of many new files the ones that go first are looked at first, however the scan found them."""
    subject, sizes = settler(order="smallest"), {"a": 12, "b": 14, "c": 11, "d": 13}
    subject.reconcile(Selection([snapshot(name, size=size) for name, size in sizes.items()]), 0.0)
    assert subject.due(2.0, limit=3) == ["c", "a", "d"]
    assert subject.due(2.0) == ["b"]


def test_settle_remembers_no_more_than_its_limit():
    """However much is told in whatever way; what it leaves out is a number, and the next scan brings it."""
    subject, shots = Settler(LOCAL, Folder(), limit=4), [snapshot(f"{number:03}") for number in range(100)]
    subject.reconcile(Selection(shots[:4], 96), 0.0)
    assert (len(subject), subject.more, subject.depleted) == (4, 96, False)
    subject.seen(shots, 1.0, started=1.0)
    for shot in shots:
        subject.hinted(Hint(HintKind.CLOSED, shot.name), 2.0)
    assert len(subject) == 6
    subject.reconcile(Selection(shots[:4], 96), 10.0)
    assert (len(subject), subject.more) == (4, 96)
    for now in (12.0, 14.0):
        for shot in shots[:4]:
            subject.observe(dataclasses.replace(look(), snapshot=shot), now)
    for verdict in subject.ready(14.0, limit=2):
        assert not subject.depleted
        subject.reserve(verdict.snapshot.name)
        subject.claimed(verdict.snapshot.name, 14.0)
    assert subject.depleted
    subject.reconcile(Selection(shots[2:6], 94), 20.0)
    assert list(subject.waiting()) == ["002", "003", "004", "005"]
    assert not subject.depleted


def test_settle_a_hint_that_finds_no_room_is_told_by_a_scan():
    """It is not forgotten that something is there."""
    subject = Settler(LOCAL, Folder(), limit=2)
    for name in "abcd":
        subject.hinted(Hint(HintKind.CLOSED, name), 0.0)
    assert (list(subject.waiting()), subject.more) == (["a", "b", "c"], 1)


def test_settle_what_waits_for_a_person_stands_apart():
    """It keeps no other file from its turn; half as many at most."""
    subject, shots = Settler(LOCAL, Folder(), limit=4), [snapshot(name) for name in "abcd"]
    subject.reconcile(Selection(shots, 9), 0.0)
    assert subject.apart() == frozenset()
    for name in "abc":
        subject.observe(look(name, readable=False), 2.0)
    assert subject.apart() == {"a", "b"}
    assert subject.expecting
    subject.reconcile(Selection(shots, 9), 60.0)
    assert not subject.expecting
    subject.reconcile(Selection([*shots, snapshot("e")], 8), 120.0)
    assert subject.expecting


def test_settle_a_file_that_was_only_counted_has_waited_all_the_while():
    """Since the first scan that can have seen it; not one that came later, and not once all are remembered."""
    subject = Settler(LOCAL, Folder(), limit=2)
    old, new = [snapshot(f"{number}", ctime_ns=number) for number in range(6)], snapshot("new", ctime_ns=9)
    subject.reconcile(Selection(old[:2], 4, 5), 10.0)
    subject.reconcile(Selection(old[2:4], 2, 5), 100.0)
    subject.reconcile(Selection(old[4:5], 2, 9), 200.0)
    assert {name: each.since for name, each in subject.waiting().items()} == {"4": 10.0}
    assert subject.oldest_since == 10.0
    subject.reconcile(Selection([*old[5:], new, snapshot("newer", ctime_ns=10)]), 300.0)
    assert {name: each.since for name, each in subject.waiting().items()} == {"5": 10.0, "new": 200.0, "newer": 300.0}
    subject.reconcile(Selection([snapshot("late", ctime_ns=1)]), 400.0)
    assert subject.oldest_since == 400.0
