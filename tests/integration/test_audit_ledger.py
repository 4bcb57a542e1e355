"""The writer: numbers, segments, retirement, breaks, keys, and failures of the file system."""

from __future__ import annotations

import errno
import os
import stat
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from srwatchd.audit import Entry, Ledger, closed_segments, segments, tail, verify
from srwatchd.audit.segments import closed_name
from srwatchd.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KEY = b"a key of the test suite"
STARTED = Entry("daemon.started")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit" / "audit.jsonl"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    made = Ledger(path, segment_size=6000)
    made.open()
    yield made
    made.close()


def fill(ledger: Ledger, jobs: int, *, start: int = 0) -> None:
    for number in range(start, start + jobs):
        ledger.append([Entry("job.claimed", "unknown", job=f"j{number}"), Entry("job.completed", job=f"j{number}")])


def actions(path: Path) -> list[str]:
    return [line["event.action"] for line in tail(path, 10_000)]


def test_a_new_ledger_begins_and_is_private(path: Path, ledger: Ledger) -> None:
    """Its first line says so; the file is 0640 whatever the umask."""
    assert actions(path) == ["ledger.started"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert ledger.append([]) == []
    assert ledger.append([STARTED, STARTED]) == [2, 3]
    assert verify(path).ok


def test_an_unopened_ledger_refuses(path: Path) -> None:
    """A defect of the caller, not of the host."""
    with pytest.raises(RuntimeError, match="not open"):
        Ledger(path).append([STARTED])


def test_numbers_go_on_over_segments_and_restarts(path: Path, ledger: Ledger) -> None:
    """Strictly one more, whoever writes and however often it rotates."""
    fill(ledger, 10)
    ledger.close()
    assert ledger.open().last_sequence == tail(path, 1)[0]["event.sequence"]
    [number] = ledger.append([STARTED])
    assert [line["event.sequence"] for line in tail(path, 1000)] == list(range(1, number + 1))
    assert len(closed_segments(path)) >= 2
    assert verify(path).ok


def test_a_batch_is_never_split(path: Path, ledger: Ledger) -> None:
    """One that is larger than a segment stays together in one."""
    ledger.append([STARTED] * 40)
    ledger.append([STARTED])
    assert path.stat().st_size < 6000
    assert verify(path).ok


def test_threads_can_append_together(path: Path, ledger: Ledger) -> None:
    """Each gets its own numbers and the chain is whole."""
    numbers: list[int] = []

    def write() -> None:
        for _ in range(10):
            numbers.extend(ledger.append([STARTED, STARTED]))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(numbers)) == 80
    assert verify(path).ok


def test_opening_knows_how_the_jobs_stand(path: Path, ledger: Ledger) -> None:
    """Also when the intent lies segments back: each first line hands the account on."""
    ledger.append([Entry("job.claimed", "unknown", job="open")])
    fill(ledger, 20)
    ledger.append([Entry("job.quarantining", "unknown", job="bad"), Entry("job.quarantined", "failure", job="bad")])
    ledger.close()
    opened = ledger.open()
    assert opened.unfinished == {"open"}
    assert opened.finished["bad"] == "job.quarantined"
    assert opened.finished["j0"] == "job.completed"


def test_a_retired_segment_leaves_its_tombstone(path: Path, ledger: Ledger) -> None:
    """Removing the oldest ones through retire is accepted, down to the last closed one and again after rotations."""
    fill(ledger, 20)
    for segment in closed_segments(path):
        ledger.retire(segment)
        assert verify(path).ok
    fill(ledger, 20, start=20)
    for _ in range(2):
        ledger.retire(closed_segments(path)[0].name)
    assert verify(path).ok


def test_only_the_oldest_closed_segment_can_be_retired(path: Path, ledger: Ledger) -> None:
    """Neither the one that is written to, nor one in the middle, nor a stranger."""
    fill(ledger, 20)
    for wrong in (path, closed_segments(path)[1], "x.jsonl"):
        with pytest.raises(ValueError, match="oldest"):
            ledger.retire(wrong)


def test_a_removal_that_a_crash_interrupted_is_completed(
    path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tombstone is durable first; opening removes what it names."""
    fill(ledger, 20)
    oldest = closed_segments(path)[0]
    with monkeypatch.context() as patch:
        real = os.unlink
        patch.setattr(os, "unlink", lambda n, **more: raising(errno.EIO)() if n == oldest.name else real(n, **more))
        with pytest.raises(HostError):
            ledger.retire(oldest)
    assert oldest.exists()
    assert verify(path).ok
    ledger.open()
    assert not oldest.exists()
    assert verify(path).ok


def test_a_retired_broken_segment_stays_a_fault(path: Path, ledger: Ledger) -> None:
    """Retention must not wash a break away."""
    fill(ledger, 20)
    oldest = closed_segments(path)[0]
    oldest.write_bytes(oldest.read_bytes().replace(b"j0", b"k0"))
    ledger.retire(oldest)
    assert "was broken" in str(verify(path).first_problem)


def raising(code: int) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize("step", ["write", "fdatasync"])
def test_a_failed_append_leaves_nothing(path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Neither lines nor numbers; the next one is good."""
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, step, raising(errno.EIO))
        with pytest.raises(HostError) as caught:
            ledger.append([STARTED])
    assert caught.value.code == "ledger_unwritable"
    assert ledger.append([STARTED]) == [2]
    assert path.read_bytes().startswith(before)
    assert verify(path).ok


