"""engine.picture: the tile loop, with networks whose result is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from engine_standin import StandIn, blurred, spec

from srwatchd.engine.picture import upscale_raster, upscale_rasters
from srwatchd.errors import ModelError, TransientError


def run(source: np.ndarray, *, tile: int = 64, network: StandIn | None = None) -> np.ndarray:
    used = network or StandIn()
    scale = used.spec.scale
    target = np.full((source.shape[0] * scale, source.shape[1] * scale, source.shape[2]), 77, source.dtype)
    upscale_raster(used, source, target, tile=tile, on_tile=lambda _done, _total: None)
    return target


def noise(height: int, width: int, channels: int, dtype: Any = np.uint8) -> np.ndarray:
    top = np.iinfo(dtype).max
    return np.random.default_rng(7).integers(0, top, (height, width, channels), dtype, endpoint=True)


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (90, 1), (3, 2), (40, 70), (120, 45)])
@pytest.mark.parametrize("channels", [1, 3])
def test_tiled_is_untiled(size: tuple[int, int], channels: int) -> None:
    """A network that looks as far as its receptive radius gives the same picture, however it is cut."""
    source = noise(*size, channels)
    results = [run(source, tile=tile, network=StandIn(blurred)) for tile in (7, 16, 33, 500)]
    for other in results[1:]:
        assert np.array_equal(results[0], other)


def test_one_shape_for_all_tiles() -> None:
    """An engine is asked for one shape only, and progress is told for each tile."""
    network, told = StandIn(), []
    source = noise(70, 130, 3)
    target = np.empty((140, 260, 3), np.uint8)
    upscale_raster(network, source, target, tile=48, on_tile=lambda done, total: told.append((done, total)))
    assert len(set(network.shapes)) == 1
    assert told == [(done, len(network.shapes)) for done in range(1, len(network.shapes) + 1)]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [2, 4])
def test_opaque_pictures_are_as_without_alpha(channels: int, dtype: Any) -> None:
    """A full alpha channel costs nothing, changes no colour and stays full."""
    source = noise(30, 41, channels, dtype)
    source[:, :, -1] = np.iinfo(dtype).max
    result = run(source)
    assert (result[:, :, -1] == np.iinfo(dtype).max).all()
    assert np.array_equal(result[:, :, :-1], run(np.ascontiguousarray(source[:, :, :-1])))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [2, 4])
def test_transparent_pictures_stay_so(channels: int, dtype: Any) -> None:
    """Full transparency stays exactly that."""
    source = noise(30, 41, channels, dtype)
    source[:, :, -1] = 0
    assert not run(source)[:, :, -1].any()


@pytest.mark.parametrize("tile", [20, 500])
@pytest.mark.parametrize("hidden", [0, 255])
def test_no_fringes(tile: int, hidden: int) -> None:
    """What a transparent pixel happens to hold does not come near the visible edge of a shape."""
    source = np.full((40, 40, 4), hidden, np.uint8)
    source[:, :, -1] = 0
    source[10:30, 10:30] = (200, 100, 50, 255)
    result = run(source, tile=tile, network=StandIn(blurred, spec(receptive_radius=2)))
    visible = result[:, :, -1] > 8
    assert visible.sum() >= 40 * 40
    assert np.abs(result[visible][:, :3].astype(int) - (200, 100, 50)).max() <= 2
    assert (result[24:56, 24:56, -1] == 255).all()
    assert (result[:16, :, -1] == 0).all()


def test_alpha_is_seamless() -> None:
    """A picture that is transparent in places is the same however it is cut."""
    source = noise(60, 60, 4)
    source[:, :20, -1] = 0
    source[:, 40:, -1] = 255
    whole, cut = (run(source, tile=tile, network=StandIn(blurred)) for tile in (500, 24))
    assert np.abs(whole.astype(int) - cut.astype(int)).max() <= 1


def test_faint_pixels_keep_a_colour() -> None:
    """Colour where the opacity is almost nothing comes as it was; nothing is divided."""
    source = np.empty((20, 20, 4), np.uint8)
    source[:] = (180, 90, 30, 2)
    result = run(source)
    assert np.abs(result[:, :, :3].astype(int) - (180, 90, 30)).max() <= 1
    assert (result[:, :, -1] == 2).all()


def test_rasters_must_fit() -> None:
    """A target of another size or type is an error of the caller."""
    source = noise(8, 8, 3)
    for target in (np.empty((8, 8, 3), np.uint8), np.empty((16, 16, 3), np.uint16)):
        with pytest.raises(ValueError, match="does not fit"):
            upscale_raster(StandIn(), source, target, tile=64, on_tile=lambda *_: None)


@pytest.mark.parametrize(
    ("thrown", "expected", "code"),
    [
        (MemoryError(), TransientError, "out_of_memory"),
        (RuntimeError("Exception from src/x.cpp: std::bad_alloc"), TransientError, "out_of_memory"),
        (RuntimeError("the layer does not like you"), ModelError, "model_unusable"),
        (TransientError("out_of_memory", "inner"), TransientError, "out_of_memory"),
    ],
)
def test_failures_have_a_class(thrown: Exception, expected: type[Exception], code: str) -> None:
    """Memory that runs out is transient; anything else that a network throws is the model's fault."""

    def fail(*_: object) -> np.ndarray:
        raise thrown

    with pytest.raises(expected) as caught:
        run(noise(8, 8, 3), network=StandIn(fail))
    assert caught.value.code == code


def test_a_failing_observer_is_not_the_models_fault() -> None:
    """What the progress callback throws comes through untouched."""

    def observer(_done: int, _total: int) -> None:
        raise RuntimeError("supervisor is gone")

    with pytest.raises(RuntimeError, match="supervisor"):
        upscale_raster(StandIn(), noise(8, 8, 1), np.empty((16, 16, 1), np.uint8), tile=64, on_tile=observer)


def test_pages_do_not_see_each_other() -> None:
    """Each page becomes what it becomes alone, however they lie in memory, and progress counts the tiles of all."""
    pages = [noise(40, 50, 3), noise(33, 90, 1, np.uint16), noise(1, 1, 4)]
    pairs = [(page, np.empty((page.shape[0] * 2, page.shape[1] * 2, page.shape[2]), page.dtype)) for page in pages]
    told: list[tuple[int, int]] = []
    upscale_rasters(StandIn(blurred), pairs, tile=32, on_tile=lambda done, total: told.append((done, total)))
    for page, result in pairs:
        assert np.array_equal(result, run(page, tile=32, network=StandIn(blurred)))
    assert told == [(done, len(told)) for done in range(1, len(told) + 1)]
