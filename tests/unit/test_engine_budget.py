"""engine.budget and engine.memory: how large a tile may be."""

from __future__ import annotations

import pytest
from engine_standin import spec

from srwatchd.engine.budget import bytes_per_input_pixel, tile_deadline, tile_for
from srwatchd.engine.memory import room
from srwatchd.errors import PermanentError
from srwatchd.tiling import LARGEST_EDGE

MIB = 1 << 20
EDSR = {"architecture": "edsr", "input_colour": "bgr", "receptive_radius": 19, "macs_per_input_pixel": 165_312}

LAPSRN = {"architecture": "lapsrn", "macs_per_input_pixel": 7_066_752}
NARROW = {2: 158_212, 4: 791_060, 8: 826_068}
"""The shipped LapSRN: multiplications by scale."""


@pytest.mark.parametrize(
    ("engine", "changes", "measured"),
    [
        ("opencv", {"scale": 2}, 1211),
        ("opencv", {"scale": 3}, 1329),
        ("opencv", {"scale": 4}, 1593),
        ("opencv", {"architecture": "espcn", "scale": 4}, 1212),
        ("opencv", LAPSRN | {"scale": 4}, 6178),
        ("opencv", LAPSRN | {"scale": 8}, 21075),
        ("opencv", EDSR | {"scale": 3}, 1080),
        ("openvino", {"scale": 2}, 462),
        ("openvino", {"scale": 3}, 635),
        ("openvino", {"scale": 4}, 738),
        ("openvino", {"architecture": "espcn", "scale": 2}, 574),
        ("openvino", {"architecture": "espcn", "scale": 4}, 827),
        ("openvino", LAPSRN | {"scale": 4}, 2709),
        ("openvino", LAPSRN | {"scale": 8}, 10584),
        ("openvino", EDSR | {"scale": 2, "macs_per_input_pixel": 160_992}, 602),
        ("openvino", EDSR | {"scale": 3}, 798),
        ("openvino", EDSR | {"scale": 4, "macs_per_input_pixel": 171_648}, 1177),
        ("onnxruntime", {"scale": 2}, 668),
        ("onnxruntime", {"scale": 3}, 848),
        ("onnxruntime", {"scale": 4}, 997),
        ("onnxruntime", {"architecture": "espcn", "scale": 2}, 688),
        ("onnxruntime", {"architecture": "espcn", "scale": 4}, 1099),
        ("onnxruntime", EDSR | {"scale": 2, "macs_per_input_pixel": 160_992}, 820),
        ("onnxruntime", EDSR | {"scale": 4, "macs_per_input_pixel": 171_648}, 1305),
    ],
)
def test_the_figures_are_above_what_was_measured(engine: str, changes: dict[str, object], measured: int) -> None:
    """The bound holds for every measurement, and is not wasteful."""
    assert measured <= bytes_per_input_pixel(spec(**changes), engine) <= 1.4 * measured


@pytest.mark.parametrize(
    ("engine", "scale", "measured"),
    [
        ("opencv", 2, 706),
        ("opencv", 4, 3171),
        ("opencv", 8, 4654),
        ("openvino", 2, 485),
        ("openvino", 4, 1588),
        ("openvino", 8, 3033),
        ("onnxruntime", 2, 784),
        ("onnxruntime", 4, 3236),
        ("onnxruntime", 8, 4683),
    ],
)
def test_a_narrower_pyramid_takes_less(engine: str, scale: int, measured: int) -> None:
    """The shipped LapSRN is half as wide as the public one or less, and may have larger tiles."""
    narrow = bytes_per_input_pixel(spec(**(LAPSRN | {"scale": scale, "macs_per_input_pixel": NARROW[scale]})), engine)
    assert measured <= narrow <= 2 * measured
    assert narrow < bytes_per_input_pixel(spec(**(LAPSRN | {"scale": scale})), engine)


def test_a_pyramid_of_unknown_width_is_taken_for_the_public_one() -> None:
    """Without a count of multiplications nothing is assumed in its favour."""
    unknown, public = (spec(**(LAPSRN | {"scale": 4, "macs_per_input_pixel": macs})) for macs in (0, 1_682_560))
    assert bytes_per_input_pixel(unknown, "opencv") == bytes_per_input_pixel(public, "opencv")


def test_a_wider_network_takes_more() -> None:
    """Memory of a residual network follows its width, which its multiplications tell."""
    small, large = (spec(**(EDSR | {"macs_per_input_pixel": macs})) for macs in (165_312, 16 * 165_312))
    assert bytes_per_input_pixel(large, "openvino") > 2 * bytes_per_input_pixel(small, "openvino")


@pytest.mark.parametrize("engine", ["opencv", "openvino", "onnxruntime", "something"])
@pytest.mark.parametrize("available", [64 * MIB, 200 * MIB, 3000 * MIB, 99_000 * MIB])
def test_tiles_fit(engine: str, available: int) -> None:
    """A tile fits, and is not larger than is useful."""
    tile = tile_for(spec(), engine, available)
    assert 2 * spec().receptive_radius < tile <= LARGEST_EDGE
    assert tile * tile * bytes_per_input_pixel(spec(), engine) <= available


def test_too_little_memory_is_said() -> None:
    """Where not even the smallest tile fits, the picture is refused with what is missing."""
    with pytest.raises(PermanentError, match="needs tiles of 30x30") as caught:
        tile_for(spec(), "opencv", MIB)
    assert caught.value.code == "too_large_for_memory"


def test_deadlines_have_wide_margins() -> None:
    """A tile has half a minute at least, and forty times what it took on an idle machine."""
    assert tile_deadline(0.2, 512) == 30.0
    assert tile_deadline(100.0, 512) == pytest.approx(40 * 100 * 0.262144)


def test_room_is_what_is_left() -> None:
    """Room shrinks with the limit and is never negative."""
    assert room(0) == 0
    assert room(1 << 50) > room(1 << 49) > 0