def test_a_short_write_is_cut_off_even_if_that_fails_at_first(
    path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The half line is remembered and removed before anything else is written."""
    real = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:50]))
        patch.setattr(os, "ftruncate", raising(errno.EIO))
        for _ in range(2):
            with pytest.raises(HostError):
                ledger.append([STARTED])
    assert ledger.append([STARTED]) == [2]
    assert verify(path).ok


@pytest.mark.parametrize("failing", [1, 2])
def test_a_failed_rotation_can_be_repeated(
    path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    """Whether the old segment was renamed already or not, nothing is lost and nothing is called a break."""
    ledger.append([STARTED] * 7)
    home = sys.modules["srwatchd.audit.segments"]
    real, calls = home.rename_exclusive, []

    def rename(source: str, target: str, *, source_fd: int, target_fd: int) -> None:
        calls.append(source)
        if len(calls) == failing:
            raise OSError(errno.EIO, "injected")
        real(source, target, source_fd=source_fd, target_fd=target_fd)

    with monkeypatch.context() as patch:
        patch.setattr(home, "rename_exclusive", rename)
        with pytest.raises(HostError):
            ledger.append([STARTED] * 7)
    ledger.append([STARTED] * 7)
    assert "ledger.break_found" not in actions(path)
    assert verify(path).ok
    assert actions(path).count("daemon.started") == 14


def test_a_missing_active_segment_is_begun_anew(path: Path, ledger: Ledger) -> None:
    """What a crash between the two renames of a rotation leaves."""
    ledger.append([STARTED])
    ledger.close()
    path.rename(path.with_name(closed_name(path, 1)))
    assert ledger.open().last_sequence == 3
    assert actions(path)[-1] == "ledger.segment_started"
    assert verify(path).ok


@pytest.mark.parametrize("content", [b"", b"\0" * 5000, b'{"half'])
def test_an_empty_or_torn_first_line_is_replaced(path: Path, ledger: Ledger, content: bytes) -> None:
    """With and without segments before it."""
    fill(ledger, 10)
    ledger.close()
    last = ledger.open().last_sequence
    ledger.close()
    path.rename(path.with_name(closed_name(path, tail_first(path))))
    path.write_bytes(content)
    opened = ledger.open()
    assert (opened.mended, opened.broken) == (True, False)
    assert opened.last_sequence == last + 2
    assert verify(path).ok


def tail_first(path: Path) -> int:
    return int(path.read_bytes().split(b'"event.sequence":', 1)[1].split(b",", 1)[0])


@pytest.mark.parametrize("which", [0, 1, 2, 3])
def test_a_really_broken_chain_is_recorded_and_work_goes_on(path: Path, ledger: Ledger, which: int) -> None:
    """A new segment says where it is broken; verify reports it from then on, numbers are not used twice."""
    ledger.append([Entry("job.claimed", "unknown", job="open"), STARTED, STARTED])
    ledger.close()
    lines = path.read_bytes().splitlines(keepends=True)
    lines[which] = lines[which].replace(b'"host.name":"', b'"host.name":"x')
    path.write_bytes(b"".join(lines))
    opened = ledger.open()
    assert (opened.broken, opened.mended, opened.last_sequence) == (True, False, 5)
    assert opened.unfinished == {"open"}
    assert ledger.append([STARTED]) == [6]
    found = tail(path, 2)[0]
    assert found["event.action"] == "ledger.break_found"
    assert found["srwatchd.break.line"] == which + 1
    report = verify(path)
    assert not report.ok
    assert report.first_problem is not None
    assert (report.first_problem.file, report.first_problem.line) == (closed_segments(path)[0].name, which + 1)
    assert report.faults == 2


def test_a_file_of_nonsense_is_kept_and_reported(path: Path, ledger: Ledger) -> None:
    """Somebody's own JSON in place of the ledger: kept under another name."""
    fill(ledger, 10)
    ledger.close()
    path.write_bytes(b'{"hello":"world"}\n')
    before = len(segments(path))
    assert ledger.open().broken
    assert len(segments(path)) == before + 1
    assert any(b"hello" in segment.read_bytes() for segment in closed_segments(path))
    assert not verify(path).ok


def test_only_nonsense_and_no_ledger_before(path: Path) -> None:
    """The same without any segment."""
    path.parent.mkdir()
    path.write_bytes(b'{"hello":"world"}\n')
    ledger = Ledger(path)
    assert ledger.open().broken
    ledger.append([STARTED])
    ledger.close()
    assert not verify(path).ok


def test_a_broken_last_closed_segment_without_an_active_one(path: Path, ledger: Ledger) -> None:
    """The break is recorded behind it and the file is left as it is."""
    ledger.append([STARTED])
    ledger.close()
    closed = path.with_name(closed_name(path, 1))
    closed.write_bytes(path.read_bytes()[:-3])
    path.unlink()
    assert ledger.open().broken
    assert closed.exists()
    assert not verify(path).ok


@pytest.mark.parametrize("meddle", ["unlink", "rename", "truncate", "append"])
def test_meddling_under_a_running_daemon_is_recorded(path: Path, ledger: Ledger, meddle: str) -> None:
    """A foreign log rotation, a cut, an added line: nothing is written to a file that is not ours."""
    ledger.append([STARTED, STARTED])
    if meddle == "unlink":
        path.unlink()
    elif meddle == "rename":
        path.rename(path.with_name("audit.jsonl.1"))
    elif meddle == "truncate":
        os.truncate(path, 10)
    else:
        with path.open("ab") as file:
            file.write(b"hello\n")
    assert ledger.append([STARTED]) == [5]
    assert actions(path)[-2:] == ["ledger.break_found", "daemon.started"]
    assert not verify(path).ok


def test_a_key_is_taken_up_in_a_new_segment(path: Path, ledger: Ledger) -> None:
    """With the key everything is checked, without it the report says that it cannot."""
    ledger.append([STARTED])
    ledger.close()
    keyed = Ledger(path, key=KEY)
    assert keyed.open().last_sequence == 3
    keyed.append([STARTED])
    keyed.close()
    assert verify(path, KEY).ok
    report = verify(path)
    assert (report.ok, report.unchecked, report.first_problem) == (False, 2, None)
    assert "cannot check 2 lines" in str(report)
    assert verify(path, b"some other key of 16").unchecked == 2


def test_a_chain_without_the_key_cannot_pass_for_a_keyed_one(path: Path, ledger: Ledger) -> None:
    """Neither as a whole nor behind keyed segments."""
    ledger.append([STARTED])
    ledger.close()
    assert "given key" in str(verify(path, KEY).first_problem)
    Ledger(path, key=KEY).open()
    Ledger(path).open()
    assert "without a key" in str(verify(path, KEY).first_problem)


def test_a_link_or_a_fifo_in_place_of_the_ledger_is_refused(path: Path, tmp_path: Path) -> None:
    """Nothing is written through it, and opening does not wait for a reader."""
    path.parent.mkdir()
    target = tmp_path / "victim"
    target.write_bytes(b"")
    path.symlink_to(target)
    with pytest.raises(HostError) as caught:
        Ledger(path).open()
    assert caught.value.code == "ledger_unwritable"
    assert target.read_bytes() == b""
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(HostError):
        Ledger(path).open()


def test_a_missing_parent_folder_is_the_hosts_fault(tmp_path: Path) -> None:
    """It may be a mount that is not there."""
    with pytest.raises(HostError):
        Ledger(tmp_path / "no" / "audit" / "audit.jsonl").open()


def test_no_ledger_and_an_empty_segment_are_no_success(path: Path, ledger: Ledger) -> None:
    """Nothing to check is not the same as nothing wrong, and the report says it in a sentence."""
    assert "no ledger" in str(verify(path.with_name("other.jsonl")))
    assert str(verify(path)).startswith("whole: 1 lines in 1 segments")
    path.write_bytes(b"")
    assert "empty" in str(verify(path))


def test_verify_waits_for_a_line_that_is_being_written(
    path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader beside a running daemon does not take half a write for a tear."""
    ledger.append([STARTED])
    content = path.read_bytes()
    path.write_bytes(content[:-20])

    def finish(_: float) -> None:
        with path.open("ab") as file:
            file.write(content[-20:])

    monkeypatch.setattr(time, "sleep", finish)
    assert verify(path).ok


def test_verify_begins_anew_when_retention_works_beside_it(
    path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A segment that is rotated or retired in the middle is not reported as missing."""
    fill(ledger, 20)
    home = sys.modules["srwatchd.audit.verify"]
    real, opened = home.open_segment, []

    def meddle(segment: Path) -> int:
        opened.append(segment)
        if len(opened) == 2:
            for oldest in closed_segments(path)[:2]:
                ledger.retire(oldest)
            fill(ledger, 6, start=50)
        return real(segment)

    monkeypatch.setattr(home, "open_segment", meddle)
    assert verify(path).ok
