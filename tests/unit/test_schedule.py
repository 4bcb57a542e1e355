from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from srwatchd.schedule import RoundRobin


def test_schedule_turns_are_in_proportion_to_the_weights():
    """Over a whole round every folder has exactly its weight in turns."""
    turns = RoundRobin()
    weights = {"a": 5, "b": 1, "c": 2}
    assert Counter(turns.next(weights) for _ in range(80)) == {"a": 50, "b": 10, "c": 20}


def test_schedule_turns_are_spread_evenly():
    """A heavy folder does not take its turns in one bunch."""
    turns = RoundRobin()
    assert "".join(turns.next({"a": 3, "b": 1}) for _ in range(8)) == "aabaaaba"


def test_schedule_full_folder_starves_no_other_one():
    """A light folder that keeps waiting is picked within its share of a round."""
    turns = RoundRobin()
    picked = [turns.next({"full": 100, "small": 1}) for _ in range(303)]
    gaps = [index for index, name in enumerate(picked) if name == "small"]
    assert len(gaps) == 3
    assert max(b - a for a, b in pairwise(gaps)) <= 101


def test_schedule_empty_folder_saves_up_no_turns():
    """A folder that had nothing to do for long comes back as one among equals."""
    turns = RoundRobin()
    for _ in range(50):
        assert turns.next({"a": 1}) == "a"
    assert sorted([turns.next({"a": 1, "b": 1}), turns.next({"a": 1, "b": 1})]) == ["a", "b"]


def test_schedule_is_deterministic_and_decides_equals_by_id():
    """The order of the mapping does not matter."""
    one, other = RoundRobin(), RoundRobin()
    assert [one.next({"b": 1, "a": 1}) for _ in range(4)] == [other.next({"a": 1, "b": 1}) for _ in range(4)]
    assert RoundRobin().next({"b": 1, "a": 1}) == "a"


@pytest.mark.parametrize("candidates", [{}, {"a": 0}, {"a": 1, "b": -1}])
def test_schedule_refuses_nothing_and_no_weight(candidates):
    """Neither an empty choice nor a weight below 1 is answered, and the credit is unchanged."""
    turns = RoundRobin()
    with pytest.raises(ValueError, match=r"candidate|weight"):
        turns.next(candidates)
    assert turns.next({"a": 1, "b": 1}) == "a"
