"""What the photo profile does to pictures."""

import numpy as np

from srtrain.damage import LARGEST_BLUR, LARGEST_NOISE, QUALITIES, Damage, compress, damaged
from srtrain.damage import random_damage as draw


def _picture():
    rows, columns = np.mgrid[0:64, 0:96]
    waves = 120 + 60 * np.sin(rows / 5) + 50 * np.cos(columns / 3)
    return np.stack([waves, waves[::-1], waves[:, ::-1]], axis=2).clip(0, 255).astype(np.uint8)


def test_a_seed_gives_one_damage():
    """The same generator state damages in the same way, another one differently."""
    picture = _picture()
    results = []
    for seed in (1, 1, 2):
        random = np.random.default_rng(seed)
        results.append(damaged(picture, draw(random), random))
    assert np.array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])


def test_damages_stay_slight():
    """All parts occur, none always, and each within its limits."""
    random = np.random.default_rng(5)
    drawn = [draw(random) for _ in range(300)]
    assert all(
        0 <= each.blur <= LARGEST_BLUR and 0 <= each.noise <= LARGEST_NOISE for each in drawn
    )
    qualities = {each.quality for each in drawn}
    assert 0 in qualities
    assert min(qualities - {0}) >= QUALITIES[0]
    assert max(qualities) <= QUALITIES[1]
    for part in ("blur", "noise"):
        assert 0.2 < np.mean([getattr(each, part) > 0 for each in drawn]) < 0.7


def test_no_damage_is_none():
    """A picture that is spared stays as it is, and so does the given array."""
    picture = _picture()
    before = picture.copy()
    assert np.array_equal(damaged(picture, Damage(), np.random.default_rng(0)), before)
    assert np.array_equal(picture, before)


def test_compression_is_jpeg_with_half_the_colour():
    """Worse quality is farther off, and colour suffers more than luma."""
    picture = _picture()
    errors = [
        float(np.abs(compress(picture, quality).astype(int) - picture).mean())
        for quality in (95, 75, 60)
    ]
    assert errors == sorted(errors)
    chequered = np.zeros((32, 32, 3), np.uint8)
    chequered[:, 0::2] = (0, 0, 255)
    chequered[:, 1::2] = (0, 130, 0)  # about the same luma
    found = compress(chequered, 95).astype(int)
    assert np.abs(found[:, 0::2].mean((0, 1)) - found[:, 1::2].mean((0, 1))).max() < 40
