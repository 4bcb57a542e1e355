from __future__ import annotations

import pytest
from intake_standin import Folder, look, snapshot

from srwatchd.intake.hints import Hint, HintKind
from srwatchd.intake.mounts import Timing
from srwatchd.intake.observation import Lease
from srwatchd.intake.order import Selection
from srwatchd.intake.settle import Doomed, Ready, Settler, WaitReason

LOCAL = Timing(2.0, 60.0)
CLOSED = Hint(HintKind.CLOSED, "a.jpg")


def settler(timing: Timing = LOCAL, **folder: object) -> Settler:
    return Settler(timing, Folder(**folder))


def reason(subject: Settler, name: str = "a.jpg") -> WaitReason:
    return subject.waiting()[name].reason


@pytest.mark.parametrize("kind", [HintKind.CLOSED, HintKind.MOVED])
def test_settle_closed_or_moved_file_is_ready_after_a_second_look(kind):
    """A clean local write is ready a tenth of a second after its first look, and not before."""
    subject = settler()
    assert subject.hinted(Hint(kind, "a.jpg"), 10.0)
    assert subject.due(10.0) == ["a.jpg"]
    subject.observe(look(), 10.0)
    assert subject.next_due() == pytest.approx(10.1)
    assert subject.ready(10.05) == []
    assert subject.due(10.1) == ["a.jpg"]
    subject.observe(look(), 10.1)
    assert subject.ready(10.1) == [Ready(snapshot())]
    assert reason(subject) is WaitReason.QUEUED


def test_settle_hint_may_come_with_the_look():
    """The caller may hand over event and look together."""
    subject = settler()
    subject.observe(look(), 0.0, CLOSED)
    subject.observe(look(), 0.1)
    assert subject.ready(0.1) == [Ready(snapshot())]


@pytest.mark.parametrize(
    ("first", "kind"),
    [(look(lease=Lease.UNKNOWN), HintKind.CLOSED), (look(), HintKind.CREATED)],
)
def test_settle_unknown_writer_or_bare_name_takes_the_full_time(first, kind):
    """Without a lease, or with a link made to a file, only the settle time counts."""
    subject = settler()
    subject.hinted(Hint(kind, "a.jpg"), 0.0)
    subject.observe(first, 0.1)
    subject.observe(first, 0.3)
    assert subject.ready(0.3) == []
    assert subject.next_due() == pytest.approx(2.1)
    subject.observe(first, 2.1)
    assert subject.ready(2.1) == [Ready(first.snapshot)]


def test_settle_file_from_a_scan_needs_one_look():
    """The scan is the first of the two equal observations."""
    subject = settler()
    subject.reconcile(Selection([snapshot()]), 0.0)
    assert subject.due(1.9) == []
    assert subject.due(2.0) == ["a.jpg"]
    assert subject.due(2.0) == []
    subject.observe(look(), 2.0)
    assert subject.ready(2.0) == [Ready(snapshot())]


@pytest.mark.parametrize("field", ["inode", "size", "mtime_ns", "ctime_ns"])
def test_settle_any_change_begins_anew(field):
    """Inode, size and both times must stay for the whole settle time."""
    subject = settler()
    subject.observe(look(), 0.0)
    subject.observe(look(**{field: 99}), 2.0)
    assert subject.ready(2.0) == []
    assert subject.next_due() == 4.0
    subject.observe(look(**{field: 99}), 4.0)
    assert len(subject.ready(4.0)) == 1


def test_settle_writer_that_goes_on_after_its_close():
    """A change between the two looks restarts the tenth of a second."""
    subject = settler()
    subject.observe(look(), 0.0, CLOSED)
    subject.observe(look(size=11), 0.1)
    assert subject.ready(0.1) == []
    subject.observe(look(size=11), 0.2)
    assert subject.ready(0.2) == [Ready(snapshot(size=11))]


