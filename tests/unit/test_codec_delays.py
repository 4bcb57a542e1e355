"""srwatchd.codec.delays: an animation keeps its times, as far as its format can count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srwatchd.codec.delays import shown_at, written_delays


@pytest.mark.parametrize(
    ("name", "delays", "written"),
    [
        ("gif", (100, 50, 0, 10, 330), (100, 50, 0, 10, 330)),
        ("gif", (33, 33, 33), (30, 40, 30)),
        ("gif", (16, 16, 16), (20, 20, 20)),
        ("gif", (1_000_000,), (655_350,)),
        ("webp", (100, 50, 0, 10, 11), (100, 50, 100, 100, 11)),
        ("gif", (40,), (40,)),
    ],
)
def test_written_delays(name, delays, written):
    """A GIF counts in hundredths of a second without drifting; what viewers take for 100 ms becomes that in a WebP."""
    assert written_delays(delays, len(delays), name) == written


def test_frames_without_a_time():
    """A source that says less than it has frames."""
    assert written_delays((40,), 3, "webp") == (40, 100, 100)


@given(st.lists(st.integers(20, 3000), min_size=1, max_size=60))
def test_a_gif_keeps_its_length(delays):
    """All roundings together are less than a hundredth of a second."""
    written = written_delays(delays, len(delays), "gif")
    assert abs(sum(written) - sum(delays)) <= 5
    assert all(each % 10 == 0 for each in written)


@pytest.mark.parametrize(
    ("wanted", "found", "frames"),
    [
        ((10, 20, 30), (10, 20, 30), [0, 1, 2]),
        ((0, 0, 30), (0, 0, 30), [0, 1, 2]),
        ((10, 20, 30), (30, 30), [0, 0, 1]),
        ((10, 20, 30), (10, 50), [0, 1, 1]),
        ((10, 20, 30), (60,), [0, 0, 0]),
        ((10, 20, 30), (20, 40), None),
        ((10, 20, 30), (10, 40), None),
        ((10, 20, 30), (10, 30, 20), None),
        ((10, 20), (10, 20, 0), None),
    ],
)
def test_equal_frames_may_be_joined(wanted, found, frames):
    """Fewer frames are the same animation when they begin at times of the source and end with it."""
    assert shown_at(wanted, found) == frames
