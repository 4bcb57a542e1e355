"""Metadata between libvips images and :class:`~srwatchd.codec.carry.Carry`."""

from __future__ import annotations

from typing import Any, Final

from srwatchd.codec.carry import Carry
from srwatchd.codec.vips import pyvips

__all__ = ["attach", "collect"]

_MM_PER_INCH: Final = 25.4
_DEFAULT_DPI: Final = (72.0, 72.0)
_GPS_IFD: Final = "exif-ifd3-"
_LEFT_OUT: Final = ("exif-ifd1-", "exif-ifd0-Orientation", "jpeg-thumbnail-data")


def collect(image: Any) -> Carry:
    """The metadata of an image as it was loaded, its profile included."""
    blobs = {
        key: _blob(image, field)
        for key, field in (
            ("exif", "exif-data"),
            ("xmp", "xmp-data"),
            ("iptc", "iptc-data"),
            ("icc", "icc-profile-data"),
        )
    }
    delays = tuple(image.get("delay")) if image.get_typeof("delay") else ()
    loop = image.get("loop") if image.get_typeof("loop") else 0
    return Carry(**blobs, dpi=_dpi(image), delays=delays, loop=loop)


def _blob(image: Any, field: str) -> bytes:
    return bytes(image.get(field)) if image.get_typeof(field) else b""


def _dpi(image: Any) -> tuple[float, float] | None:
    """Dots per inch; libvips says exactly one pixel per millimetre where a file says nothing."""
    if image.xres != 1.0 or image.yres != 1.0:
        return image.xres * _MM_PER_INCH, image.yres * _MM_PER_INCH
    unit = _exif_number(image, "exif-ifd0-ResolutionUnit") or 2.0
    factor = 2.54 if unit == 3.0 else 1.0
    across, down = _exif_number(image, "exif-ifd0-XResolution"), _exif_number(image, "exif-ifd0-YResolution")
    return (across * factor, down * factor) if across and down else None


def _exif_number(image: Any, field: str) -> float | None:
    """A number from libvips' text of an EXIF entry: "300000/1000 (300.000, Rational, ...)" or "2 (Inch, ...)"."""
    if not image.get_typeof(field):
        return None
    above, _, below = str(image.get(field)).split(" ", 1)[0].partition("/")
    try:
        return float(above) / float(below or 1)
    except (ValueError, ZeroDivisionError):
        return None


def attach(image: Any, carry: Carry, *, gps: bool) -> Any:
    """A copy of ``image`` that will be saved with ``carry``: upright, its own dimensions, no outdated thumbnail.

    Setting the EXIF block makes libvips read its entries; on saving it leaves out what has no entry any more and
    corrects the entries for dimensions, resolution and orientation. A block that it cannot read is left out.
    """
    image = image.copy()
    kind = pyvips().GValue
    blobs = (
        ("exif-data", carry.exif),
        ("xmp-data", carry.xmp),
        ("iptc-data", carry.iptc),
        ("icc-profile-data", carry.icc),
    )
    for field, blob in blobs:
        if blob:
            image.set_type(kind.blob_type, field, blob)
    for field in image.get_fields():
        if field.startswith(_LEFT_OUT) or (not gps and field.startswith(_GPS_IFD)):
            image.remove(field)
    across, down = carry.dpi or _DEFAULT_DPI
    image = image.copy(xres=across / _MM_PER_INCH, yres=down / _MM_PER_INCH)
    image.set_type(kind.gint_type, "orientation", 1)
    image.set_type(kind.gstr_type, "resolution-unit", "in")
    return image
