"""What results, archived sources and quarantined sources are called. Pure: nothing here looks at a disk.

Names are relative to the destination's root, "/"-separated; undecodable bytes are surrogate escapes. Only the last
component is ever changed: sub folders are mirrored as they are. File systems count bytes, so every function takes the
``limit`` of the place (255 nearly everywhere) and shortens on a character boundary: the extension stays, and so does an
ending such as ``_x4`` that tells the scale.
"""

from __future__ import annotations

import re
import string
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "NAME_LIMIT",
    "SIDECAR_SUFFIX",
    "first_free",
    "key",
    "numbered",
    "portable",
    "quarantine_name",
    "result_name",
    "sidecar_name",
    "split",
]

NAME_LIMIT: Final = 255
"""The longest name, in bytes, that Linux file systems take."""

SIDECAR_SUFFIX: Final = ".error.json"

_LONGEST_EXTENSION: Final = 16
_SCALE_ENDING: Final = re.compile(r"[_-]x[0-9]+(?:\.[0-9]+)?\Z")
_LINEAR: Final = 16
_NOT_EVERYWHERE: Final = frozenset('"*:<>?\\|/')
"""Printable ASCII that vfat and Windows do not take in a name."""


def result_name(template: str, name: str, *, fields: Mapping[str, str], extension: str, limit: int = NAME_LIMIT) -> str:
    """The result's path: ``template`` filled in, the source's sub folders, and ``.extension``.

    The template may name in braces ``stem``, ``ext`` (without its dot) and ``name`` of the source and whatever is in
    ``fields``. ``extension`` comes without its dot. The stem of a long name is shortened first, whatever stands beside
    it stays. Raises ValueError for a template with unknown or formatted fields and for one that makes no plain file
    name (empty, hidden by a leading dot, or with a "/" or NUL in it).
    """
    folder, base = split(name)
    stem, old = _split_extension(base)
    ending = f".{extension}"
    room = limit - _size(ending)
    made = _fill(template, {**fields, "ext": old.removeprefix("."), "stem": stem, "name": base})
    excess = _size(made) - room
    if excess > 0 and (shorter := _shorten(stem, max(1, _size(stem) - excess))):
        made = _fill(template, {**fields, "ext": old.removeprefix("."), "stem": shorter, "name": shorter + old})
    made = _shorten_stem(made, room)
    if not made.strip() or made.startswith(".") or "/" in made or "\0" in made:
        raise ValueError(f"the template {template!r} makes no file name of {base!r}: {made!r}")
    return _join(folder, made + ending)


def numbered(name: str, number: int, *, limit: int = NAME_LIMIT) -> str:
    """``name`` for 0, ``stem (number).ext`` from 1 on, never longer than ``limit`` bytes."""
    folder, base = split(name)
    stem, extension = _split_extension(base)
    ending = (f" ({number})" if number else "") + extension
    if _size(base) + _size(ending) - _size(extension) > limit:
        stem = _shorten_stem(stem, limit - _size(ending))
    return _join(folder, stem + ending)


def quarantine_name(name: str, number: int = 0, *, limit: int = NAME_LIMIT) -> str:
    """Like :func:`numbered`, short enough that ``<name>.error.json`` fits beside it."""
    return numbered(name, number, limit=limit - len(SIDECAR_SUFFIX))


def portable(name: str, *, limit: int = NAME_LIMIT) -> str:
    """``name`` in characters that every file system takes, letters without their accents, all others as "_"."""
    return "/".join(numbered(_plain(part), 0, limit=limit) for part in name.split("/"))


def sidecar_name(name: str) -> str:
    """The sidecar's path beside the quarantined file ``name``."""
    return name + SIDECAR_SUFFIX


def key(name: str) -> str:
    """Equal for names that a client may take for one: other case, or other Unicode form (NFC after case folding).

    The folding is the canonical caseless match of the Unicode Standard, section 3.13.
    """
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def first_free(taken: Callable[[int], bool], *, start: int = 0) -> int:
    """A number from ``start`` on that is not ``taken``: the lowest when it is near, else one found by bisection.

    A camera that calls every picture ``image.jpg`` costs some twenty questions, not one per picture so far.
    """
    for number in range(start, start + _LINEAR):
        if not taken(number):
            return number
    low, step = start + _LINEAR - 1, _LINEAR
    while taken(low + step):
        low, step = low + step, step * 2
    high = low + step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if taken(middle) else (low, middle)
    return high


def split(name: str) -> tuple[str, str]:
    """The folder ("" for the root) and the last component of a relative path."""
    folder, _, base = name.rpartition("/")
    return folder, base


def _join(folder: str, base: str) -> str:
    return f"{folder}/{base}" if folder else base


def _split_extension(base: str) -> tuple[str, str]:
    """Stem and extension with its dot; a leading dot or a long or spaced tail ("Mr. Smith") makes no extension."""
    stem, dot, extension = base.rpartition(".")
    if not stem.strip(".") or _size(extension) > _LONGEST_EXTENSION or any(map(str.isspace, extension)):
        return base, ""
    return stem, dot + extension


def _fill(template: str, fields: dict[str, str]) -> str:
    made = []
    for text, field, form, conversion in string.Formatter().parse(template):
        made.append(text)
        if field is None:
            continue
        if field not in fields or form or conversion:
            raise ValueError(f"the template {template!r} may name only {sorted(fields)}, not {field!r}")
        made.append(fields[field])
    return "".join(made)


def _plain(part: str) -> str:
    letters = (letter for letter in unicodedata.normalize("NFKD", part) if not unicodedata.combining(letter))
    fit = (letter if " " <= letter <= "~" and letter not in _NOT_EVERYWHERE else "_" for letter in letters)
    plain = "".join(fit)
    kept = plain.rstrip(". ")
    return kept + "_" * (len(plain) - len(kept))


def _size(text: str) -> int:
    """Bytes on disk."""
    return len(text.encode("utf-8", "surrogateescape"))


def _shorten_stem(stem: str, room: int) -> str:
    """``stem`` in at most ``room`` bytes, an ending that tells the scale kept."""
    if _size(stem) <= room:
        return stem
    found = _SCALE_ENDING.search(stem)
    ending = found.group() if found and _size(found.group()) < room else ""
    return _shorten(stem.removesuffix(ending), room - _size(ending)) + ending


def _shorten(text: str, room: int) -> str:
    """The longest beginning of ``text`` in ``room`` bytes that cuts no character, no base from its marks."""
    if _size(text) <= room:
        return text
    used = end = 0
    for end, letter in enumerate(text):  # noqa: B007  (the place of the cut is what is wanted)
        used += _size(letter)
        if used > room:
            break
    while end > 0 and _joins(text[end]):
        end -= 1
    return text[:end].rstrip()


def _joins(letter: str) -> bool:
    """Whether ``letter`` belongs to the one before it: a combining mark, a joiner or a variation selector."""
    return unicodedata.category(letter) in {"Mn", "Me", "Mc"} or letter == "\u200d"
