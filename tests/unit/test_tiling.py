"""tiling: small plans whose numbers can be checked by hand."""

from __future__ import annotations

import pytest

from srwatchd.tiling import LARGEST_EDGE, Padding, Window, plan, reflected, rung


def test_two_tiles_by_hand() -> None:
    """The last tile is shifted back to full size and keeps only what is new."""
    tiles = list(plan(50, 20, tile=40, halo=4, scale=2))
    assert [tile.read for tile in tiles] == [Window(0, 0, 20, 36), Window(0, 14, 20, 50)]
    assert [tile.padding for tile in tiles] == [Padding(4, 4, 4, 0), Padding(4, 0, 4, 4)]
    assert [tile.target for tile in tiles] == [Window(0, 0, 40, 64), Window(0, 64, 40, 100)]
    assert [tile.core for tile in tiles] == [Window(8, 8, 48, 72), Window(8, 36, 48, 72)]


def test_one_pixel() -> None:
    """A picture of one pixel is one tile, all the rest of it reflection."""
    (tile,) = plan(1, 1, tile=512, halo=6, scale=3)
    assert tile.read == Window(0, 0, 1, 1)
    assert tile.padding == Padding(6, 6, 6, 6)
    assert tile.core == Window(18, 18, 21, 21)


def test_a_network_that_sees_far_gets_a_border_that_does_not() -> None:
    """Tiles overlap by the halo, but the picture is extended by eight pixels only."""
    first, last = plan(100, 30, tile=64, halo=19, scale=2)
    assert (first.padding, last.padding) == (Padding(8, 8, 8, 0), Padding(8, 0, 8, 8))
    assert (first.read, last.read) == (Window(0, 0, 30, 72), Window(0, 28, 30, 100))
    assert (first.target, last.target) == (Window(0, 0, 60, 106), Window(0, 106, 60, 200))


def test_tiles_are_evenly_sized() -> None:
    """A picture a little larger than a tile is not covered by two full tiles that mostly repeat each other."""
    cut = plan(600, 500, tile=512, halo=6, scale=2)
    assert (cut.input_width, cut.input_height, len(cut)) == (312, 512, 2)


def test_one_tile_for_an_oblong_picture_of_its_area() -> None:
    """A tile's memory is its area's, so a picture that is wider than the square tile is still computed in one go."""
    cut = plan(600, 300, tile=512, halo=6, scale=2)
    assert (cut.input_width, cut.input_height, len(cut)) == (612, 312, 1)


def test_an_edge_has_an_end() -> None:
    """However flat a picture is, no tile is longer than the longest that there is, or than a square of its area."""
    assert plan(9000, 10, tile=512, halo=6, scale=2).input_width <= LARGEST_EDGE
    assert plan(9000, 10, tile=1024, halo=6, scale=2).input_width <= 1024


@pytest.mark.parametrize(
    ("length", "expected"), [(1, 32), (32, 32), (33, 40), (64, 64), (65, 80), (120, 128), (129, 160), (513, 640)]
)
def test_rungs(length: int, expected: int) -> None:
    """There are four lengths in each octave."""
    assert rung(length) == expected


@pytest.mark.parametrize(
    ("length", "before", "after", "expected"),
    [
        (1, 2, 3, [0] * 6),
        (2, 3, 2, [1, 0, 1, 0, 1, 0, 1]),
        (4, 2, 2, [2, 1, 0, 1, 2, 3, 2, 1]),
        (3, 5, 0, [1, 0, 1, 2, 1, 0, 1, 2]),
        (3, 0, 0, [0, 1, 2]),
    ],
)
def test_reflection(length: int, before: int, after: int, expected: list[int]) -> None:
    """Reflection does not repeat the end pixel, and goes to and fro in a short range."""
    assert reflected(length, before=before, after=after) == expected


@pytest.mark.parametrize("wrong", [{"width": 0}, {"height": -1}, {"tile": 12}, {"halo": -1}, {"scale": 0}])
def test_impossible_plans_are_refused(wrong: dict[str, int]) -> None:
    """A tile without a core, or a picture without pixels, is an error of the caller."""
    sizes = {"width": 10, "height": 10, "tile": 64, "halo": 6, "scale": 2} | wrong
    with pytest.raises(ValueError, match="no plan"):
        plan(**sizes)


def test_padding_is_true_when_there_is_any() -> None:
    """The tile loop skips reflection for tiles inside the picture."""
    assert not Padding(0, 0, 0, 0)
    assert Padding(0, 0, 0, 1)
