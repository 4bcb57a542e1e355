"""From whatever a file stores to the values that a raster holds: RGB or grey, alpha last, 8 or 16 bit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from srwatchd.codec.icc import profile_fits
from srwatchd.codec.vips import pyvips
from srwatchd.errors import PermanentError

__all__ = ["Layout", "layout_of", "to_raster"]

_GREY: Final = frozenset({"b-w", "grey16"})
_RGB: Final = frozenset({"srgb", "rgb16", "rgb"})
_CONVERTED: Final = frozenset({"lab", "labs", "labq"})
_ALPHA_BANDS: Final = {"grey": 1, "rgb": 3, "cmyk": 4}


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file stores its colours: ``colour`` "grey", "rgb", "cmyk" or "lab", with alpha or not, 8 or 16 bit."""

    colour: str
    alpha: bool
    depth: int

    @property
    def channels(self) -> int:
        """Channels of the raster made of it."""
        return (1 if self.colour == "grey" else 3) + self.alpha


def layout_of(image: Any) -> Layout:
    """The layout of a loaded image; PermanentError ``unsupported_content`` for one that no raster can hold."""
    kind, bands, samples = image.interpretation, image.bands, image.format
    if kind in _CONVERTED and bands in (3, 4):
        return Layout("lab", bands == 4, 8 if samples in ("uchar", "char") else 16)
    colour = "grey" if kind in _GREY else "rgb" if kind in _RGB else "cmyk" if kind == "cmyk" else ""
    if samples not in ("uchar", "ushort"):
        raise PermanentError(
            "unsupported_content", f"Its samples are of type {samples}, not 8 or 16 bit whole numbers."
        )
    extra = bands - _ALPHA_BANDS.get(colour, bands + 1)
    if extra not in (0, 1):
        raise PermanentError("unsupported_content", f"Its {bands} channels ({kind}) are no grey, RGB or CMYK picture.")
    return Layout(colour, extra == 1, 16 if samples == "ushort" else 8)


def to_raster(image: Any, layout: Layout, *, icc: str) -> tuple[Any, bytes]:
    """``image`` as a raster holds it, and the ICC profile that its values are in (none: sRGB is assumed).

    ``icc`` is "keep" (values stay, the profile goes along) or "srgb" (converted with relative colorimetric intent, the
    profile dropped). CMYK and Lab always become sRGB, CMYK by the file's own profile if it has a fitting one, else by a
    generic press profile. A profile for another kind of colours than the file's is ignored.
    """
    profile = bytes(image.get("icc-profile-data")) if image.get_typeof("icc-profile-data") else b""
    colour = image[: image.bands - 1] if layout.alpha else image
    if layout.colour == "lab":
        colour, profile = colour.colourspace("rgb16" if layout.depth == 16 else "srgb"), b""
    elif layout.colour == "cmyk":
        colour, profile = _cmyk_to_srgb(colour, layout, usable=profile_fits(profile, "cmyk")), b""
    elif not profile_fits(profile, layout.colour):
        profile = b""
    elif icc == "srgb":
        colour, profile = _to_srgb(colour, layout, profile)
    if layout.alpha:
        colour = colour.bandjoin(image[image.bands - 1])
    return colour.cast("ushort" if layout.depth == 16 else "uchar"), profile


def _cmyk_to_srgb(image: Any, layout: Layout, *, usable: bool) -> Any:
    if usable:
        try:
            return image.icc_transform("srgb", embedded=True, input_profile="cmyk", depth=layout.depth)
        except pyvips().Error:
            pass
    plain = image.copy()
    plain.remove("icc-profile-data")
    return plain.icc_transform("srgb", input_profile="cmyk", depth=layout.depth)


def _to_srgb(image: Any, layout: Layout, profile: bytes) -> tuple[Any, bytes]:
    """Converted values and no profile, or the values as they were with theirs when the profile does not work."""
    try:
        converted = image.icc_transform("srgb", embedded=True, depth=layout.depth)
    except pyvips().Error:
        return image, profile
    return (converted[0] if layout.colour == "grey" else converted), b""
