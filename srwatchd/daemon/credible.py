"""How old a file is at the least, on a machine whose clock may be wrong. Pure.

A box without a battery begins in 1970 at every boot, a bad battery makes it 2036, and then a time server corrects it:
a file that was written a minute ago then looks ten years old, or fifty. So ages are not counted by the clock but by
*credible time*. It goes on with the time that the machine has been running (CLOCK_BOOTTIME); over a time without us it
goes on with the clock, but by a week at the most. Which stretch of the clock was which stretch of credible time is kept
as a list of :class:`Stretch`. A file's stamp is looked up in it, and where the clock passed the same time twice, the
later one counts. So a file may be kept for longer than asked for, and is never removed too early by more than that week
for each restart during which the clock was put forward.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Self

__all__ = ["CREDIT", "CredibleTime", "Stretch"]

CREDIT: Final = 7 * 86400.0
"""Seconds without us that a clock is believed to have gone on by, for each restart."""
_SLACK: Final = 120.0
"""A step of the clock that is no step: it was only set a little."""
_STRETCHES: Final = 64
_UNSEEN: Final = 3600.0
"""How long a stretch may have gone on after it was seen last in an earlier boot."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """From wall time ``first`` to ``last`` the clock was ``ahead`` seconds ahead of credible time."""

    first: float
    last: float
    ahead: float


@dataclass(slots=True)
class CredibleTime:
    """Credible time ``now`` in seconds, as of ``running`` seconds after the boot ``boot``. See the module.

    ``credit`` is how much of the time without us may still be believed in this boot.
    """

    now: float
    running: float
    boot: str
    credit: float = 0.0
    stretches: list[Stretch] = field(default_factory=list)
    of_this_boot: int = 0
    """How many of the last stretches began in this boot."""

    @classmethod
    def begin(cls, wall: float, running: float, boot: str, *, known: float | None = None) -> Self:
        """Where nothing is kept: the clock is believed, but by at most a week beyond ``known``, the last time known."""
        if known is None:
            return cls(wall, running, boot, 0.0, [Stretch(wall, wall, 0.0)])
        made = cls(known, 0.0, "", 0.0, [Stretch(known, known, 0.0)])
        made.look(wall, running, boot)
        return made

    @classmethod
    def from_dict(cls, kept: Any) -> Self:
        """The inverse of :meth:`to_dict`. Raises KeyError, TypeError or ValueError for anything else."""
        stretches = [
            Stretch(float(each["first"]), float(each["last"]), float(each["ahead"])) for each in kept["stretches"]
        ]
        if not stretches:
            raise ValueError("no stretch is kept")
        return cls(
            float(kept["now"]),
            float(kept["running"]),
            str(kept["boot"]),
            float(kept["credit"]),
            stretches,
            int(kept["of_this_boot"]),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @property
    def ahead(self) -> float:
        """By how many seconds the clock is ahead of credible time."""
        return self.stretches[-1].ahead

    def look(self, wall: float, running: float, boot: str) -> bool:
        """Go on: the clock says ``wall``, the machine has been running for ``running`` seconds. Whether it jumped."""
        here = boot == self.boot
        elapsed = max(0.0, running - self.running) if here else 0.0
        if not here:
            self.credit, self.of_this_boot = CREDIT, 0
        expected = self.now + elapsed
        ahead = self._fitting(wall, expected)
        jumped = ahead is None
        if ahead is None:
            ahead = wall - expected
        now = max(self.now, wall - ahead)
        if (extra := now - expected) > _SLACK:
            self.credit = max(0.0, self.credit - extra)
            self._later(extra)
        self._note(wall, ahead, before=elapsed if here else running, unseen=elapsed if here else _UNSEEN)
        self.now, self.running, self.boot = now, running, boot
        return jumped

    def _note(self, wall: float, ahead: float, *, before: float, unseen: float) -> None:
        """Add the present; a new stretch began ``before`` seconds ago at most, the old one went on for ``unseen``."""
        last = self.stretches[-1]
        if ahead == last.ahead:
            self.stretches[-1] = replace(last, last=max(last.last, wall))
            return
        self.stretches[-1] = replace(last, last=last.last + unseen)
        same = [each.first for each in self.stretches if each.ahead == ahead]
        new = Stretch(min([wall - before, *same]), wall, ahead)
        ended = self.stretches[-1]
        kept = [each for each in self.stretches[:-1] if not _needless(each, ended)]
        others = [each for each in (*kept, ended) if each.ahead != ahead]
        self.stretches = [*others[1 - _STRETCHES :], new]
        self.of_this_boot = min(self.of_this_boot + 1, len(self.stretches))

    def _later(self, extra: float) -> None:
        """What was noted in this boot was ``extra`` seconds later: only now the clock tells how long we were away."""
        for index in range(max(0, len(self.stretches) - self.of_this_boot), len(self.stretches)):
            each = self.stretches[index]
            self.stretches[index] = replace(each, ahead=each.ahead - extra)

    def age(self, stamp: float) -> float:
        """How many seconds ago, at the least, a file was written that the clock stamped with ``stamp``."""
        covering = [each for each in self.stretches if each.first - _SLACK <= stamp <= each.last + _SLACK]
        if covering:
            return self.now - max(stamp - each.ahead for each in covering)
        later = [each for each in self.stretches if each.first > stamp]
        if len(later) == len(self.stretches):  # from before all that is known
            return self.now - (stamp - self.stretches[0].ahead)
        if later:  # from a gap: by a clock that was not ours; as old as the end of the gap
            return self.now - max(each.first - each.ahead for each in later)
        return 0.0  # from the future

    def _fitting(self, wall: float, expected: float) -> float | None:
        """The latest way in which the clock was ahead with which it tells a time that may be so."""
        for each in reversed(self.stretches):
            if expected - _SLACK <= wall - each.ahead <= expected + _SLACK + self.credit:
                return each.ahead
        return None


def _needless(old: Stretch, new: Stretch) -> bool:
    """Whether ``new`` says of every stamp in ``old`` that it is later still."""
    return new.first <= old.first and old.last <= new.last and new.ahead <= old.ahead
