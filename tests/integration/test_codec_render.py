"""srwatchd.codec.render: what a screen is shown of a picture."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from srwatchd.codec.render import Region, View, render
from srwatchd.codec.vips import pyvips
from srwatchd.errors import HostError, PermanentError, RequestError

sys.path.append(str(Path(__file__).parents[1] / "golden"))
import cases
import pictures

CASES = {each.name: each for each in cases.cases()}
DOCUMENTS = {each.name: each for each in cases.documents() if each.pages}
LOTS = 1 << 30


def rendered(content, longest=4096, *, region=None, quality=95, max_pixels=LOTS, max_bytes=LOTS, heard=None):
    source, target = pictures.memory_file(content), pictures.memory_file(b"what was there before" * 999)
    try:
        told = [] if heard is None else heard
        made = render(
            source,
            target,
            View(longest, None if region is None else Region(*region), quality),
            max_pixels=max_pixels,
            max_bytes=max_bytes,
            on_progress=lambda done, total: told.append((done, total)),
        )
        image = pyvips().Image.new_from_buffer(os.pread(target, 1 << 26, 0), "", fail_on="warning")
    finally:
        os.close(source)
        os.close(target)
    assert (made.width, made.height) == (image.width, image.height)
    assert image.format == "uchar"
    assert image.get("vips-loader").startswith(made.format)
    return made, image.numpy().reshape(image.height, image.width, image.bands).astype(float), image


def levels(pixels):
    """Any raster in levels of 255."""
    return pixels / 257 if pixels.dtype == np.uint16 else pixels.astype(float)


def visible(found, wanted):
    """The mean difference of what can be seen."""
    channels = min(found.shape[2], wanted.shape[2])
    apart = np.abs(found[:, :, :channels] - wanted[:, :, :channels])
    return float((apart * (wanted[:, :, -1:] > 0) if wanted.shape[2] in (2, 4) else apart).mean())


@pytest.mark.parametrize("name", [*CASES, *DOCUMENTS])
def test_every_kind_of_picture_is_shown(name):
    """Upright, sRGB or grey, 8 bit, transparent where it was, of several pages the first, and nothing but pixels."""
    case = CASES.get(name) or DOCUMENTS[name]
    wanted = case.pixels if name in CASES else case.pages[0]
    made, found, image = rendered(case.content)
    assert (made.picture_width, made.picture_height) == (wanted.shape[1], wanted.shape[0])
    assert found.shape[:2] == wanted.shape[:2]
    clear = wanted.shape[2] in (2, 4)
    assert made.format == ("png" if clear else "jpeg")
    assert not [each for each in image.get_fields() if each.startswith(("exif", "xmp", "icc", "iptc", "png-comment"))]
    limit = 20 if getattr(case, "profile", b"") else case.tolerance + 3
    assert visible(found, levels(wanted)) <= limit


@pytest.mark.parametrize(
    "name", [name for name in CASES if name.startswith(("turned-", "png-", "cmyk", "tiles", "plain"))]
)
def test_a_region_is_the_part_of_the_whole(name):
    """Whatever the orientation, the pixels at a place of the upright picture are those of the whole at that place."""
    case = CASES[name]
    _, whole, _ = rendered(case.content)
    _, part, _ = rendered(case.content, region=(21, 10, 40, 31))
    assert part.shape[:2] == (31, 40)
    assert visible(part, whole[10:41, 21:61]) <= 6


def test_wide_colours_become_srgb():
    """What is stored as Display P3 has other numbers in sRGB and the same colour (SMPTE EG 432-1, IEC 61966-2-1)."""
    p3 = bytes(pyvips().Image.profile_load("p3"))
    stored = np.array((120, 160, 110))
    light = np.where(stored <= 10, stored / 255 / 12.92, ((stored / 255 + 0.055) / 1.055) ** 2.4)
    light = np.array([[1.2249, -0.2249, 0], [-0.0421, 1.0421, 0], [-0.0196, -0.0786, 1.0983]]) @ light
    wanted = 255 * (1.055 * light ** (1 / 2.4) - 0.055)
    for pixels in (np.full((16, 16, 3), stored, np.uint8), np.full((16, 16, 3), stored * 257, np.uint16)):
        _, found, _ = rendered(pictures.encoded(cases.tagged(pixels, p3), "png"))
        assert found.mean((0, 1)) == pytest.approx(wanted, abs=2)


def smooth(width, height):
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack(
        [columns * 255 / width, rows * 255 / height, (rows + columns) * 127 / max(width, height)], 2
    ).round()


@pytest.mark.parametrize("longest", [1600, 700, 390, 190, 90, 33])
@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "tiff"])
def test_what_is_made_smaller_stays_in_its_place(name, longest):
    """At every size, also where a JPEG is decoded smaller, a region shows what lies there, to a part of a pixel."""
    pixels = smooth(1600, 1204).astype(np.uint8)
    content = pictures.encoded(pictures.image(pixels), name)
    region = (203, 101, 1203, 899)
    made, found, _ = rendered(content, longest, region=region)
    assert max(made.width, made.height) == min(longest, 1203)
    assert abs(made.width / made.height - 1203 / 899) < 2 / made.height
    scale = 1203 / made.width
    columns = 203 + (np.arange(made.width) + 0.5) * scale - 0.5
    rows = 101 + (np.arange(made.height) + 0.5) * 899 / made.height - 0.5
    inner = slice(2, -2)
    assert np.abs(found[inner, inner, 0] - (columns * 255 / 1600)[None, inner]).mean() < 1.5 + 0.3 * scale * 255 / 1600
    assert np.abs(found[inner, inner, 1] - (rows * 255 / 1204)[inner, None]).mean() < 1.5 + 0.3 * scale * 255 / 1204


def test_transparency_hides_nothing_at_edges():
    """White under the transparent part does not shine through where the picture becomes smaller."""
    disc = np.full((400, 400, 4), 255, np.uint8)
    rows, columns = np.mgrid[0:400, 0:400]
    disc[:, :, 3] = (np.hypot(rows - 200, columns - 200) < 150) * 255
    disc[disc[:, :, 3] > 0, :3] = (200, 100, 50)
    made, found, _ = rendered(pictures.encoded(pictures.image(disc), "webp", exact=True), 50)
    assert made.format == "png"
    assert found[:, :, 3].min() == 0
    seen = found[found[:, :, 3] > 30][:, :3]
    assert np.abs(seen - (200, 100, 50)).max() <= 6


def test_an_alpha_that_hides_nothing_costs_no_png():
    """A picture with a whole alpha is a JPEG; so is the whole part of one that is transparent elsewhere."""
    pixels = pictures.scene(80, 60, 4)
    pixels[:, :, 3] = 255
    pixels[40:, :, 3] = 9
    content = pictures.encoded(pictures.image(pixels), "png")
    assert rendered(content)[0].format == "png"
    assert rendered(content, region=(0, 0, 80, 40))[0].format == "jpeg"


def test_nothing_is_enlarged_and_regions_end_with_the_picture():
    """Enlarging is the browser's business; what lies over the edge is cut off, what lies outside is refused."""
    content = pictures.encoded(pictures.image(pictures.scene(60, 40)), "png")
    assert rendered(content, 4000)[1].shape[:2] == (40, 60)
    assert rendered(content, region=(-10, 30, 500, 500))[1].shape[:2] == (10, 60)
    assert rendered(content, 1)[1].shape[:2] == (1, 1)
    for outside in [(60, 0, 1, 1), (0, 40, 9, 9), (5, 5, 0, 9), (-9, 0, 9, 9)]:
        with pytest.raises(RequestError) as caught:
            rendered(content, region=outside)
        assert caught.value.code == "bad_request"


