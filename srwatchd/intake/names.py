r"""Names in hot folders: which ones are pictures to take, and how any name can be shown safely.

Pure. A name is a "/"-separated path relative to the inbox, undecodable bytes as surrogate escapes.
"""

from __future__ import annotations

import fnmatch
import functools
import os
import re
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from srwatchd.intake.folder import SelectedNames

__all__ = ["JUNK_FILES", "JUNK_FOLDERS", "MARKER", "PRIVATE", "display", "enters", "marked", "numbered", "wanted"]

PRIVATE: Final = ".srwatchd"
"""The inbox's private folder."""
MARKER: Final = ".done"
"""What a writer appends to a name to say that the file is complete (``ready: done_file``)."""
_NAME_MAX: Final = 255
_EXTENSION_MAX: Final = 32

JUNK_FILES: Final = (
    ".*",
    "~$*",
    "*~",
    "*.tmp",
    "*.temp",
    "*.part",
    "*.partial",
    "*.filepart",
    "*.crdownload",
    "*.download",
    "*.opdownload",
    "*.!ut",
    "*.aria2",
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "icon\r",
)
"""Never taken: half-written files of known programs and what file managers leave. A renamed file is looked at anew."""
JUNK_FOLDERS: Final = (
    ".*",
    "@eadir",
    "__macosx",
    "#recycle",
    "#snapshot",
    "$recycle.bin",
    "system volume information",
    "lost+found",
)
"""Never entered."""


def wanted(relative: str, folder: SelectedNames) -> bool:
    """Whether the file is one to take, by its name alone.

    Patterns are shell globs in which ``*`` also crosses "/"; each is tried on the whole relative path and on the
    base name, without regard to case. ``exclude`` wins over ``include``.
    """
    parent, _, base = relative.rpartition("/")
    if (parent and not enters(parent, folder)) or _matches(JUNK_FILES, base):
        return False
    if folder.ready == "done_file" and base.casefold().endswith(MARKER):
        return False
    if folder.include and not (_matches(folder.include, relative) or _matches(folder.include, base)):
        return False
    return not (_matches(folder.exclude, relative) or _matches(folder.exclude, base))


def enters(relative: str, folder: SelectedNames) -> bool:
    """Whether a sub folder is looked into at all."""
    return folder.recursive and not any(_matches(JUNK_FOLDERS, part) for part in relative.split("/"))


def marked(relative: str, folder: SelectedNames) -> str | None:
    """The file that the marker ``relative`` speaks for, or None when it is no marker here."""
    if folder.ready != "done_file" or not relative.endswith(MARKER):
        return None
    name = relative.removesuffix(MARKER)
    return name if wanted(name, folder) else None


def display(name: str) -> str:
    r"""``name`` on one harmless line, for logs and pages; reversible.

    Control characters, line and paragraph separators, direction overrides and other invisible format characters,
    unassigned code points and the backslash itself become escapes; an undecodable byte becomes ``\xNN``.
    """
    if name.isascii() and name.isprintable() and "\\" not in name:
        return name
    return "".join(map(_shown, name))


def numbered(name: str, number: int) -> str:
    """``name`` with `` (number)`` before its extension, cut at a character boundary to the 255 bytes of a name."""
    stem, extension = os.path.splitext(name)
    if len(os.fsencode(extension)) > _EXTENSION_MAX:
        stem, extension = name, ""
    suffix = f" ({number}){extension}"
    room = _NAME_MAX - len(os.fsencode(suffix))
    while len(os.fsencode(stem)) > room:
        stem = stem[:-1]
    return stem + suffix


def _shown(character: str) -> str:
    code = ord(character)
    if character == "\\":
        return "\\\\"
    if 0xDC80 <= code <= 0xDCFF:  # noqa: PLR2004 - surrogate escapes, PEP 383
        return f"\\x{code - 0xDC00:02x}"
    category = unicodedata.category(character)
    if category[0] != "C" and category not in ("Zl", "Zp"):
        return character
    if code <= 0xFFFF:  # noqa: PLR2004 - the basic multilingual plane
        return f"\\u{code:04x}"
    return f"\\U{code:08x}"


def _matches(patterns: tuple[str, ...], name: str) -> bool:
    return _compiled(patterns).match(name.casefold()) is not None


@functools.lru_cache(maxsize=256)
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """One expression for all the patterns; it matches nothing when there is none."""
    return re.compile("|".join(fnmatch.translate(pattern.casefold()) for pattern in patterns) or r"(?!)")
