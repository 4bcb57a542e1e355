"""The canonical form and the rules of the chain."""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest

from srwatchd.audit.chain import GENESIS, MAX_LINE, LineError, Seal, Walk, canonical, parse, seal_of

KEY = b"0123456789abcdef"


def fields(sequence: int = 1, previous: str = GENESIS, action: str = "daemon.started", **more: object) -> dict:
    return {"event.sequence": sequence, "srwatchd.previous_hash": previous, "event.action": action, **more}


def head(**more: object) -> dict:
    return fields(action="ledger.started", **{"srwatchd.chain.algorithm": "sha256", **more})


def test_the_canonical_form_is_the_documented_bytes() -> None:
    """The example of docs/ledger.md: sorted, no white space, everything but printable ASCII escaped in lower case."""
    value = {"b": '\x7f\u202e\udcff\n\x1b/"\\', "a": [1, True, None], "@t": "\U0001f600"}
    expected = rb'{"@t":"\ud83d\ude00","a":[1,true,null],"b":"\u007f\u202e\udcff\n\u001b/\"\\"}'
    assert canonical(value) == expected
    assert json.loads(expected) == value


@pytest.mark.parametrize(
    "name", ["a\nb", "\x1b[31m", "\u202egnp.exe", "\udc80\udcff.png", "\x7f", "\u2028\u0085", "=1+1"]
)
def test_any_name_round_trips_in_one_printable_line(name: str) -> None:
    """Undecodable bytes, line breaks, ESC and direction marks never break a line and come back exactly."""
    raw, _ = Seal().line(fields(**{"file.path": name}))
    assert raw.count(b"\n") == 1
    assert all(0x20 <= byte <= 0x7E for byte in raw[:-1])
    assert parse(raw).fields["file.path"] == name


def test_the_hash_covers_the_line_without_its_last_field() -> None:
    """A stranger needs no JSON: cut the last 85 bytes (newline included), add a brace, hash."""
    raw, digest = Seal().line(fields())
    assert digest == hashlib.sha256(raw[:-85] + b"}").hexdigest()
    assert raw[-85:] == b',"srwatchd.hash":"' + digest.encode() + b'"}\n'


def test_with_a_key_the_hash_is_a_hmac() -> None:
    """HMAC-SHA256 over the same bytes, and the key id is one of a fixed text."""
    seal = Seal(KEY)
    raw, digest = seal.line(fields())
    assert digest == hmac.new(KEY, raw[:-85] + b"}", "sha256").hexdigest()
    assert seal.key_id == hmac.new(KEY, b"srwatchd ledger key id", "sha256").hexdigest()[:16]
    assert (seal.algorithm, Seal().algorithm, Seal().key_id) == ("hmac-sha256", "sha256", "")


GOOD, _ = Seal().line(fields())


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (GOOD[:-1], "newline"),
        (b"\n", "hash"),
        (GOOD.replace(b"{", b"{ ", 1), "canonical"),
        (GOOD.replace(b"daemon", b"\\u0064aemon"), "canonical"),
        (GOOD.replace(b'"event.sequence":1', b'"event.sequence":1.0'), "number"),
        (GOOD.replace(b'"event.sequence":1', b'"event.sequence":NaN'), "number"),
        (GOOD.replace(b'"event.sequence":1', b'"event.sequence":0'), "sequence"),
        (GOOD.replace(b'"event.sequence":1', b'"event.sequence":true'), "sequence"),
        (GOOD.replace(GENESIS.encode(), b"0"), "predecessor"),
        (GOOD.replace(b'"daemon.started"', b"1"), "action"),
        (b"[" * 100_000 + GOOD[-85:], "JSON"),
        (b"\xff" + GOOD, "JSON"),
        (b"x" * MAX_LINE + GOOD, "longer"),
    ],
)
def test_what_is_not_a_canonical_line_is_refused(raw: bytes, why: str) -> None:
    """Every deviation is a LineError that names it, and never another exception."""
    with pytest.raises(LineError, match=why):
        parse(raw)


def chain(*bodies: dict) -> list[bytes]:
    previous, lines = GENESIS, []
    for sequence, body in enumerate(bodies, start=1):
        raw, previous = Seal().line({**body, "event.sequence": sequence, "srwatchd.previous_hash": previous})
        lines.append(raw)
    return lines


def test_a_whole_chain_is_walked_without_a_fault() -> None:
    """What Seal wrote, Walk accepts."""
    walk = Walk()
    assert [walk.step(parse(raw)) for raw in chain(head(), fields(), fields())] == [None, None, None]
    assert walk.unchecked == 0


@pytest.mark.parametrize(
    ("order", "faults"),
    [((0, 2), [1]), ((0, 2, 1, 3), [1, 2, 3]), ((0, 1, 1, 2), [2]), ((1, 2), [0]), ((0, 1, 0), [2])],
)
def test_removed_reordered_repeated_lines_are_faults(order: tuple[int, ...], faults: list[int]) -> None:
    """And the walk goes on after each, so that one change is not a thousand faults."""
    lines = chain(head(), fields(), fields(), fields())
    walk = Walk()
    assert [i for i, which in enumerate(order) if walk.step(parse(lines[which]))] == faults


def test_a_changed_line_and_a_forged_successor_are_told_apart() -> None:
    """A change shows in the line's own hash, a replacement in the next line's link."""
    lines = chain(head(), fields(), fields())
    walk = Walk()
    walk.step(parse(lines[0]))
    assert "changed" in str(walk.step(parse(lines[1].replace(b"started", b"stopped"))))
    forged, _ = Seal().line({**parse(lines[1]).fields, "event.action": "daemon.stopped"})
    walk = Walk()
    assert [walk.step(parse(raw)) for raw in (lines[0], forged)] == [None, None]
    assert "predecessor" in str(walk.step(parse(lines[2])))


def test_after_an_unreadable_line_the_next_is_not_blamed() -> None:
    """The unreadable line is the fault; its successor cannot be compared."""
    lines = chain(head(), fields(), fields())
    walk = Walk()
    walk.step(parse(lines[0]))
    walk.unreadable()
    assert walk.step(parse(lines[2])) is None


def test_without_the_key_lines_are_counted_as_unchecked() -> None:
    """Order is still checked; the content is said not to be."""
    raw, _ = Seal(KEY).line(
        head(**{"srwatchd.chain.algorithm": "hmac-sha256", "srwatchd.chain.key_id": Seal(KEY).key_id})
    )
    for key, unchecked in ((None, 1), (b"another key 1234", 1), (KEY, 0)):
        walk = Walk(key)
        assert walk.step(parse(raw)) is None
        assert walk.unchecked == unchecked
    assert seal_of(parse(raw), KEY) == Seal(KEY)