def test_settle_open_file_waits_and_is_given_up_after_max_hold():
    """A frozen writer holds a stable size: it is looked at once per settle time, and not for ever."""
    subject = settler(max_hold=5.0)
    now, looks = 0.0, 0
    while not subject.ready(now):
        subject.observe(look(lease=Lease.BUSY), now)
        looks += 1
        if subject.ready(now):
            break
        assert reason(subject) is WaitReason.WRITER_OPEN
        now = subject.next_due()
    assert subject.ready(now) == [Doomed(snapshot(), "writer_never_closed")]
    assert now == 5.0
    assert looks == 4


def test_settle_slow_writer_is_never_given_up():
    """A file that still grows is not held, however long it takes."""
    subject = settler(max_hold=5.0)
    for second in range(0, 60, 2):
        subject.observe(look(lease=Lease.BUSY, size=second + 1), float(second))
        assert subject.ready(second) == []


def test_settle_close_is_reported_just_before_the_lease_is_free():
    """A busy look right after a close is repeated at once, a few times only."""
    subject = settler()
    subject.observe(look(lease=Lease.BUSY), 0.0, CLOSED)
    assert subject.next_due() == pytest.approx(0.03)
    subject.observe(look(), 0.03)
    subject.observe(look(), 0.13)
    assert subject.ready(0.13) == [Ready(snapshot())]
    other = settler()
    other.observe(look(lease=Lease.BUSY), 0.0, CLOSED)
    for now in (0.03, 0.06, 0.09):
        other.observe(look(lease=Lease.BUSY), now)
    assert other.next_due() == pytest.approx(2.09)


@pytest.mark.parametrize(
    ("seen", "verdict", "why"),
    [
        (look(size=0), Doomed(snapshot(size=0), "empty"), WaitReason.EMPTY),
        (look(size=3), Doomed(snapshot(size=3), "too_small_file"), WaitReason.TOO_SMALL),
        (look(hole_at_end=True), Ready(snapshot(), hole=True), WaitReason.HOLE),
    ],
)
def test_settle_what_looks_unfinished_waits_for_the_grace_time(seen, verdict, why):
    """Empty, too small, or with an unwritten end: it may still grow, until the grace is over."""
    subject = settler(min_size=5)
    subject.observe(seen, 0.0, CLOSED)
    subject.observe(seen, 0.1)
    assert subject.ready(0.1) == []
    assert reason(subject) is why
    assert subject.next_due() == 60.0
    subject.observe(seen, 60.0)
    assert subject.ready(60.0) == [verdict]


def test_settle_no_grace_at_all_still_settles():
    """A run that waits for nobody gives an empty file up once settled, an undecodable one after a look."""
    subject = settler(Timing(2.0, 0.0))
    for now in (0.0, 1.9):
        subject.observe(look(size=0), now)
        assert subject.ready(now) == []
    subject.observe(look(size=5), 3.0)
    subject.observe(look(size=5), 5.0)
    subject.reserve("a.jpg")
    subject.undecodable("a.jpg", 6.0)
    assert subject.due(6.0) == ["a.jpg"]
    subject.observe(look(size=5), 6.0)
    assert subject.ready(6.0) == [Doomed(snapshot(size=5), "incomplete")]


def test_settle_too_large_file_is_doomed_when_it_has_settled():
    """Not before: its size may still be a promise only."""
    subject = settler(max_size=5)
    subject.observe(look(hole_at_end=True), 0.0)
    assert subject.ready(0.0) == []
    subject.observe(look(hole_at_end=True), 2.0)
    assert subject.ready(2.0) == [Doomed(snapshot(), "too_large_file")]


def test_settle_undecodable_file_goes_back_until_its_grace_is_over():
    """A partial file may be resumed; when it never changes again it is incomplete."""
    subject = settler()
    subject.observe(look(), 0.0)
    subject.observe(look(), 2.0)
    subject.reserve("a.jpg")
    assert subject.ready(2.0) == []
    assert reason(subject) is WaitReason.IN_WORK
    subject.undecodable("a.jpg", 3.0)
    assert subject.ready(3.0) == []
    assert reason(subject) is WaitReason.UNDECODABLE
    assert not subject.grace_over("a.jpg", 59.0)
    assert subject.due(60.0) == ["a.jpg"]
    subject.observe(look(), 60.0)
    assert subject.grace_over("a.jpg", 60.0)
    assert subject.ready(60.0) == [Doomed(snapshot(), "incomplete")]


