"""The degradation is the one the papers use."""

import numpy as np
import pytest

from srtrain.initial import interpolation_kernel
from srtrain.resize import crop_to_multiple, resize_bicubic, taps


@pytest.mark.parametrize("scale", [1 / 2, 1 / 3, 1 / 4, 0.6, 2, 3])
def test_a_flat_picture_stays_flat(scale):
    """Weights of every output pixel add up to one, at the borders too."""
    result = resize_bicubic(np.full((24, 36, 3), 137, np.uint8), scale)
    assert result.shape == (np.ceil(24 * scale), np.ceil(36 * scale), 3)
    assert (result == 137).all()


def test_shrinking_by_two_uses_the_stretched_kernel():
    """Keys' kernel stretched by two has eight taps with these weights."""
    index, weight = taps(64, 32, 0.5)
    row = {i: w for i, w in zip(index[16], weight[16], strict=True) if w}
    expected = np.array([-3, -9, 29, 111, 111, 29, -9, -3]) / 256
    assert sorted(row) == list(range(29, 37))
    np.testing.assert_allclose([row[i] for i in range(29, 37)], expected)


def test_a_bright_step_overshoots_and_is_clipped_between_the_passes():
    """Eight-bit rounding happens after each pass, so nothing wraps around."""
    step = np.zeros((12, 12), np.uint8)
    step[:, 6:] = 255
    enlarged = resize_bicubic(step, 3)
    assert enlarged.min() == 0
    assert enlarged.max() == 255
    assert (np.diff(enlarged[0].astype(int))[10:24] >= 0).all()


def test_cropping_keeps_the_top_left():
    """The last rows and columns go, none else."""
    picture = np.arange(7 * 11, dtype=np.uint8).reshape(7, 11)
    np.testing.assert_array_equal(crop_to_multiple(picture, 3), picture[:6, :9])


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_initial_kernel_enlarges_like_bicubic_inside(scale):
    """A network that starts from the 5x5 kernel starts as bicubic interpolation."""
    random = np.random.default_rng(1)
    low = random.integers(80, 170, (9, 9), dtype=np.uint8)
    kernel = interpolation_kernel(scale, 5)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(low.astype(float), 2), (5, 5))
    planes = np.einsum("pyx,hwyx->hwp", kernel, windows).reshape(9, 9, scale, scale)
    result = planes.swapaxes(1, 2).reshape(9 * scale, 9 * scale)
    inside = slice(2 * scale, -2 * scale)
    difference = np.abs(result - resize_bicubic(low, scale))[inside, inside]
    assert difference.max() <= 1.5
