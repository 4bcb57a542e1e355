from __future__ import annotations

import pytest

from srwatchd.codec.carry import Carry

FULL = Carry(exif=b"Exif\0\0II", xmp=b'<a tiff:Orientation="8"/>', iptc=b"\x1c\x02", icc=b"\0\1\2", dpi=(300.0, 299.5))


@pytest.mark.parametrize("carry", [Carry(), FULL])
def test_round_trip(carry):
    """What is written is read again."""
    assert Carry.from_bytes(carry.to_bytes()) == carry


def test_nothing_is_an_empty_carry():
    """An empty file carries nothing."""
    assert Carry.from_bytes(b"") == Carry()


@pytest.mark.parametrize("data", [b"[]", b"{}", b"\xff\xfe", b'{"magic": "other"}'])
def test_anything_else_is_refused(data):
    """A file of another kind is not taken for a carry."""
    with pytest.raises(ValueError):  # noqa: PT011 - json's own errors are ValueErrors with many messages
        Carry.from_bytes(data)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'<d tiff:Orientation="6" x="1"/>', b'<d tiff:Orientation="1" x="1"/>'),
        (b"<d tiff:Orientation = '3'/>", b"<d tiff:Orientation = '1'/>"),
        (b"<tiff:Orientation>8</tiff:Orientation>", b"<tiff:Orientation>1</tiff:Orientation>"),
        (b"<d/>", b"<d/>"),
    ],
)
def test_upright(before, after):
    """Orientation in XMP becomes 1, as attribute or element."""
    assert Carry(xmp=before).upright().xmp == after


def test_without_gps():
    """Every exif:GPS property leaves the XMP, the rest stays."""
    xmp = b'<d exif:GPSLatitude="1" a="b"><exif:GPSTimeStamp>x</exif:GPSTimeStamp><exif:GPSMapDatum/><k/></d>'
    assert Carry(xmp=xmp).without_gps().xmp == b'<d a="b"><k/></d>'


@pytest.mark.parametrize(
    "xmp",
    [
        b"<d e2:GPSLatitude = '48,8N' a='b'/>",
        b"<d><e2:GPSLongitude rdf:parseType='Resource'>11,34E</e2:GPSLongitude></d>",
        b"<d xmlns='http://ns.adobe.com/exif/1.0/'><GPSLatitude>48,8N</GPSLatitude></d>",
        "<d exif:GPSLatitude='48,8N'/>".encode("utf-16"),
    ],
)
def test_a_position_in_any_form_goes(xmp):
    """Whatever the prefix, the quotes or the encoding; XMP that cannot be understood goes as a whole."""
    left = Carry(xmp=xmp).without_gps().xmp.replace(b"\0", b"")
    assert b"48,8" not in left
    assert b"11,34" not in left


def test_only_colour():
    """Profile and resolution are no metadata that "strip" takes away."""
    assert FULL.only_colour() == Carry(icc=FULL.icc, dpi=FULL.dpi)
