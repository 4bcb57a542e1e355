"""engine.smoke: what is let through and what is not."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest
from engine_standin import Clock, StandIn, StandInEngine, blurred, repeated, spec

from srwatchd.engine.smoke import known_picture, smoke_test
from srwatchd.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    from srwatchd.config.models import ModelSpec

COUNTER = itertools.count()


def black(tile: np.ndarray, model: ModelSpec) -> np.ndarray:
    return np.zeros_like(repeated(tile, model))


def inverted(tile: np.ndarray, model: ModelSpec) -> np.ndarray:
    return np.iinfo(tile.dtype).max - repeated(tile, model)


def swapped(tile: np.ndarray, model: ModelSpec) -> np.ndarray:
    return repeated(tile, model)[:, :, ::-1]


def unsteady(tile: np.ndarray, model: ModelSpec) -> np.ndarray:
    return repeated(tile, model) ^ (next(COUNTER) & 1)


def shallow(tile: np.ndarray, model: ModelSpec) -> np.ndarray:
    return repeated(tile, model) // (1 if tile.dtype == np.uint8 else 2)


def test_a_good_network_passes() -> None:
    """Plain repetition is perfect by this measure."""
    assert smoke_test(StandIn()).difference == 0


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (black, "uniform"),
        (inverted, "levels"),
        (swapped, "levels"),
        (unsteady, "deterministic"),
        (shallow, "16 bit"),
        (blurred, "levels"),
    ],
)
def test_a_broken_network_is_refused(function: Callable[[np.ndarray, ModelSpec], np.ndarray], complaint: str) -> None:
    """Black, inverted, swapped, random, half-deaf and blurred results are ``model_unusable``, with the reason."""
    with pytest.raises(ModelError, match=complaint) as caught:
        smoke_test(StandIn(function, spec(receptive_radius=4)))
    assert caught.value.code == "model_unusable"


@pytest.mark.parametrize("seconds", [0.25, 500.0])
def test_the_speed_is_measured(seconds: float) -> None:
    """Fast networks are timed on a usual tile, slow ones are not kept waiting for."""
    clock = Clock()
    network = StandInEngine("any", clock, seconds=seconds).open(spec(), device="cpu")
    assert smoke_test(network, clock=clock).seconds_per_megapixel == pytest.approx(seconds)
    assert clock.now < max(seconds * 0.1, 0.1)


def test_the_known_picture_is_known() -> None:
    """It has edges and ramps in every channel, and is the same in each process."""
    picture = known_picture()
    assert picture.shape == (32, 32, 3)
    assert picture.dtype == np.uint8
    assert (picture.reshape(-1, 3).std(axis=0) > 40).all()


def test_a_network_that_is_far_behind_is_not_timed_any_longer():
    """What takes far longer than the fastest one runs a tile of usual size once, another one twice."""
    for fastest, runs in ((0.005, 1), (0.02, 2)):
        sizes = []

        def counted(tile, model, sizes=sizes):
            sizes.append(tile.shape)
            return repeated(tile, model)

        ticks = itertools.count(0, 0.001)  # each run takes 1 ms
        seen = smoke_test(StandIn(counted), fastest=fastest, clock=lambda ticks=ticks: next(ticks))
        assert sizes.count((256, 256, 3)) == runs
        assert seen.seconds_per_megapixel == pytest.approx(0.001 / 256**2 * 1e6)
