from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from srwatchd.daemon.generation import Generation


def generation(*, ticked: float = 0.0, turned: float | None = 0.0, due: float | None = None) -> Generation:
    """One of which only the signs of progress are there, so many seconds ago (due: from now on)."""
    now = time.monotonic()
    made = object.__new__(Generation)
    made._ticked = now - ticked
    made._dispatcher = None if turned is None else SimpleNamespace(turned=now - turned)
    worker = SimpleNamespace(due=None if due is None else now + due)
    pools = {name: SimpleNamespace(states=lambda: (worker,)) for name in ("codec", "inference")}
    made._crew = SimpleNamespace(**pools)
    return made


@pytest.mark.parametrize(
    ("signs", "progress"),
    [
        ({}, True),
        ({"turned": None}, True),
        ({"due": 600.0}, True),
        ({"due": -10.0}, True),
        ({"ticked": 61.0}, False),
        ({"turned": 61.0}, False),
        ({"due": -61.0}, False),
    ],
)
def test_the_watchdog_hears_of_real_progress_only(signs: dict[str, float], progress: bool) -> None:
    """The loop ticks, the dispatcher turns, no worker is left overdue; each for itself can stop the pings."""
    assert generation(**signs).makes_progress() is progress