def test_progress_is_told():
    """Rows arrive until all are there, so that slow can be told from dead."""
    heard = []
    rendered(pictures.encoded(pictures.image(pictures.scene(300, 200)), "jpeg"), heard=heard)
    assert heard == sorted(heard)
    assert heard[-1] == (200, 200)
    assert len(heard) > 5


@pytest.mark.parametrize(("name", "options"), [("jpeg", {"interlace": True}), ("webp", {}), ("heif", {})])
def test_too_large_for_memory_is_said_in_figures(name, options):
    """What a decoder would hold is known from the header, and refused before a pixel is decoded."""
    content = pictures.encoded(pictures.image(np.zeros((1500, 2000, 3), np.uint8)), name, **options)
    with pytest.raises(PermanentError, match=r"2000 x 1500 pixels .* needs \d+ MiB; 18 are allowed") as caught:
        rendered(content, max_bytes=18 << 20)
    assert caught.value.code == "too_large_for_memory"
    assert rendered(content, 100)[0].width == 100


def test_only_the_first_frame_costs_memory():
    """A long animation is shown with what one frame takes."""
    frames = [np.full((300, 400, 3), number, np.uint8) for number in range(60)]
    content = cases.animated(frames, "webp", (40,) * 60, loop=0)
    made, found, _ = rendered(content, max_bytes=24 << 20)
    assert (made.width, made.height) == (400, 300)
    assert found.max() <= 2


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty"),
        (b"<svg onload=alert(1)>", "unsupported_format"),
        (b"%PDF-1.7\n" + b"x" * 500, "unsupported_format"),
        (pictures.png_bomb(), "too_many_pixels"),
        (pictures.encoded(pictures.image(pictures.scene()), "png")[:-2000], "incomplete"),
    ],
    ids=["empty", "markup", "pdf", "bomb", "cut"],
)
def test_what_cannot_be_shown_says_why(content, code):
    """With the code that the picture's own job has."""
    with pytest.raises(PermanentError) as caught:
        rendered(content, max_pixels=250_000_000)
    assert caught.value.code == code


def test_a_full_disk_is_the_host_s_fault():
    """Not the picture's."""
    source = pictures.memory_file(pictures.encoded(pictures.image(pictures.scene()), "png"))
    full = os.open("/dev/full", os.O_RDWR)
    try:
        with pytest.raises((HostError, OSError)):
            render(source, full, View(100), max_pixels=LOTS)
    finally:
        os.close(full)
        os.close(source)
