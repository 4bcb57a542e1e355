"""srwatchd.pipeline.result: name, format and size of a result, decided before any inference."""

from __future__ import annotations

import pytest
from daemon_standin import folder, info, spec

from srwatchd.codec.picture import pages_of
from srwatchd.errors import PermanentError
from srwatchd.pipeline.result import plan_result


def plan(name="sub/photo.PNG", facts=None, model=None, **output):
    config = folder(output=output)
    return plan_result(name, config.output, model or spec(), facts or info(), folder="a", date="2026-01-02")


def test_the_usual_plan():
    """Beside the source's own sub folder, same format, scaled, nothing to resize."""
    found = plan()
    assert (found.path, found.format, found.width, found.height) == ("sub/photo_x2.png", "png", 8, 6)
    assert found.options["size"] is None
    assert found.options["background"] == [255, 255, 255]


@pytest.mark.parametrize(
    ("source", "wanted", "made"),
    [
        ("jpeg", "same", "jpeg"),
        ("bmp", "same", "png"),
        ("gif", "same", "png"),
        ("jp2", "same", "png"),
        ("png", "webp", "webp"),
    ],
)
def test_the_format(source, wanted, made):
    """`same` keeps what can be written; the rest becomes PNG; a wanted format wins."""
    found = plan("a.x", info(format=source), format=wanted)
    assert found.format == found.options["format"] == made


@pytest.mark.parametrize(
    ("output", "size", "shown"),
    [
        ({"longest_edge": 4}, (4, 3), "2"),
        ({"longest_edge": 1000}, (8, 6), "2"),
        ({"factor": 1.5}, (6, 4), "1.5"),
        ({"factor": 2.0}, (8, 6), "2"),
    ],
)
def test_a_smaller_result(output, size, shown):
    """longest_edge never enlarges; factor is of the source and appears in the name."""
    found = plan(**output)
    assert abs(found.width - size[0]) + abs(found.height - size[1]) <= 1
    assert found.path == f"sub/photo_x{shown}.png"
    resized = (found.width, found.height) != (8, 6)
    assert found.options["size"] == ([found.width, found.height] if resized else None)


def test_every_field_of_a_name():
    """Each field that a template may name is filled."""
    found = plan(filename="{folder}-{date}-{model}-{width}x{height}-{stem}-{scale}-{ext}")
    assert found.path.startswith("sub/a-2026-01-02-standin_x2-8x6-photo-2-")


LARGE = info(width=20_000, height=10, format="webp")


def test_a_format_too_small_for_the_result_is_refused():
    """By default a format's limit is an error before a minute is spent on inference."""
    with pytest.raises(PermanentError) as caught:
        plan("a.webp", LARGE)
    assert caught.value.code == "format_limit"


@pytest.mark.parametrize(("choice", "made"), [("png", "png"), ("tiff", "tiff")])
def test_another_format_may_take_its_place(choice, made):
    """on_format_limit names the format to fall back to, and the name follows it."""
    found = plan("a.webp", LARGE, on_format_limit=choice)
    assert (found.format, found.width) == (made, 40_000)
    assert found.path == f"a_x2.{'tif' if made == 'tiff' and found.path.endswith('.tif') else made}"


def test_it_may_be_scaled_down_to_the_limit():
    """scale_down keeps the format and its largest edge."""
    found = plan("a.webp", LARGE, on_format_limit="scale_down")
    assert found.format == "webp"
    assert found.width == 16_383
    assert found.options["size"] == [found.width, found.height]


def test_a_fallback_that_is_too_small_as_well_is_refused():
    """Neither WebP nor JPEG holds 200 000 pixels in a row."""
    with pytest.raises(PermanentError):
        plan("a.webp", info(width=100_000, format="webp"), on_format_limit="jpeg")


PAGES = info(format="tiff", further=[[4, 3, 3, 8, 2], [10, 20, 1, 16, 1]])
FRAMES = info(format="gif", further=[[4, 3, 3, 8, 6]])


def test_pages_have_sizes_of_their_own():
    """Each page is scaled, and bounded, by itself; width and height are those of the first."""
    found = plan("a.tif", PAGES, longest_edge=10)
    assert (found.format, found.width, found.height) == ("tiff", 8, 6)
    assert found.options["sizes"] == [[8, 6], [8, 6], [8, 6], [5, 10]]
    assert found.form.pixels(pages_of(PAGES)) == 3 * 48 + 50
    assert found.form.raster_pixels(pages_of(PAGES)) == 3 * 48 + 800


def test_frames_have_one_size():
    """An animated GIF stays one with `same`; there is nothing to say about the size of its other frames."""
    found = plan("a.gif", FRAMES, factor=1.5)
    assert (found.format, found.path) == ("gif", "a_x1.5.gif")
    assert (found.options["size"], found.options["sizes"]) == ([6, 4], None)


@pytest.mark.parametrize(
    ("facts", "wanted", "made"),
    [
        (FRAMES, "webp", "webp"),
        (FRAMES, "gif", "gif"),
        (info(format="webp", further=[[4, 3, 3, 8, 1]]), "gif", "gif"),
        (info(format="webp", further=[[4, 3, 3, 8, 1]]), "same", "webp"),
        (PAGES, "tiff", "tiff"),
    ],
)
def test_formats_that_hold_all(facts, wanted, made):
    """Frames go into GIF and WebP, pages into TIFF."""
    assert plan("a.x", facts, format=wanted).format == made


@pytest.mark.parametrize(
    ("facts", "wanted"),
    [
        *((FRAMES, each) for each in ("png", "jpeg", "avif", "tiff")),
        *((PAGES, each) for each in ("png", "jpeg", "avif", "gif", "webp")),
    ],
)
def test_a_format_that_would_cut_is_refused(facts, wanted):
    """Anything else would lose some of them, or their times; the hint says what to set."""
    with pytest.raises(PermanentError) as caught:
        plan("a.x", facts, format=wanted)
    assert caught.value.code == "format_limit"
    assert "split" in caught.value.hint


def test_another_format_may_hold_what_would_be_cut():
    """on_format_limit is asked here, too, and refused when it would cut as well."""
    assert plan("a.tif", PAGES, format="png", on_format_limit="tiff").format == "tiff"
    with pytest.raises(PermanentError):
        plan("a.gif", FRAMES, format="png", on_format_limit="tiff")
    with pytest.raises(PermanentError):
        plan("a.gif", FRAMES, format="png", on_format_limit="scale_down")
