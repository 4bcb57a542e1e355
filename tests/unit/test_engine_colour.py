"""engine.colour: how the pixels of a tile are made from what a network gave."""

from __future__ import annotations

import numpy as np
import pytest

from srwatchd.config import find_models
from srwatchd.engine import colour

MODELS = find_models(None)


@pytest.mark.parametrize("name", ["fsrcnn_x2", "espcn_x3", "lapsrn_x8", "edsr_x3"])
@pytest.mark.parametrize(("dtype", "allowed"), [(np.uint8, 0), (np.uint16, 2)])
@pytest.mark.parametrize("channels", [1, 3])
def test_strips_make_no_difference(monkeypatch, name, dtype, allowed, channels):
    """Whether a tile is finished at once or a row of the input at a time, each pixel is the same, nearly at 16 bit."""
    spec, rng = MODELS[name], np.random.default_rng(5)
    tile = rng.integers(0, np.iinfo(dtype).max, (37, 23, channels), dtype, endpoint=True)
    low, high = spec.input_range
    planes = rng.uniform(low - 0.1 * (high - low), high, (spec.channels, 37 * spec.scale, 23 * spec.scale))
    prepared, planes = colour.prepare(tile, spec), planes.astype(np.float32)
    monkeypatch.setattr(colour, "_LEAST_ROWS", 37)
    whole = colour.finish(planes, prepared, spec)
    for rows in (1, 2, 5):
        monkeypatch.setattr(colour, "_LEAST_ROWS", rows)
        monkeypatch.setattr(colour, "_STRIP", 1)
        strips = colour.finish(planes, prepared, spec)
        assert np.abs(strips.astype(np.int64) - whole).max() <= allowed
    assert whole.shape == (37 * spec.scale, 23 * spec.scale, channels)
    assert whole.dtype == dtype
    assert whole.std() > 0
