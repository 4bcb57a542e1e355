"""The table of formats: what each can hold, what srwatchd reads and writes, and what to do about the others. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from srwatchd.errors import PermanentError

__all__ = [
    "FORMATS",
    "Format",
    "check_decodable",
    "check_holds",
    "check_limits",
    "extension",
    "final_size",
    "fit_limits",
    "holds",
    "stored_channels",
    "stored_depth",
    "target_format",
]


@dataclass(frozen=True, slots=True)
class Format:
    """One file format.

    ``max_edge`` is the longest edge that can be written in pixels (None: no limit that matters), ``depths`` the bits
    per sample that can be written, ``alpha``, ``grey`` and ``profile`` whether it can hold them (grey false: stored as
    RGB; profile false: its values are sRGB),
    ``sealed`` whether a complete file proves its own end and zeros in place of the tail are always noticed,
    ``several`` what it can hold more than one of: "pages" of any sizes, "frames" of an animation, or nothing.
    """

    name: str
    title: str
    extensions: tuple[str, ...] = ()
    can_decode: bool = False
    can_encode: bool = False
    max_edge: int | None = None
    depths: tuple[int, ...] = (8,)
    alpha: bool = True
    grey: bool = True
    profile: bool = True
    sealed: bool = False
    several: str = ""
    hint: str | None = None


_CONVERT: Final = "Convert it to PNG, JPEG, TIFF or WebP and drop it again."

_ALL: Final = (
    Format("jpeg", "JPEG", (".jpg", ".jpeg", ".jpe", ".jfif"), True, True, 65535, alpha=False, sealed=True),
    Format("png", "PNG", (".png",), True, True, depths=(8, 16), sealed=True),
    Format("webp", "WebP", (".webp",), True, True, 16383, grey=False, several="frames"),
    Format("tiff", "TIFF", (".tif", ".tiff"), True, True, depths=(8, 16), several="pages"),
    Format("avif", "AVIF", (".avif",), True, True, 16384, depths=(8, 16), grey=False),
    Format("gif", "GIF", (".gif",), True, True, 65535, grey=False, profile=False, sealed=True, several="frames"),
    Format("bmp", "BMP", (".bmp", ".dib"), True),
    Format("jp2", "JPEG 2000", (".jp2", ".j2k", ".jpc", ".jpx"), True),
    Format("heic", "HEIC", (".heic", ".heif"), hint="Set the camera to JPEG, or convert it to JPEG or AVIF first."),
    Format("raw", "camera RAW", hint="Develop it with a RAW converter to 16 bit TIFF and drop the TIFF."),
    Format("pdf", "PDF", (".pdf",), hint="Render the page to PNG or TIFF first, for example at 150 DPI."),
    Format("psd", "Photoshop document", (".psd", ".psb"), hint="Export it flattened as TIFF or PNG and drop that."),
    Format("jxl", "JPEG XL", (".jxl",), hint=_CONVERT),
    Format("jxr", "JPEG XR", (".jxr", ".wdp"), hint=_CONVERT),
    Format("exr", "OpenEXR", (".exr",), hint="Tone-map it to 16 bit TIFF or PNG and drop that."),
    Format("hdr", "Radiance HDR", (".hdr",), hint="Tone-map it to 16 bit TIFF or PNG and drop that."),
    Format("eps", "PostScript", (".eps", ".ps"), hint="A vector file needs no super-resolution: render it larger."),
    Format("svg", "SVG", (".svg",), hint="A vector file needs no super-resolution: render it larger."),
    Format("ico", "icon", (".ico",), hint=_CONVERT),
    Format("dds", "DirectDraw surface", (".dds",), hint=_CONVERT),
    Format("qoi", "QOI", (".qoi",), hint=_CONVERT),
    Format("xcf", "GIMP document", (".xcf",), hint="Export it flattened as TIFF or PNG and drop that."),
    Format("pnm", "PNM", (".pnm", ".ppm", ".pgm", ".pbm"), hint=_CONVERT),
    Format("video", "video", hint="srwatchd enlarges single pictures: export the frames as PNG and drop those."),
)

FORMATS: Final[dict[str, Format]] = {entry.name: entry for entry in _ALL}
"""Every format that :func:`srwatchd.codec.sniff.sniff` can name."""


def check_decodable(name: str | None) -> Format:
    """The format called ``name``; PermanentError ``not_a_picture`` for None, ``unsupported_format`` if unreadable."""
    if name is None:
        raise PermanentError("not_a_picture", "Its content is no picture format that srwatchd knows.")
    entry = FORMATS[name]
    if not entry.can_decode:
        raise PermanentError(
            "unsupported_format", f"It is a {entry.title} file, which cannot be read.", hint=entry.hint
        )
    return entry


def target_format(wanted: str, source: str, *, count: int = 1) -> str:
    """The format to write a picture of ``count`` pages or frames in.

    ``wanted``, or for "same" the source's own, but PNG if that cannot be written or is a GIF of one frame.
    """
    if wanted != "same":
        return wanted
    return source if FORMATS[source].can_encode and (source != "gif" or count > 1) else "png"


def holds(name: str, source: str, *, count: int) -> bool:
    """Whether format ``name`` can hold all pages or frames of a picture of ``count`` in the format ``source``."""
    return count == 1 or FORMATS[name].several == FORMATS[source].several


def check_holds(name: str, source: str, *, count: int) -> None:
    """Refuse a format that would cut the picture, unless it :func:`holds` all: PermanentError ``format_limit``."""
    if not holds(name, source, count=count):
        what = FORMATS[source].several
        fit = [entry.name for entry in FORMATS.values() if entry.can_encode and entry.several == what]
        hint = f"Set output.format to same or {' or '.join(fit)} for such files, or split it into single pictures."
        raise PermanentError("format_limit", f"A {FORMATS[name].title} cannot hold its {count} {what}.", hint=hint)


def extension(name: str) -> str:
    """The usual file extension of a format, with its dot."""
    return FORMATS[name].extensions[0]


def stored_channels(name: str, channels: int) -> int:
    """How many channels (1 to 4) a picture of ``channels`` has once stored in format ``name``."""
    entry = FORMATS[name]
    alpha = channels in (2, 4)
    colour = channels - alpha if entry.grey else 3
    return colour + (alpha and entry.alpha)


def stored_depth(name: str, depth: int) -> int:
    """The bits per sample, 8 or 16, that a decoder reports of a picture of ``depth`` stored in format ``name``."""
    return depth if depth in FORMATS[name].depths else 8


def check_limits(name: str, width: int, height: int) -> None:
    """Refuse, before any inference, a result that format ``name`` cannot hold: PermanentError ``format_limit``."""
    limit = FORMATS[name].max_edge
    if limit is not None and max(width, height) > limit:
        title = FORMATS[name].title
        raise PermanentError(
            "format_limit", f"A result of {width} x {height} pixels exceeds {title}'s {limit} per edge."
        )


def fit_limits(name: str, width: int, height: int) -> tuple[int, int]:
    """``width`` and ``height`` scaled down, keeping their proportion, to what format ``name`` can hold."""
    return final_size(width, height, longest_edge=FORMATS[name].max_edge)


def final_size(width: int, height: int, *, longest_edge: int | None = None, factor: float = 1.0) -> tuple[int, int]:
    """The size of a result of ``width`` x ``height`` after ``factor`` and then ``longest_edge``; each at least 1.

    ``longest_edge`` only ever shrinks. Rounded to the nearest pixel.
    """
    longest = max(width, height) * factor
    if longest_edge is not None and longest > longest_edge:
        factor *= longest_edge / longest
    return max(1, round(width * factor)), max(1, round(height * factor))
