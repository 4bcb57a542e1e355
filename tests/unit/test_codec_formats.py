from __future__ import annotations

import json

import pytest

from srwatchd.codec.formats import (
    FORMATS,
    check_decodable,
    check_limits,
    extension,
    final_size,
    fit_limits,
    stored_channels,
    stored_depth,
    target_format,
)  # fmt: skip
from srwatchd.codec.picture import PictureInfo
from srwatchd.errors import PermanentError


@pytest.mark.parametrize(
    ("wanted", "source", "target"),
    [
        ("same", "jpeg", "jpeg"),
        ("same", "tiff", "tiff"),
        ("same", "bmp", "png"),
        ("same", "jp2", "png"),
        ("same", "gif", "png"),
        ("webp", "gif", "webp"),
        ("gif", "png", "gif"),
    ],
)
def test_target_format(wanted, source, target):
    """The wanted format is taken; "same" is the source's own, except that BMP, JPEG 2000 and GIF become PNG."""
    assert target_format(wanted, source) == target


@pytest.mark.parametrize(
    ("name", "edge"), [("jpeg", 65535), ("webp", 16383), ("avif", 16384), ("gif", 65535), ("png", None), ("tiff", None)]
)
def test_limits(name, edge):
    """Each format's longest edge passes and one more is refused; PNG and TIFF have none."""
    check_limits(name, edge or 10**6, 1)
    if edge:
        with pytest.raises(PermanentError) as caught:
            check_limits(name, 1, edge + 1)
        assert caught.value.code == "format_limit"
        assert max(fit_limits(name, edge * 2, edge)) == edge


@pytest.mark.parametrize(
    ("arguments", "size"),
    [
        ({}, (300, 200)),
        ({"longest_edge": 150}, (150, 100)),
        ({"longest_edge": 900}, (300, 200)),
        ({"factor": 0.5}, (150, 100)),
        ({"factor": 2.0, "longest_edge": 450}, (450, 300)),
        ({"longest_edge": 1}, (1, 1)),
    ],
)
def test_final_size(arguments, size):
    """`longest_edge` only shrinks, proportions stay, nothing becomes less than one pixel."""
    assert final_size(300, 200, **arguments) == size


@pytest.mark.parametrize(
    ("name", "channels", "stored"),
    [
        ("jpeg", 4, 3), ("jpeg", 2, 1), ("jpeg", 1, 1), ("png", 2, 2), ("webp", 1, 3), ("webp", 2, 4), ("avif", 4, 4),
    ],
)  # fmt: skip
def test_stored_channels(name, channels, stored):
    """What a format makes of each channel count."""
    assert stored_channels(name, channels) == stored


def test_stored_depth():
    """16 bit stay in PNG, TIFF and AVIF only."""
    assert [name for name, entry in FORMATS.items() if entry.can_encode and stored_depth(name, 16) == 16] == [
        "png", "tiff", "avif",
    ]  # fmt: skip


def test_refusals_have_codes_and_hints():
    """Unknown content is `not_a_picture`, known but unreadable is `unsupported_format` with a hint of its own."""
    with pytest.raises(PermanentError) as caught:
        check_decodable(None)
    assert caught.value.code == "not_a_picture"
    for name, entry in FORMATS.items():
        if not entry.can_decode:
            with pytest.raises(PermanentError) as caught:
                check_decodable(name)
            assert (caught.value.code, caught.value.hint) == ("unsupported_format", entry.hint)
            assert entry.hint


def test_every_written_format_has_an_extension():
    """A result can be named."""
    assert all(extension(name).startswith(".") for name, entry in FORMATS.items() if entry.can_encode)


def test_info_survives_json():
    """PictureInfo is plain data."""
    info = PictureInfo(30, 20, 4, 16, "tiff", sealed=False, decode_bytes=7)
    assert PictureInfo.from_dict(json.loads(json.dumps(info.to_dict()))) == info
    assert (info.alpha, info.pixels, info.row_bytes, info.raster_bytes) == (True, 600, 240, 4800)
