"""srwatchd.intake.order: the first of very many, in the folder's order, and those that stand apart."""

from __future__ import annotations

import pytest
from intake_standin import snapshot

from srwatchd.intake.order import Selection, select

SHOTS = [
    snapshot("b", size=3, ctime_ns=1),
    snapshot("d", size=1, ctime_ns=2),
    snapshot("a", size=4, ctime_ns=3),
    snapshot("c", size=2, ctime_ns=4),
]


@pytest.mark.parametrize(
    ("order", "expected"), [("oldest", "bd"), ("newest", "ca"), ("name", "ab"), ("smallest", "dc")]
)
def test_order_the_first_ones_are_selected_and_the_rest_is_counted(order, expected):
    """Whatever order the disk tells them in."""
    for shots in (SHOTS, SHOTS[::-1]):
        found = select(iter(shots), order=order, limit=2)
        assert "".join(each.name for each in found.snapshots) == expected
        assert found.more == 2


def test_order_what_stands_apart_takes_no_place():
    """It is there besides, and not counted among the rest; what is not there any more is not waited for."""
    found = select(iter(SHOTS), order="name", limit=1, apart={"a", "d", "gone"})
    assert [each.name for each in found.snapshots] == ["d", "a", "b"]
    assert found.more == 1


def test_order_few_are_all_selected():
    """Nothing is left out while there is room."""
    assert select(iter(SHOTS), order="oldest", limit=4) == Selection(SHOTS, 0, 4)
    assert select(iter([]), order="oldest", limit=4) == Selection([])
