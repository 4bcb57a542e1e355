"""srwatchd.pipeline.footprint: what a picture will take is foretold, and refused with figures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from srwatchd.codec.picture import Page
from srwatchd.errors import HostError, PermanentError
from srwatchd.pipeline.footprint import (
    check_memory,
    check_scratch,
    decoding,
    encoding,
    raster_bytes,
    resampled_bytes,
    verifying,
    writing,
)
from srwatchd.pipeline.result import Form

MIB = 1 << 20


def info(width=4000, height=3000, **changes):
    facts = {"width": width, "height": height, "channels": 3, "depth": 8, "format": "jpeg", "decode_bytes": 20 * MIB}
    return facts | changes


@pytest.mark.parametrize("form", ["jpeg", "png", "tiff"])
def test_what_streams_does_not_grow_with_the_height(form):
    """A tall picture takes what one of a tenth of its height takes."""
    size = (12_000, 9_000)
    low, high = (encoding(info(), size, form=form, size=(12_000, height)).memory for height in (9_000, 90_000))
    assert encoding(info(), size, form=form, size=size).memory < 64 * MIB
    assert abs(high - low) <= 256 * 36_000  # the rows of resampling
    assert verifying(info(), form=form, size=size).memory < 64 * MIB


@pytest.mark.parametrize("form", ["webp", "avif", "gif"])
def test_what_is_held_whole_grows_with_the_area(form):
    """Twice the height is nearly twice the memory."""
    small = encoding(info(), (4000, 3000), form=form, size=(4000, 3000)).memory - 16 * MIB
    large = encoding(info(), (4000, 6000), form=form, size=(4000, 6000)).memory - 16 * MIB
    assert large == pytest.approx(2 * small, rel=0.01)


def test_sixteen_bits_are_counted_where_they_are_stored():
    """A JPEG of a 16-bit raster has 8 bits, a PNG has all of them."""
    deep = info(depth=16)
    size = (8000, 6000)
    assert encoding(deep, size, form="png", size=size).memory > encoding(deep, size, form="jpeg", size=size).memory
    assert raster_bytes(deep) == 72_000_000
    assert raster_bytes(deep, 2) == 4 * 72_000_000


def test_the_largest_step_is_refused_with_figures():
    """The message says what would take how much, and what there is."""
    steps = [decoding(info(decode_bytes=700 * MIB)), encoding(info(), (8000, 6000), form="png", size=(8000, 6000))]
    check_memory(steps, 700 * MIB)
    with pytest.raises(
        PermanentError, match=r"Decoding 4000 x 3000 .* JPEG takes 700 MiB; memory_limit leaves 699 MiB"
    ):
        check_memory(steps, 700 * MIB - 1)


def test_scratch_that_is_too_small_holds_the_folder():
    """The picture is not at fault."""
    check_scratch(MIB, MIB, place="/scratch")
    with pytest.raises(HostError, match="need 3 MiB in '/scratch', where 1 MiB are free"):
        check_scratch(3 * MIB, MIB, place="/scratch")


SIZE = (800, 600)
FRAMED = Form("webp", 2, {Page(400, 300, 4, 8): SIZE})


def pages(format_, *further):
    return info(400, 300, channels=4, format=format_, further=[list(each) for each in further])


def test_pages_are_written_one_after_another():
    """A document takes the memory of its largest page, and the disk of all of them."""
    form = Form("tiff", 2, {Page(400, 300, 4, 8): SIZE, Page(4000, 300, 3, 16): (8000, 600)})
    both = pages("tiff", (4000, 300, 3, 16, 9))
    alone = Form("tiff", 2, {Page(4000, 300, 3, 16): (8000, 600)})
    large = info(4000, 300, depth=16, format="tiff")
    assert [step.memory for step in writing(both, form)] == [step.memory for step in writing(large, alone)]
    assert raster_bytes(both, 2) == 4 * (400 * 300 * 4 + 9 * 4000 * 300 * 6)
    assert resampled_bytes(both, form) == 0


@pytest.mark.parametrize("frames", [2, 100])
def test_an_animation_grows_with_its_frames_where_its_codec_holds_them(frames):
    """A WebP is decoded whole; a GIF holds a frame, and what the others were compressed to."""
    webp, gif = (
        [step.memory for step in writing(pages(name, (400, 300, 4, 8, frames - 1)), replace(FRAMED, format=name))]
        for name in ("webp", "gif")
    )
    assert webp[1] >= frames * 800 * 600 * 4
    assert gif[1] <= webp[1] - frames * 800 * 600 * 3
    assert gif[0] < webp[0]


def test_resampled_frames_take_disk():
    """They are appended to the raster; those that stay as they are need nothing."""
    facts = pages("webp", (400, 300, 4, 8, 9))
    assert resampled_bytes(facts, FRAMED) == 0
    assert resampled_bytes(facts, replace(FRAMED, sizes={Page(400, 300, 4, 8): (500, 375)})) == 10 * 500 * 375 * 4


def test_steps_name_the_frames():
    """The refusal says how many there are."""
    made, _ = writing(pages("webp", (400, 300, 4, 8, 9)), FRAMED)
    assert made.name == "Encoding 800 x 600 pixels of 10 frames as WebP"
