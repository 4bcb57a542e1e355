"""Read the ledger out: the last lines, or all of a span of time as JSON Lines or CSV. Nothing is checked here."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from srwatchd.audit.fields import FIELDS, OWN_FIELDS
from srwatchd.audit.segments import lines_of, open_segment, segments

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

__all__ = ["COLUMNS", "cell", "export", "tail"]

_DETAIL: Final = "srwatchd.detail"
_FORMULA: Final = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")

COLUMNS: Final = (*sorted(OWN_FIELDS), *sorted(FIELDS), _DETAIL)
"""The columns of a CSV export, in order; free ``srwatchd.detail.*`` fields share the last one, as JSON."""


def tail(path: Path, n: int) -> list[dict[str, Any]]:
    """The fields of the last ``n`` readable lines, oldest first. Raises :class:`OSError`."""
    found: list[dict[str, Any]] = []
    for segment in reversed(segments(path)):
        missing = n - len(found)
        if missing <= 0:
            break
        found[:0] = [fields for _, fields in deque(_entries(segment), maxlen=missing)]
    return found


def export(
    path: Path,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    format: Literal["jsonl", "csv"] = "jsonl",  # noqa: A002  # the word of the command line
) -> Iterator[bytes]:
    """The lines from ``since`` to before ``until`` by their time stamps, in the order of their sequence.

    JSON Lines are the ledger's own bytes, so that their hashes can still be checked; CSV is UTF-8 with a header,
    CRLF, and cells made harmless by :func:`cell`. Both times must be aware. Raises :class:`OSError`.
    """
    chosen = (
        (raw, fields)
        for segment in segments(path)
        for raw, fields in _entries(segment)
        if _within(fields.get("@timestamp"), since, until)
    )
    if format == "jsonl":
        return (raw for raw, _ in chosen)
    return _csv(fields for _, fields in chosen)


def cell(value: object) -> str:
    r"""A value as the text of a CSV cell that no spreadsheet takes for a formula.

    Everything not printable (line breaks, ESC, direction marks, undecodable bytes) becomes ``\uXXXX``, a backslash
    two, and a text that begins like a formula gets an apostrophe in front.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=True, sort_keys=True)
    plain = not isinstance(value, str) or (text.isprintable() and "\\" not in text)
    safe = text if plain else "".join(_shown(character) for character in text)
    return f"'{safe}" if safe.lstrip().startswith(_FORMULA) else safe


def _shown(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004  # the end of the first plane


def _entries(segment: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    try:
        descriptor = open_segment(segment)
    except FileNotFoundError:
        return
    with os.fdopen(descriptor, "rb") as file:
        for raw in lines_of(file):
            try:
                fields = json.loads(raw) if raw.endswith(b"\n") else None
            except (ValueError, RecursionError):
                continue
            if isinstance(fields, dict):
                yield raw, fields


def _within(stamp: object, since: datetime | None, until: datetime | None) -> bool:
    if since is None and until is None:
        return True
    try:
        moment = datetime.fromisoformat(str(stamp))
    except ValueError:
        return False
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (since is None or moment >= since) and (until is None or moment < until)


def _csv(chosen: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    yield _row(COLUMNS)
    for fields in chosen:
        rest = {key: value for key, value in fields.items() if key not in FIELDS and key not in OWN_FIELDS}
        yield _row([*(cell(fields.get(name)) for name in COLUMNS[:-1]), cell(rest or None)])


def _row(cells: Iterable[str]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerow(cells)
    return buffer.getvalue().encode("utf-8")
