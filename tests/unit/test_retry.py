from __future__ import annotations

import math

import pytest

from srwatchd.retry import delay


@pytest.mark.parametrize(
    ("attempt", "seconds"), [(1, 10.0), (2, 20.0), (3, 40.0), (6, 320.0), (7, 600.0), (8, 600.0), (10**9, 600.0)]
)
def test_delay_doubles_up_to_the_maximum(attempt: int, seconds: float) -> None:
    """The delay doubles with each attempt, stops at the maximum, and never overflows."""
    assert delay(attempt, initial=10.0, maximum=600.0) == seconds


def test_initial_above_the_maximum_gives_the_maximum() -> None:
    """The maximum wins over a larger initial delay."""
    assert delay(1, initial=50.0, maximum=5.0) == 5.0


def test_zero_means_at_once() -> None:
    """An initial delay of zero stays zero, whatever the attempt."""
    assert delay(5000, initial=0.0, maximum=600.0, job="j") == 0.0


def test_jitter_is_decided_by_job_and_attempt() -> None:
    """A job's delay is repeatable, within a quarter below the plain one, and differs between jobs."""
    delays = [delay(3, initial=10.0, maximum=600.0, job=f"job-{number}") for number in range(100)]
    assert delays == [delay(3, initial=10.0, maximum=600.0, job=f"job-{number}") for number in range(100)]
    assert all(30.0 <= value <= 40.0 for value in delays)
    assert len(set(delays)) == 100


@pytest.mark.parametrize(
    ("attempt", "initial", "maximum"),
    [(0, 1.0, 2.0), (-1, 1.0, 2.0), (1, -1.0, 2.0), (1, 1.0, -2.0), (1, math.nan, 2.0), (1, 1.0, math.inf)],
)
def test_senseless_arguments_are_refused(attempt: int, initial: float, maximum: float) -> None:
    """Attempts begin at 1 and times are finite and not negative; anything else is a ValueError."""
    with pytest.raises(ValueError, match=r"attempts|not a delay"):
        delay(attempt, initial=initial, maximum=maximum)
