"""Quantities as people write them."""

from __future__ import annotations

from datetime import datetime

import pytest

from srwatchd.config.units import (
    parse_active_hours,
    parse_directory_mode,
    parse_duration,
    parse_file_mode,
    parse_pixels,
    parse_size,
)


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("1GiB", 2**30),
        ("64 MiB", 64 * 2**20),
        ("1.5 GB", 1_500_000_000),
        ("10kB", 10_000),
        ("7", 7),
        ("7 B", 7),
        (4096, 4096),
        (0, 0),
        ("2 tib", 2**41),
    ],
)
def test_a_size_is_bytes(written, size):
    """Both families of units, with or without a space, in any case, and plain bytes."""
    assert parse_size(written) == size


@pytest.mark.parametrize("written", ["1G", "250 M", "", "x", "-1", -1, 1.5, True, None, [], "1 GiB x", "99999999 TiB"])
def test_a_size_that_is_ambiguous_or_none_is_refused(written):
    """A bare K, M, G or T means 1000 to some and 1024 to others, so it is not guessed."""
    with pytest.raises(ValueError, match=r"size|large"):
        parse_size(written)


@pytest.mark.parametrize(
    ("written", "pixels"),
    [("250 M", 250_000_000), ("2 G", 2_000_000_000), ("12.5MP", 12_500_000), ("8k", 8000), (9, 9)],
)
def test_pixels_are_counted_in_thousands(written, pixels):
    """Units of pixels are powers of 1000."""
    assert parse_pixels(written) == pixels


def test_pixels_have_no_bytes():
    """A size is no number of pixels."""
    with pytest.raises(ValueError, match="pixels"):
        parse_pixels("1GiB")


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("10 s", 10.0),
        ("15min", 900.0),
        ("1h", 3600.0),
        ("1h 30min", 5400.0),
        ("500 ms", 0.5),
        ("2 d", 172_800.0),
        ("1 week", 604_800.0),
        ("3", 3.0),
        (0.25, 0.25),
        (60, 60.0),
    ],
)
def test_a_duration_is_seconds(written, seconds):
    """Numbers are seconds, units may be combined."""
    assert parse_duration(written) == seconds


@pytest.mark.parametrize(
    "written", ["10 x", "", "1h 30", "h", "-1 s", -1, float("inf"), float("nan"), True, None, "1 s,"]
)
def test_what_is_no_duration_is_refused(written):
    """Nothing is guessed, nothing negative or endless gets through."""
    with pytest.raises(ValueError, match="duration"):
        parse_duration(written)


@pytest.mark.parametrize("written", ["5300 w", 4e9])
def test_a_duration_has_an_end(written):
    """A duration beyond a hundred years is a slip, and would overflow clocks."""
    with pytest.raises(ValueError, match="hundred years"):
        parse_duration(written)


@pytest.mark.parametrize("written", ["0664", "664", "0o664", 0o664])
def test_a_mode_is_octal(written):
    """Text is read as octal; a number holds the bits themselves."""
    assert parse_file_mode(written) == 0o664


@pytest.mark.parametrize(
    ("parse", "written"),
    [
        (parse_file_mode, "0888"),
        (parse_file_mode, "4755"),
        (parse_file_mode, "0444"),
        (parse_file_mode, True),
        (parse_file_mode, None),
        (parse_file_mode, "rw-r--r--"),
        (parse_directory_mode, "1777"),
        (parse_directory_mode, "0655"),
    ],
)
def test_a_mode_that_would_lock_srwatchd_out_or_set_ids_is_refused(parse, written):
    """The owner keeps access, and only directories may have the set-group-id bit."""
    with pytest.raises(ValueError, match=r"mode|owner"):
        parse(written)


def test_a_directory_mode_may_hand_its_group_down():
    """2775 is the default of the contract."""
    assert parse_directory_mode("2775") == 0o2775


@pytest.mark.parametrize(
    ("written", "moment", "inside"),
    [
        ("08:00-17:00", "2026-11-23 08:00", True),
        ("08:00-17:00", "2026-11-23 17:00", False),
        ("22:00-06:00", "2026-11-23 23:00", True),
        ("22:00-06:00", "2026-11-23 05:59", True),
        ("22:00-06:00", "2026-11-23 06:00", False),
        ("mon-fri 22:00-06:00", "2026-11-28 05:00", True),  # Saturday, still Friday's night
        ("mon-fri 22:00-06:00", "2026-11-28 23:00", False),
        ("mon-fri 22:00-06:00", "2026-11-23 05:00", False),  # Monday, Sunday's night
        ("sat,sun 00:00-24:00", "2026-11-29 23:59", True),
        ("fri-mon 10:00-11:00", "2026-11-22 10:30", True),  # Sunday
        ("Fri-Mon 10:00-11:00", "2026-11-25 10:30", False),  # Wednesday
    ],
)
def test_hours_belong_to_the_day_on_which_they_begin(written, moment, inside):
    """A span over midnight counts for the weekday of its beginning; its end is outside."""
    assert parse_active_hours(written).contains(datetime.fromisoformat(moment)) is inside


@pytest.mark.parametrize(
    "written", ["22-06", "25:00-26:00", "10:60-11:00", "10:00-10:00", "xyz 10:00-11:00", 7, "24:00-1:00"]
)
def test_hours_that_no_clock_shows_are_refused(written):
    """Every wrong span says what to write."""
    with pytest.raises(ValueError, match=r"write|clock"):
        parse_active_hours(written)


@pytest.mark.parametrize("written", ["22:00-06:00", "mon,wed 08:00-24:00"])
def test_hours_are_written_as_they_are_read(written):
    """The text of a span reads back as the same span."""
    hours = parse_active_hours(written)
    assert str(hours) == written
    assert parse_active_hours(str(hours)) == hours
    assert parse_active_hours(hours) is hours
