"""srwatchd.daemon.credible: what a file's age comes to on the clocks that boxes have."""

from __future__ import annotations

import pytest

from srwatchd.daemon.credible import CREDIT, CredibleTime

DAY = 86400.0
Y2026 = 56 * 365.25 * DAY


def test_an_honest_clock_is_believed():
    """Through restarts and reboots, and for files from before the first start."""
    time = CredibleTime.begin(Y2026, 100.0, "a")
    time.look(Y2026 + 3 * DAY, 100.0 + 3 * DAY, "a")
    time.look(Y2026 + 5 * DAY, 50.0, "b")  # two days without us
    assert time.age(Y2026 + 1 * DAY) == pytest.approx(4 * DAY)
    assert time.age(Y2026 + 4 * DAY) == pytest.approx(DAY)
    assert time.age(Y2026 - 30 * DAY) == pytest.approx(35 * DAY)
    assert time.age(Y2026 + 6 * DAY) == 0.0
    assert time.ahead == 0.0


def test_a_long_time_without_us_counts_a_week():
    """The rest only keeps files longer."""
    time = CredibleTime.begin(Y2026, 100.0, "a")
    assert time.look(Y2026 + 60 * DAY, 50.0, "b") is True
    assert time.age(Y2026) <= CREDIT + 120.0


def test_a_box_without_a_battery():
    """1970 at every boot, corrected after minutes: what was written in 1970 is young, all else ages as it should."""
    time = CredibleTime.begin(Y2026, 100.0, "a")
    for boot in range(1, 40):
        true = Y2026 + boot * DAY
        time.look(20.0, 20.0, f"boot {boot}")
        assert time.age(Y2026 - 10 * DAY) <= (boot + 10) * DAY
        time.look(true + 300.0, 320.0, f"boot {boot}")
        assert time.age(100.0) <= 301.0
        assert time.age(true - DAY + 400.0) == pytest.approx(DAY - 100.0, abs=500.0)
    assert time.age(Y2026) == pytest.approx(39 * DAY, abs=600.0)


def test_ten_years_in_a_moment():
    """A clock put forward makes nothing older; what is written afterwards ages by the new clock; and back again."""
    time = CredibleTime.begin(Y2026, 100.0, "a")
    time.look(Y2026 + DAY, 100.0 + DAY, "a")
    jump = 3650 * DAY
    assert time.look(Y2026 + DAY + 600.0 + jump, 100.0 + DAY + 600.0, "a") is True
    assert time.ahead == pytest.approx(jump)
    assert time.age(Y2026) == pytest.approx(DAY + 600.0)
    time.look(Y2026 + 2 * DAY + jump, 100.0 + 2 * DAY, "a")
    assert time.age(Y2026 + 1.5 * DAY + jump) == pytest.approx(0.5 * DAY)
    assert time.look(Y2026 + 3 * DAY, 100.0 + 3 * DAY, "a") is False
    assert time.ahead == 0.0
    assert time.age(Y2026 + 1.5 * DAY + jump) == pytest.approx(1.5 * DAY)
    assert time.age(Y2026) == pytest.approx(3 * DAY)


def test_a_lost_state_does_not_make_a_wrong_clock_believed():
    """The ledger's newest time stands in for it."""
    time = CredibleTime.begin(Y2026 + 3650 * DAY, 50.0, "b", known=Y2026)
    assert time.age(Y2026 - DAY) <= DAY + CREDIT + 120.0
    assert CredibleTime.begin(Y2026 + DAY, 50.0, "b", known=Y2026).age(Y2026) == pytest.approx(DAY)


@pytest.mark.parametrize("kept", [None, {}, {"stretches": []}, {"stretches": [{}]}, [], {"stretches": 3}])
def test_a_spoilt_state_is_no_state(kept):
    """Whoever reads it begins anew."""
    with pytest.raises((KeyError, TypeError, ValueError)):
        CredibleTime.from_dict(kept)
