"""tiling: what holds for every picture, tile, halo and scale."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from srwatchd.tiling import LARGEST_EDGE, TilePlan, plan, reflected, rung

EXTENTS = st.integers(1, 150)


@st.composite
def plans(draw: st.DrawFn) -> tuple[TilePlan, int]:
    halo = draw(st.integers(0, 20))
    tile = draw(st.integers(2 * halo + 5, 2 * halo + 100))
    border = draw(st.none() | st.integers(0, halo))
    cut = plan(draw(EXTENTS), draw(EXTENTS), tile=tile, halo=halo, border=border, scale=draw(st.integers(1, 4)))
    return cut, tile


def around(first: int, last: int, extent: int, cut: TilePlan) -> tuple[int, int]:
    """Where the context of the pixels ``first`` to ``last`` begins and ends: a halo, or a border beyond the picture."""
    return max(first - cut.halo, -cut.border), min(last + cut.halo, extent + cut.border)


@given(plans())
def test_every_result_pixel_is_written_once(case: tuple[TilePlan, int]) -> None:
    """The targets cover the result without a gap and without an overlap."""
    cut, _ = case
    written = np.zeros((cut.height * cut.scale, cut.width * cut.scale), np.uint8)
    for tile in cut:
        written[tile.target.slices] += 1
    assert (written == 1).all()


@given(plans())
def test_every_input_has_one_shape(case: tuple[TilePlan, int]) -> None:
    """Read and padding add up to the plan's shape, which is not above the tile's area; the count is as announced."""
    cut, bound = case
    tiles = list(cut)
    assert len(tiles) == len(cut)
    assert cut.input_height * cut.input_width <= bound**2
    assert max(cut.input_height, cut.input_width) <= max(bound, LARGEST_EDGE)
    for tile in tiles:
        assert tile.padding.top + tile.read.height + tile.padding.bottom == cut.input_height
        assert tile.padding.left + tile.read.width + tile.padding.right == cut.input_width
        assert tile.read.top >= 0
        assert tile.read.left >= 0
        assert tile.read.bottom <= cut.height
        assert tile.read.right <= cut.width


@given(plans())
def test_tiles_see_what_the_whole_picture_would(case: tuple[TilePlan, int]) -> None:
    """A tile holds its core, as large as its target, and the context of that, as in the picture with its border."""
    cut, _ = case
    pixels = np.arange(cut.height * cut.width).reshape(cut.height, cut.width)
    rows = reflected(cut.height, before=cut.border, after=cut.border)
    columns = reflected(cut.width, before=cut.border, after=cut.border)
    whole = pixels[rows][:, columns]
    for tile in cut:
        assert (tile.core.height, tile.core.width) == (tile.target.height, tile.target.width)
        part = pixels[tile.read.slices]
        part = part[reflected(part.shape[0], before=tile.padding.top, after=tile.padding.bottom)]
        part = part[:, reflected(part.shape[1], before=tile.padding.left, after=tile.padding.right)]
        y, x = tile.target.top // cut.scale, tile.target.left // cut.scale
        top, bottom = around(y, tile.target.bottom // cut.scale, cut.height, cut)
        left, right = around(x, tile.target.right // cut.scale, cut.width, cut)
        down, across = tile.core.top // cut.scale - y, tile.core.left // cut.scale - x
        assert min(top + down, left + across) >= 0
        seen = part[top + down : bottom + down, left + across : right + across]
        inside = slice(top + cut.border, bottom + cut.border), slice(left + cut.border, right + cut.border)
        assert np.array_equal(seen, whole[inside])


@given(st.integers(1, 5000))
def test_rungs_are_few_and_near(length: int) -> None:
    """A rung is at or above the length, at most a quarter above it from 32 on, and a rung of its own."""
    up = rung(length)
    assert up >= length
    assert up <= max(32, length * 1.25)
    assert rung(up) == up


@given(st.integers(1, 9), st.integers(0, 30), st.integers(0, 30))
def test_reflection_is_numpys(length: int, before: int, after: int) -> None:
    """The indices are those of numpy's own reflection."""
    assert (
        reflected(length, before=before, after=after)
        == np.pad(np.arange(length), (before, after), mode="reflect").tolist()
    )
