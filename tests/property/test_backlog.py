"""srwatchd.intake.settle with more files than it remembers: memory has a bound, and every file gets its turn."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from srwatchd.intake.hints import Hint, HintKind
from srwatchd.intake.mounts import Timing
from srwatchd.intake.observation import Lease, Look
from srwatchd.intake.order import rank_of, select
from srwatchd.intake.settle import Settler
from srwatchd.job import Snapshot

LIMIT = 8
SETTLE = 2.0
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("drop"), st.integers(1, 30)),
        st.tuples(st.just("hinted"), st.integers(1, 30)),
        st.tuples(st.just("unreadable"), st.integers(1, 2)),
        st.tuples(st.just("scan"), st.just(0)),
        st.tuples(st.just("work"), st.integers(1, 10)),
        st.tuples(st.just("mend"), st.just(0)),
        st.tuples(st.just("remove"), st.integers(1, 5)),
    ),
    max_size=30,
)


class Folder:
    """The settings that a settler looks at."""

    watch_mode, rescan_interval, settle, grace = "auto", 60.0, None, None
    max_hold, ready, recursive, include, exclude, min_size, max_size = 900.0, "settled", True, (), (), 1, 1000

    def __init__(self, order: str) -> None:
        self.order = order


class World:
    """An inbox with good files and bad ones, and the daemon's loop around a settler."""

    def __init__(self, order: str) -> None:
        self.folder = Folder(order)
        self.settler = Settler(Timing(SETTLE, 60.0), self.folder, limit=LIMIT)
        self.files: dict[str, Snapshot] = {}
        self.bad: set[str] = set()
        self.now = 0.0
        self.made = 0

    def drop(self, count: int) -> list[str]:
        names = [f"{self.made + number:05}.png" for number in range(count)]
        for name in names:
            self.made += 1
            self.files[name] = Snapshot(
                name=name,
                device=1,
                inode=self.made,
                size=1 + self.made * 7919 % 97,
                mtime_ns=0,
                ctime_ns=self.made,
                owner=0,
            )
        return names

    def hinted(self, count: int) -> None:
        for name in self.drop(count):
            self.settler.hinted(Hint(HintKind.CREATED, name), self.now)
            self.settler.hinted(Hint(HintKind.CLOSED, name), self.now)

    def unreadable(self, count: int) -> None:
        """As many as stand apart, together."""
        self.bad |= set(self.drop(min(count, LIMIT // 2 - len(self.bad))))

    def mend(self, _: int) -> None:
        self.bad.clear()

    def remove(self, count: int) -> None:
        for name in sorted(self.files)[:count]:
            del self.files[name]
            self.bad.discard(name)

    def scan(self, _: int) -> None:
        found = select(self.files.values(), order=self.folder.order, limit=LIMIT, apart=self.settler.apart())
        self.settler.reconcile(found, self.now, started=self.now)

    def work(self, count: int) -> list[str]:
        """Look at what is due, claim as many of the ready ones, as the daemon does it; a scan when it is asked for."""
        self.now += SETTLE
        for name in self.settler.due(self.now):
            if name in self.files:
                bad = name in self.bad
                lease = Lease.UNKNOWN if bad else Lease.FREE
                self.settler.observe(Look(self.files[name], lease, readable=not bad), self.now)
            else:
                self.settler.forget(name)
        claimed = []
        for verdict in self.settler.ready(self.now, limit=count):
            name = verdict.snapshot.name
            if name not in self.files:
                self.settler.forget(name)
                continue
            self.settler.reserve(name)
            del self.files[name]
            self.settler.claimed(name, self.now)
            claimed.append(name)
        if self.settler.depleted:
            self.scan(0)
        return claimed


@given(order=st.sampled_from(["oldest", "newest", "name", "smallest"]), steps=STEPS)
def test_every_file_gets_its_turn_in_bounded_memory(order, steps):
    """What is left in the end is what cannot be read; never is more remembered than the limit and a half."""
    world = World(order)
    for step, count in steps:
        getattr(world, step)(count)
        assert len(world.settler) <= LIMIT + LIMIT // 2
    for _ in range(4 + 2 * len(world.files)):
        world.scan(0)
        world.work(4)
        world.now += 60.0
    assert set(world.files) == world.bad
    assert set(world.settler.waiting()) == world.bad
    assert world.settler.more == 0


@given(order=st.sampled_from(["oldest", "newest", "name", "smallest"]), count=st.integers(1, 60))
def test_a_backlog_is_worked_off_in_its_order(order, count):
    """From the first to the last, as if all of it were remembered."""
    world = World(order)
    world.drop(count)
    wanted = [each.name for each in sorted(world.files.values(), key=rank_of(order))]
    world.scan(0)
    done = []
    while world.files:
        done += world.work(2)
    assert done == wanted
