"""srwatchd.daemon.credible: whatever a clock does, no file looks much older than it is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from srwatchd.daemon.credible import CREDIT, CredibleTime

YEAR = 365 * 86400.0
NOW = 56 * YEAR
_SLACK = 120.0

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("run"), st.floats(1.0, 20 * 86400.0)),
        st.tuples(st.just("step"), st.sampled_from([-NOW, -10 * YEAR, -86400.0, -60.0, 60.0, 86400.0, 10 * YEAR, NOW])),
        st.tuples(st.just("reboot"), st.tuples(st.floats(0.0, 60 * 86400.0), st.sampled_from([0.0, -NOW, 10 * YEAR]))),
        st.tuples(st.just("restart"), st.just(0.0)),
    ),
    max_size=25,
)


class World:
    """A machine: true time, how far its clock is off, and when it was booted."""

    def __init__(self, off: float) -> None:
        self.true, self.off, self.booted, self.boots = NOW, off, NOW - 50.0, 0
        self.time = CredibleTime.begin(*self.seen())
        self.files: list[tuple[float, float]] = []

    def seen(self) -> tuple[float, float, str]:
        return self.true + self.off, self.true - self.booted, f"boot {self.boots}"

    def look(self) -> None:
        self.time.look(*self.seen())

    def write(self) -> None:
        self.files.append((self.true, self.true + self.off))

    def act(self, kind: str, what: object) -> None:
        if kind == "run":
            for _ in range(4):
                self.true += what / 4
                self.look()
        elif kind == "step":
            self.off += what
        elif kind == "restart":
            self.time = CredibleTime.from_dict(self.time.to_dict())
        else:
            off_for, step = what
            self.true += off_for
            self.off += step
            self.booted, self.boots = self.true, self.boots + 1


@given(off=st.sampled_from([0.0, -NOW, 10 * YEAR]), steps=STEPS)
def test_no_file_is_older_than_it_is(off, steps):
    """Only what a clock put forward while nobody looked can add, a week for each boot; steps add nothing."""
    world = World(off)
    for kind, what in steps:
        world.write()
        world.act(kind, what)
        world.write()
        world.look()
        allowed = CREDIT * world.boots + _SLACK * (4 * len(steps) + 2)
        for written, stamp in world.files:
            assert world.time.age(stamp) <= world.true - written + allowed
