from __future__ import annotations

import struct

import pytest

from srwatchd.codec.icc import as_rgb, profile_fits

CURVE = b"curv" + bytes(4) + struct.pack(">IH", 1, 460)


def profile(space=b"GRAY", connection=b"XYZ ", tags=((b"kTRC", CURVE), (b"desc", b"desc" + bytes(20)))):
    begin, table, body = 132 + 12 * len(tags), b"", b""
    for tag, data in tags:
        table += struct.pack(">4sII", tag, begin + len(body), len(data))
        body += data
    head = (struct.pack(">I", begin + len(body)) + b"none" + bytes(8) + space + connection).ljust(36, b"\0") + b"acsp"
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


@pytest.mark.parametrize(
    ("space", "colour", "fits"),
    [(b"GRAY", "grey", True), (b"RGB ", "rgb", True), (b"CMYK", "cmyk", True), (b"RGB ", "grey", False)],
)
def test_a_profile_is_for_one_kind_of_colours(space, colour, fits):
    """The data colour space of the header decides."""
    assert profile_fits(profile(space), colour) is fits


@pytest.mark.parametrize("icc", [b"", b"short", profile()[:100], profile().replace(b"acsp", b"nope")])
def test_rubbish_fits_nothing(icc):
    """What is no profile is none for any colours."""
    assert not any(profile_fits(icc, colour) for colour in ("grey", "rgb", "cmyk"))


def test_a_grey_profile_becomes_one_of_rgb():
    """The tone curve is that of all three channels, the text stays, and the size is right."""
    made = as_rgb(profile())
    assert profile_fits(made, "rgb")
    assert struct.unpack(">I", made[:4])[0] == len(made)
    places = {made[at : at + 4]: struct.unpack(">II", made[at + 4 : at + 12]) for at in range(132, 132 + 12 * 7, 12)}
    assert set(places) == {b"desc", b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC"}
    for tag in (b"rTRC", b"gTRC", b"bTRC"):
        offset, size = places[tag]
        assert made[offset : offset + size] == CURVE
    columns = [struct.unpack(">3i", made[places[tag][0] + 8 :][:12]) for tag in (b"rXYZ", b"gXYZ", b"bXYZ")]
    white = [sum(column) / 65536 for column in zip(*columns, strict=True)]
    assert white == pytest.approx([0.9642, 1.0, 0.8249], abs=0.001)


@pytest.mark.parametrize(
    "icc",
    [
        profile(connection=b"Lab "),
        profile(tags=()),
        profile(tags=((b"kTRC", b"what" + bytes(8)),)),
        profile(b"RGB "),
        profile()[:140],
        profile()[:129],
    ],
)
def test_what_has_no_such_form_is_dropped(icc):
    """Another connection space, no curve, another kind of profile or a cut one gives nothing."""
    assert as_rgb(icc) == b""
