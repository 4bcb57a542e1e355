from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from srwatchd.codec.encode import EncodeOptions, encode
from srwatchd.codec.picture import PictureInfo
from srwatchd.codec.verify import verify
from srwatchd.codec.vips import pyvips
from srwatchd.errors import PermanentError

sys.path.append(str(Path(__file__).parents[1] / "golden"))
import pictures

KODAK = Path(__file__).parents[3] / "shared/bench/Kodak"


def enlarged(pixels, scale=2):
    """A faithful stand-in for a network: bicubic, alpha premultiplied."""
    made = pictures.image(pixels)
    alpha = made.bands in (2, 4)
    kind = made.format
    most = 65535 if pixels.dtype == np.uint16 else 255
    work = made.premultiply(max_alpha=most) if alpha else made
    work = work.resize(scale, kernel="cubic")
    work = work.unpremultiply(max_alpha=most) if alpha else work
    array = work.rint().cast(kind).numpy()
    return np.ascontiguousarray(array.reshape(array.shape[0], array.shape[1], -1))


def verdict(source, result, name="png", **options):
    """None if the result encoded as `name` passes, else the code."""
    output = EncodeOptions(name, **options)
    height, width, channels = source.shape
    info = PictureInfo(width, height, channels, source.itemsize * 8, "png", sealed=True)
    raster, carry, staged = pictures.memory_file(result.tobytes()), pictures.memory_file(), pictures.memory_file()
    original = pictures.memory_file(source.tobytes())
    size = {"width": result.shape[1], "height": result.shape[0]}
    try:
        encode(raster, carry, staged, info=info, output=output, **size)
        verify(staged, original, info=info, output=output, **size)
    except PermanentError as error:
        return error.code
    finally:
        for descriptor in (raster, carry, staged, original):
            os.close(descriptor)
    return None


def special(name):
    rng = np.random.default_rng(3)
    checks = np.indices((121, 200)).sum(0) % 2 * 255
    dots = ((np.indices((200, 200)) % 5 - 2) ** 2).sum(0) < 4
    grids = {
        "noise": rng.integers(0, 256, (160, 200, 3)),
        "binary noise": rng.integers(0, 2, (160, 200, 3)) * 255,
        "checkerboard": np.repeat(checks[:, :, None], 3, 2),
        "halftone": np.repeat(dots[:, :, None] * 255, 3, 2),
        "black": np.zeros((60, 80, 3)),
        "white": np.full((60, 80, 3), 255),
        "1x1": np.full((1, 1, 3), 77),
        "1xN": rng.integers(0, 256, (1, 300, 3)),
        "Nx1": rng.integers(0, 256, (300, 1, 3)),
        "flat": np.repeat(120 + np.indices((200, 200))[1][:, :, None] // 60, 3, 2),
        "transparent": np.concatenate([rng.integers(0, 256, (90, 90, 3)), np.zeros((90, 90, 1))], 2),
    }
    return np.ascontiguousarray(grids[name].astype(np.uint8))


SPECIAL = [
    "noise", "binary noise", "checkerboard", "halftone", "black", "white", "1x1", "1xN", "Nx1", "flat", "transparent",
]  # fmt: skip


@pytest.mark.parametrize("output", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("name", SPECIAL)
def test_odd_pictures_pass(name, output):
    """Noise, patterns of single pixels, nothing at all and the smallest sizes are no reason to doubt a result."""
    source = special(name)
    assert verdict(source, enlarged(source), output) is None


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("output", ["png", "jpeg", "webp", "tiff", "avif", "gif"])
def test_faithful_results_pass(output, channels, depth):
    """Every format with every kind of picture passes."""
    source = pictures.scene(channels=channels, depth=depth)
    assert verdict(source, enlarged(source), output) is None


@pytest.mark.parametrize("quality", [10, 30, 60, 85, 100])
@pytest.mark.parametrize("output", ["jpeg", "webp", "avif"])
def test_any_quality_passes(output, quality):
    """What a low quality takes away is not held against the result."""
    source = pictures.scene(300, 200)
    assert verdict(source, enlarged(source), output, quality=quality) is None


@pytest.mark.parametrize("background", [(255, 255, 255), (10, 200, 30)])
def test_flattened_results_pass(background):
    """Alpha on a background is compared on that background."""
    source = pictures.scene(channels=4)
    assert verdict(source, enlarged(source), "jpeg", background=background) is None


def spoilt(kind, good):
    bad = good.copy()
    high, wide = good.shape[0] // 8, good.shape[1] // 8
    if kind == "black":
        bad[...] = 0
    elif kind == "grey":
        bad[...] = 128
    elif kind == "channels":
        bad = bad[:, :, ::-1]
    elif kind == "mirrored":
        bad = bad[:, ::-1]
    elif kind == "black tile":
        bad[3 * high : 4 * high, 5 * wide : 6 * wide] = 0
    elif kind == "exchanged tiles":
        bad[:high, :wide], bad[-high:, -wide:] = good[-high:, -wide:], good[:high, :wide]
    elif kind == "saturated":
        bad = np.minimum(good.astype(int) * 2, 255).astype(np.uint8)
    return np.ascontiguousarray(bad)


SPOILT = ["black", "grey", "channels", "mirrored", "black tile", "exchanged tiles", "saturated"]


@pytest.mark.parametrize("output", ["png", "jpeg"])
@pytest.mark.parametrize("kind", SPOILT)
def test_wrong_results_fail(kind, output):
    """A wrong result is noticed, be it wrong everywhere or in one tile of sixty-four."""
    source = pictures.scene(320, 240)
    assert verdict(source, spoilt(kind, enlarged(source)), output) == "result_not_plausible"


@pytest.mark.skipif(not KODAK.is_dir(), reason="the Kodak pictures are not here")
@pytest.mark.parametrize("number", [3, 8, 15, 20])
def test_photographs(number):
    """On photographs faithful results pass and every wrong one fails."""
    module = pyvips()
    source = module.Image.new_from_file(str(KODAK / f"{number}.png"))[:3].crop(100, 50, 512, 400).numpy()
    good = enlarged(np.ascontiguousarray(source))
    assert verdict(source, good, "jpeg") is None
    for kind in SPOILT:
        assert verdict(source, spoilt(kind, good)) == "result_not_plausible", kind


def test_lost_alpha_fails():
    """A result whose alpha became opaque is not the source."""
    source = pictures.scene(channels=4)
    bad = enlarged(source)
    bad[:, :, 3] = 255
    assert verdict(source, bad) == "result_not_plausible"


def test_a_result_that_cannot_be_read_fails():
    """A staged file that is cut short, of the wrong size or format does not pass."""
    source = pictures.scene()
    info = PictureInfo(160, 120, 3, 8, "png", sealed=True)
    original = pictures.memory_file(source.tobytes())
    content = pictures.encoded(pictures.image(enlarged(source)), "png")
    for staged, width, name in (
        (content[:-200], 320, "png"),
        (content, 319, "png"),
        (content, 320, "tiff"),
        (b"", 320, "png"),
    ):
        with pytest.raises(PermanentError) as caught:
            verify(
                pictures.memory_file(staged), original, info=info, width=width, height=240, output=EncodeOptions(name)
            )
        assert caught.value.code == "result_not_plausible"
