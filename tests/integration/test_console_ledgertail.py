"""srwatchd.console.ledgertail: new lines as they are written, over the end of a segment."""

from __future__ import annotations

import json
import os

from srwatchd.console.ledgertail import LedgerTail

OURS = b'"folder":"ours'


def line(number, folder="ours"):
    return json.dumps({"number": number, "folder": folder}, separators=(",", ":")).encode() + b"\n"


def append(path, data):
    with path.open("ab") as file:
        file.write(data)


def told(tail):
    return [each["number"] for each in tail.lines(with_text=OURS)]


def test_only_what_comes_after_and_only_ours(tmp_path):
    """What was there is not told; a line that is being written is told once it is whole."""
    path = tmp_path / "audit.jsonl"
    append(path, line(1))
    tail = LedgerTail(path)
    assert told(tail) == []
    append(path, line(2) + line(3, "others") + line(4)[:9])
    assert told(tail) == [2]
    append(path, line(4)[9:] + b'no json ,"folder":"ours\n' + line(5))
    assert told(tail) == [4, 5]
    assert told(tail) == []
    tail.close()


def test_the_next_segment_follows_the_last_line_of_the_one_before(tmp_path):
    """Nothing is lost or told twice when the ledger goes on in a new file."""
    path = tmp_path / "audit.jsonl"
    append(path, line(1))
    tail = LedgerTail(path)
    append(path, line(2))
    os.rename(path, tmp_path / "audit.000000000001.jsonl")
    append(path, line(3))
    assert told(tail) == [2, 3]
    append(path, line(4))
    assert told(tail) == [4]
    tail.close()


def test_a_ledger_that_is_not_there_yet(tmp_path):
    """Its first line is told when it comes."""
    path = tmp_path / "audit.jsonl"
    tail = LedgerTail(path)
    assert told(tail) == []
    append(path, line(1))
    assert told(tail) == [1]
    tail.close()
    tail.close()
