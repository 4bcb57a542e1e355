from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from srwatchd.codec.reduce import AreaGrid, grid_edge


def reduced(pixels, across, down, strip=1000):
    height, width, channels = pixels.shape
    grid = AreaGrid(width, height, channels, depth=pixels.itemsize * 8, across=across, down=down)
    for top in range(0, height, strip):
        grid.feed(pixels[top : top + strip].tobytes())
    return grid.result()


@pytest.mark.parametrize(("pixels", "cells"), [(1, 1), (7, 1), (15, 1), (16, 2), (511, 63), (512, 64), (9999, 64)])
def test_grid_edge(pixels, cells):
    """Cells have at least 8 pixels, and there are at most 64."""
    assert grid_edge(pixels) == cells


@given(
    st.integers(1, 40), st.integers(1, 40), st.integers(1, 6), st.integers(1, 6), st.sampled_from([np.uint8, np.uint16])
)
def test_the_mean_is_kept(width, height, across, down, sample):
    """However the cells fall, their mean is the picture's and their number is as asked."""
    rng = np.random.default_rng(width * 41 + height)
    pixels = rng.integers(0, np.iinfo(sample).max, (height, width, 3), sample, endpoint=True)
    mean, spread = reduced(pixels, across, down)
    assert mean.shape == spread.shape == (down, across, 3)
    np.testing.assert_allclose(mean.mean((0, 1)), pixels.mean((0, 1)) / np.iinfo(sample).max, atol=1e-5)


@given(st.integers(1, 9))
def test_strips_do_not_matter(strip):
    """The same grid comes out however the rows arrive."""
    pixels = np.random.default_rng(5).integers(0, 256, (29, 31, 4), np.uint8)
    for one, other in zip(reduced(pixels, 5, 3, strip), reduced(pixels, 5, 3), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_cells_inside_pixels_count_by_their_part():
    """Three pixels in two cells: the middle one counts half in each."""
    mean, _ = reduced(np.array([[[0], [255], [255]]], np.uint8), 2, 1)
    np.testing.assert_allclose(mean[0, :, 0], [1 / 3, 1.0], atol=1e-6)


def test_colours_are_weighted_by_alpha():
    """An invisible pixel has no colour."""
    mean, _ = reduced(np.array([[[255, 0], [255, 255]]], np.uint8), 2, 1)
    np.testing.assert_allclose(mean[0], [[0, 0], [1, 1]], atol=1e-6)


def test_spread_is_the_standard_deviation():
    """Half black, half white spreads by one half; flat ones by nothing."""
    _, spread = reduced(np.array([[[0], [255]], [[255], [0]]], np.uint8), 1, 1)
    assert spread[0, 0, 0] == pytest.approx(0.5, abs=1e-6)


def test_missing_rows_are_an_error():
    """A grid that was not fed to the end has no result."""
    with pytest.raises(ValueError, match="2 of 3 rows"):
        _short().result()


def _short():
    grid = AreaGrid(1, 3, 1, depth=8, across=1, down=1)
    grid.feed(bytes(2))
    return grid


@given(st.integers(2, 60), st.integers(2, 60), st.sampled_from([2, 4, 8]), st.integers(1, 9))
def test_reduced_pictures_give_the_same_means(width, height, reduction, strip):
    """Means of blocks count like their pixels, those at the far edges by the part of a block that there is."""
    pixels = np.random.default_rng(width * 61 + height).integers(0, 256, (height, width, 1), np.uint8) // 128 * 255
    across, down = -(-width // reduction), -(-height // reduction)
    padded = np.pad(pixels, ((0, down * reduction - height), (0, across * reduction - width), (0, 0)), mode="edge")
    blocks = np.repeat(np.repeat(padded[::reduction, ::reduction], reduction, 0), reduction, 1)[:height, :width]
    grid = AreaGrid(width, height, 1, depth=8, across=3, down=2, reduction=reduction)
    for top in range(0, down, strip):
        grid.feed(padded[::reduction, ::reduction][top : top + strip].tobytes())
    np.testing.assert_allclose(grid.result()[0], reduced(blocks, 3, 2)[0], atol=1e-6)
