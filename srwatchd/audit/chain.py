"""The chain: the canonical form of a line, its hash, and the rules by which one line follows another.

Pure: bytes in, bytes out. `docs/ledger.md` describes the same thing for somebody who writes a verifier elsewhere; the
two must say the same.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "FORMAT",
    "GENESIS",
    "HEADS",
    "MAX_LINE",
    "Line",
    "LineError",
    "Seal",
    "Walk",
    "canonical",
    "parse",
    "seal_of",
]

GENESIS: Final = "0" * 64
"""What the very first line of a ledger carries as the hash of its predecessor."""

FORMAT: Final = 1
"""The version of everything in this module, in every segment's first line."""

MAX_LINE: Final = 4 << 20
"""No line, newline included, is longer; a longer one in a file is a fault, and is never loaded whole."""

HEADS: Final = frozenset({"ledger.started", "ledger.segment_started", "ledger.break_found"})
"""The actions of a segment's first line. They stand there and nowhere else."""

_LARGEST: Final = (1 << 53) - 1
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_SEAL: Final = re.compile(rb',"srwatchd\.hash":"([0-9a-f]{64})"\}\n\Z')
_KEY_ID: Final = b"srwatchd ledger key id"


class LineError(ValueError):
    """The bytes are no ledger line; the message says why."""


def canonical(fields: Mapping[str, Any]) -> bytes:
    r"""``fields`` as canonical JSON.

    Keys sorted by code point, no white space, no floats, and only the bytes 0x20 to 0x7e: everything else is a
    lower-case ``\uXXXX`` escape of its UTF-16 code units, apart from JSON's five short ones. Undecodable bytes of
    file names are lone surrogates U+DC80 to U+DCFF and are escaped like any other character, so no name can break a
    line.
    """
    text = json.dumps(fields, ensure_ascii=True, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return text.replace("\x7f", "\\u007f").encode("ascii")


@dataclass(frozen=True, slots=True)
class Seal:
    """How lines are hashed: SHA-256, or HMAC-SHA256 with ``key``."""

    key: bytes | None = None

    @property
    def algorithm(self) -> str:
        """The name that a segment's first line carries."""
        return "sha256" if self.key is None else "hmac-sha256"

    @property
    def key_id(self) -> str:
        """Sixteen hexadecimal digits that tell keys apart and do not reveal them; "" without a key."""
        return "" if self.key is None else hmac.digest(self.key, _KEY_ID, "sha256").hex()[:16]

    def digest(self, body: bytes) -> str:
        """The hash of a line's body in hexadecimal."""
        if self.key is None:
            return hashlib.sha256(body).hexdigest()
        return hmac.digest(self.key, body, "sha256").hex()

    def line(self, fields: Mapping[str, Any]) -> tuple[bytes, str]:
        """The finished line with its newline, and its hash. ``fields`` must not hold ``srwatchd.hash``."""
        body = canonical(fields)
        digest = self.digest(body)
        return b'%s,"srwatchd.hash":"%s"}\n' % (body[:-1], digest.encode("ascii")), digest


@dataclass(frozen=True, slots=True)
class Line:
    """One well-formed line: its fields without the hash, the bytes that the hash covers, and the hash it states."""

    fields: dict[str, Any]
    body: bytes
    hash: str
    sequence: int
    previous: str
    action: str

    def text(self, key: str) -> str:
        """A field as text, "" when it is absent or no text."""
        value = self.fields.get(key)
        return value if isinstance(value, str) else ""


def _no_float(text: str) -> NoReturn:
    raise LineError(f"it holds the number {text[:40]!r}, and only integers are allowed")


def parse(raw: bytes) -> Line:
    """The line that ``raw`` is, newline included. Raises :class:`LineError` unless it is whole and canonical.

    The hash is not checked here.
    """
    if len(raw) > MAX_LINE:
        raise LineError("it is longer than any ledger line")
    if not raw.endswith(b"\n"):
        raise LineError("it does not end with a newline")
    found = _SEAL.search(raw)
    if found is None:
        raise LineError("it does not end with its hash")
    body = raw[: found.start()] + b"}"
    try:
        fields = json.loads(body, parse_float=_no_float, parse_constant=_no_float)
        proper = isinstance(fields, dict) and canonical(fields) == body
    except LineError:
        raise
    except (ValueError, RecursionError):
        raise LineError("it is not JSON") from None
    if not proper:
        raise LineError("it is not in canonical form")
    return _typed(fields, body, found[1].decode("ascii"))


def _typed(fields: dict[str, Any], body: bytes, digest: str) -> Line:
    sequence, previous = fields.get("event.sequence"), fields.get("srwatchd.previous_hash")
    action = fields.get("event.action")
    if isinstance(sequence, bool) or not isinstance(sequence, int) or not 1 <= sequence <= _LARGEST:
        raise LineError("it has no sequence number")
    if not isinstance(previous, str) or _HASH.fullmatch(previous) is None:
        raise LineError("it has no hash of its predecessor")
    if not isinstance(action, str):
        raise LineError("it has no action")
    return Line(fields, body, digest, sequence, previous, action)


def seal_of(head: Line, key: bytes | None) -> Seal | None:
    """How the segment that begins with ``head`` was hashed; None when that takes a key other than ``key``."""
    if head.text("srwatchd.chain.algorithm") == "sha256":
        return Seal()
    own = Seal(key)
    if key is not None and head.text("srwatchd.chain.key_id") == own.key_id:
        return own
    return None


class Walk:
    """Follows a chain line by line and says what is wrong with each.

    After a fault the walk goes on from what the faulty line says, so that one change is one fault and not thousands.
    ``last`` is the last well-formed line, ``seal`` how the present segment is hashed (None: not checkable).
    """

    __slots__ = ("_key", "_number", "_strict", "last", "seal", "unchecked")

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key
        self._number = 0
        self._strict = True
        self.last: Line | None = None
        self.seal: Seal | None = Seal(key)
        self.unchecked = 0

    def begin(self) -> None:
        """The next line is the first of a segment."""
        self._number = 0

    def unreadable(self) -> None:
        """A line stood here that :func:`parse` refused: the next one cannot be held against its predecessor."""
        self._number += 1
        self._strict = False

    def step(self, line: Line) -> str | None:
        """What is wrong with ``line`` in its place, or None."""
        self._number += 1
        first = self._number == 1
        if first:
            self.seal = seal_of(line, self._key)
        fault = self._fault(line, first=first)
        self.last, self._strict = line, True
        return fault

    def _fault(self, line: Line, *, first: bool) -> str | None:
        if self.seal is None:
            self.unchecked += 1
        elif not hmac.compare_digest(self.seal.digest(line.body), line.hash):
            return "the line was changed: its hash does not match its content"
        if first != (line.action in HEADS):
            return (
                "a segment does not begin with this line" if first else "the first line of a segment inside of another"
            )
        if self.last is None or not self._strict:
            return None
        if line.sequence != self.last.sequence + 1:
            return f"sequence {line.sequence} follows {self.last.sequence}: lines are missing, added or out of order"
        if line.previous != self.last.hash:
            return "the line does not follow its predecessor: the hash of the previous line is another"
        return None
