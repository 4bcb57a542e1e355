"""Cells of a CSV export."""

from __future__ import annotations

import pytest

from srwatchd.audit.export import COLUMNS, cell


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (True, "true"),
        (False, "false"),
        (-5, "-5"),
        ("ä.png", "ä.png"),
        ("=1+1", "'=1+1"),
        ("  @SUM(A1)", "'  @SUM(A1)"),
        ("-2", "'-2"),
        ("+2", "'+2"),
        ("\uff1d1", "'\uff1d1"),
        ("\t=1", "\\u0009=1"),
        ("a\r\nb\x1b", "a\\u000d\\u000ab\\u001b"),
        ("\u202egnp", "\\u202egnp"),
        ("\udcff\\", "\\udcff\\\\"),
        ("\U000e0001", "\\U000e0001"),
        (["=a", "b"], '["=a", "b"]'),
    ],
)
def test_a_cell_is_one_harmless_line(value: object, shown: str) -> None:
    """No formula, no line break, no control or direction mark, and nothing that is not UTF-8."""
    assert cell(value) == shown
    assert cell(value).encode("utf-8") == shown.encode("utf-8")


def test_the_columns_are_all_documented_fields() -> None:
    """No field can be lost in an export."""
    assert len(set(COLUMNS)) == len(COLUMNS)
    assert COLUMNS[0] == "@timestamp"
    assert COLUMNS[-1] == "srwatchd.detail"
