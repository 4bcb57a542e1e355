"""Whatever is done to one line of one segment, verify finds it; whatever a crash tears off, open mends."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srwatchd.audit import Entry, Ledger, check_against, checkpoint, segments, tail, verify

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = b"a key of the test suite"
JOBS = 14


def build(root: Path, key: bytes | None) -> Path:
    path = root / "audit" / "audit.jsonl"
    ledger = Ledger(path, segment_size=3000, key=key)
    ledger.open()
    for number in range(JOBS):
        ledger.append(
            [
                Entry("job.claimed", "unknown", job=f"j{number}", fields={"file.path": f"a\udcff{number}.png"}),
                Entry("job.completed", job=f"j{number}"),
            ]
        )
    ledger.close()
    assert len(segments(path)) > 3
    return path


@pytest.fixture(scope="module", autouse=True)
def _nobody_writes() -> Iterator[None]:
    """No line that is torn will become whole by waiting."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["srwatchd.audit.verify"], "_PATIENCE_S", 0.0)
        yield


@pytest.fixture(scope="module", params=[None, KEY], ids=["plain", "keyed"])
def original(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes | None]:
    return build(tmp_path_factory.mktemp("original"), request.param), request.param


@pytest.fixture(scope="module")
def workplace() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as root:
        yield Path(root)


def copy(path: Path, workplace: Path) -> Path:
    target = workplace / "audit"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(path.parent, target)
    return target / path.name


def pick(data: st.DataObject, path: Path) -> tuple[Path, list[bytes]]:
    segment = data.draw(st.sampled_from(segments(path)))
    return segment, segment.read_bytes().splitlines(keepends=True)


@settings(max_examples=40)
@given(data=st.data())
def test_any_changed_byte_is_found(original: tuple[Path, bytes | None], workplace: Path, data: st.DataObject) -> None:
    """One byte, anywhere, to any other value: the report is not ok and names the segment."""
    path = copy(original[0], workplace)
    segment, _ = pick(data, path)
    content = bytearray(segment.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    segment.write_bytes(content)
    report = verify(path, original[1])
    assert not report.ok
    if report.first_problem is None:
        assert report.unchecked > 0  # the change made the segment name another key
    else:
        assert report.first_problem.file in {item.name for item in segments(path)}


@settings(max_examples=40)
@given(data=st.data())
def test_any_removed_line_is_found(original: tuple[Path, bytes | None], workplace: Path, data: st.DataObject) -> None:
    """By verify, or, for the very last line, by a checkpoint kept elsewhere."""
    path = copy(original[0], workplace)
    kept = checkpoint(path)
    assert kept is not None
    segment, lines = pick(data, path)
    place = data.draw(st.integers(0, len(lines) - 1))
    last = segment == path and place == len(lines) - 1
    del lines[place]
    segment.write_bytes(b"".join(lines))
    assert check_against(path, kept) == ("cut" if last else "same")
    assert verify(path, original[1]).ok == last


@settings(max_examples=40)
@given(data=st.data())
def test_any_added_line_is_found(original: tuple[Path, bytes | None], workplace: Path, data: st.DataObject) -> None:
    """A copy of any line, or any bytes, anywhere."""
    path = copy(original[0], workplace)
    segment, lines = pick(data, path)
    _, donor = pick(data, path)
    added = data.draw(st.one_of(st.sampled_from(donor), st.binary(max_size=40).map(lambda text: text + b"\n")))
    lines.insert(data.draw(st.integers(0, len(lines))), added)
    segment.write_bytes(b"".join(lines))
    assert not verify(path, original[1]).ok


@settings(max_examples=40)
@given(data=st.data())
def test_any_reordering_is_found(original: tuple[Path, bytes | None], workplace: Path, data: st.DataObject) -> None:
    """Lines within a segment in any other order, or two segments exchanged."""
    path = copy(original[0], workplace)
    segment, lines = pick(data, path)
    other = data.draw(st.permutations(lines))
    if other == lines:
        neighbour = data.draw(st.sampled_from([item for item in segments(path) if item != segment]))
        content = segment.read_bytes()
        segment.write_bytes(neighbour.read_bytes())
        neighbour.write_bytes(content)
    else:
        segment.write_bytes(b"".join(other))
    assert not verify(path, original[1]).ok


@settings(max_examples=20)
@given(data=st.data())
def test_any_missing_closed_segment_is_found(
    original: tuple[Path, bytes | None], workplace: Path, data: st.DataObject
) -> None:
    """The oldest one too: it has no tombstone."""
    path = copy(original[0], workplace)
    data.draw(st.sampled_from(segments(path)[:-1])).unlink()
    assert not verify(path, original[1]).ok


@settings(max_examples=40)
@given(data=st.data())
def test_any_torn_tail_is_mended(original: tuple[Path, bytes | None], workplace: Path, data: st.DataObject) -> None:
    """A last append that is there in part, or as zeros, is cut off; everything before stays, and the chain goes on."""
    path = copy(original[0], workplace)
    before = tail(path, 1)[0]["event.sequence"]
    whole = path.stat().st_size
    ledger = Ledger(path, segment_size=1 << 20, key=original[1])
    ledger.open()
    ledger.append([Entry("job.claimed", "unknown", job="torn")])
    ledger.close()
    content = path.read_bytes()
    end = data.draw(st.integers(whole + 1, len(content) - 1))
    path.write_bytes(content[:end] + b"\0" * data.draw(st.integers(0, 5000)))
    opened = ledger.open()
    assert (opened.mended, opened.broken, opened.last_sequence) == (True, False, before + 1)
    assert ledger.append([Entry("daemon.started")]) == [before + 2]
    ledger.close()
    report = verify(path, original[1])
    assert report.ok
    assert report.mended == 1
    mended = tail(path, 2)[0]
    assert mended["event.action"] == "ledger.mended"
    assert mended["srwatchd.dropped.bytes"] >= end - whole