def test_settle_resumed_upload_is_complete_after_all():
    """A change of an undecodable file gives it a new life."""
    subject = settler()
    subject.observe(look(), 0.0)
    subject.observe(look(), 2.0)
    subject.reserve("a.jpg")
    subject.undecodable("a.jpg", 2.5)
    subject.observe(look(size=20), 30.0, Hint(HintKind.CLOSED, "a.jpg"))
    subject.observe(look(size=20), 30.1)
    assert subject.ready(30.1) == [Ready(snapshot(size=20))]


def test_settle_done_file_mode_waits_for_the_marker():
    """Without the marker never, with it at once and without a lease; the marker's own event asks for the look."""
    subject = settler(ready="done_file", rescan_interval=10.0)
    subject.observe(look(lease=Lease.UNKNOWN), 0.0, CLOSED)
    delays, now = [], 0.0
    for _ in range(5):
        due = subject.next_due()
        delays.append(due - now)
        now = due
        subject.observe(look(lease=Lease.UNKNOWN), now)
    assert delays == [2.0, 4.0, 8.0, 10.0, 10.0]
    assert reason(subject) is WaitReason.NO_MARKER
    assert subject.hinted(Hint(HintKind.CREATED, "a.jpg.done"), now + 1)
    assert subject.due(now + 1.1) == ["a.jpg"]
    subject.observe(look(lease=Lease.UNKNOWN, marker=True), now + 1.1)
    subject.observe(look(lease=Lease.UNKNOWN, marker=True), now + 1.3)
    assert subject.ready(now + 1.3) == [Ready(snapshot())]


def test_settle_marked_file_on_a_polled_mount_takes_two_seconds():
    """Attributes of a remote mount are cached for a moment."""
    subject = settler(Timing(30.0, 120.0, poll=True), ready="done_file")
    seen = look(lease=Lease.UNKNOWN, marker=True)
    subject.observe(seen, 0.0)
    assert subject.next_due() == 2.0
    subject.observe(seen, 2.0)
    assert subject.ready(2.0) == [Ready(snapshot())]


def test_settle_unreadable_file_is_held_and_looked_at_ever_less_often():
    """It stays with its reason and remedy, and goes on by itself once it can be read."""
    subject = settler(rescan_interval=20.0)
    closed = look(readable=False, lease=Lease.UNKNOWN, problem="give it read permission")
    now, delays = 0.0, []
    for _ in range(6):
        subject.observe(closed, now)
        delays.append(subject.next_due() - now)
        now = subject.next_due()
    assert delays == [2.0, 4.0, 8.0, 16.0, 20.0, 20.0]
    assert subject.waiting()["a.jpg"].detail == "give it read permission"
    assert reason(subject) == "source_unreadable"
    subject.observe(look(ctime_ns=9), now)
    subject.observe(look(ctime_ns=9), now + 2)
    assert subject.ready(now + 2) == [Ready(snapshot(ctime_ns=9))]


def test_settle_unmovable_file_is_held_with_growing_pauses():
    """A claim that is refused is not tried in a loop."""
    subject = settler()
    subject.observe(look(), 0.0)
    now, delays = 2.0, []
    for _ in range(4):
        subject.observe(look(), now)
        assert subject.ready(now)
        subject.reserve("a.jpg")
        subject.hold("a.jpg", now, reason=WaitReason.UNMOVABLE, detail="sticky")
        assert subject.waiting()["a.jpg"].detail == "sticky"
        delays.append(subject.next_due() - now)
        now = subject.next_due()
    assert delays == [2.0, 4.0, 8.0, 16.0]
