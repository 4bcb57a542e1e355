from __future__ import annotations

import random

import pytest

from srwatchd.intake.agenda import NameQueue


def test_agenda_agrees_with_a_sorted_list():
    """Whatever is put, moved and removed, the order is that of the keys."""
    chance, queue, model = random.Random(7), NameQueue(), {}
    for _ in range(3000):
        name = f"n{chance.randrange(60)}"
        if chance.random() < 0.3:
            queue.remove(name)
            model.pop(name, None)
        else:
            key = (chance.randrange(50), name)
            queue.put(name, key)
            model[name] = key
        assert len(queue) == len(model)
        expected = sorted(model, key=model.__getitem__)
        assert queue.names(3) == expected[:3]
    assert queue.names() == expected
    assert [queue.pop()[1] for _ in range(len(queue))] == expected


def test_agenda_moving_one_name_does_not_grow_it():
    """Dead entries are cleared away."""
    queue = NameQueue()
    for number in range(10_000):
        queue.put("a", number)
    assert len(queue._heap) < 200
    assert queue.first() == (9999, "a")
    assert queue.key("a") == 9999


def test_agenda_empty_one_has_nothing():
    """Asking an empty queue is no accident, taking from it is."""
    queue = NameQueue()
    queue.put("a", 1)
    queue.remove("a")
    assert queue.first() is None
    assert queue.names(5) == []
    assert "a" not in queue
    assert queue.key("a") is None
    with pytest.raises(IndexError):
        queue.pop()
