from __future__ import annotations

import errno
import json
import os
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from delivery_places import bind, elsewhere

from srwatchd import storage
from srwatchd.delivery import Claim, Destination, archive, delete_source, quarantine, sidecar_data, source
from srwatchd.delivery.sidecar import remove_sidecar, write_sidecar
from srwatchd.errors import HINTS, HostError, TransientError
from srwatchd.job import Attempt, Failure, Placement, Record, Snapshot, State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTENT = b"source" * 300_000
MODIFIED = 1_000_000_000_123_456_789


@dataclass
class Bench:
    """A claim, a destination, and the records made."""

    private: Path
    target: Destination
    claim: Claim
    crossing: bool
    records: list[Placement] = field(default_factory=list)

    def fill(self, content: bytes = CONTENT) -> None:
        path = self.private / "j1.src"
        path.write_bytes(content)
        os.utime(path, ns=(MODIFIED, MODIFIED))

    def files(self) -> dict[str, bytes]:
        root = self.target.root
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}

    def archive(self, name: str = "sub/a.jpg", planned: Placement | None = None) -> Placement | None:
        return archive(self.claim, self.target, name, record=self.records.append, planned=planned)

    def quarantine(self, name: str = "a.jpg", planned: Placement | None = None, job: str = "j1") -> Placement | None:
        data = {"job": job, "code": "empty"}
        return quarantine(self.claim, self.target, name, data, record=self.records.append, planned=planned)


@pytest.fixture(params=["same mount", "bind mount", "other file system"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """The claim's folder and a destination on one mount, on two mounts of one file system, and on two file systems."""
    private, root = tmp_path / "private", tmp_path / "root"
    private.mkdir(mode=0o700)
    with ExitStack() as stack:
        if request.param == "same mount":
            root.mkdir()
        elif request.param == "bind mount":
            stack.enter_context(bind(root, tmp_path / "behind"))
        else:
            root = stack.enter_context(elsewhere(root))
        private_fd = storage.open_directory(private)
        stack.callback(os.close, private_fd)
        claim = Claim(private_fd, "j1.src", "j1", place="inbox/a.jpg")
        made = Bench(private, Destination(root, file_mode=0o604), claim, crossing=request.param != "same mount")
        made.fill()
        yield made


def test_source_arrives_byte_for_byte(bench: Bench) -> None:
    """A source arrives whole with its modification time, recorded before; the claim goes; a repeat is harmless."""
    placed = bench.archive()
    assert placed is not None
    path = bench.target.root / "sub/a.jpg"
    assert bench.files() == {"sub/a.jpg": CONTENT}
    assert path.stat().st_mtime_ns == MODIFIED
    assert os.listdir(bench.private) == []
    assert bench.records[-1] == placed
    assert len(bench.records) == (2 if bench.crossing else 1)
    assert (path.stat().st_mode & 0o777 == 0o604) or not bench.crossing
    assert bench.target.find(placed)
    assert bench.archive(planned=placed) == placed
    assert bench.files() == {"sub/a.jpg": CONTENT}


def test_nothing_is_overwritten(bench: Bench) -> None:
    """A taken name leads to a numbered one, and what had the name keeps it."""
    (bench.target.root / "sub").mkdir()
    (bench.target.root / "sub/a.jpg").write_bytes(b"theirs")
    placed = bench.archive()
    assert placed is not None
    assert bench.files() == {"sub/a.jpg": b"theirs", "sub/a (1).jpg": CONTENT}


def test_somebody_quicker_wins(bench: Bench) -> None:
    """A name that is lost after it was recorded is left alone; nothing staged remains."""

    def record(placement: Placement) -> None:
        bench.records.append(placement)
        if placement.name == "a.jpg":
            (bench.target.root / "a.jpg").write_bytes(b"theirs")

    placed = archive(bench.claim, bench.target, "a.jpg", record=record)
    assert placed is not None
    assert bench.files() == {"a.jpg": b"theirs", "a (1).jpg": CONTENT}


def test_copy_left_beside_its_claim(bench: Bench) -> None:
    """When the place holds the recorded file and the claim is there still, only the claim is removed."""
    placed = bench.archive()
    bench.fill()
    assert bench.archive(planned=placed) == placed
    assert bench.files() == {"sub/a.jpg": CONTENT}
    assert os.listdir(bench.private) == []


def test_recorded_but_not_moved(bench: Bench) -> None:
    """A record without its file means that the claim is moved now."""
    planned = Placement("sub/a.jpg", "0" * 64, 5, 1, 2)
    assert bench.archive(planned=planned) is not None
    assert bench.files() == {"sub/a.jpg": CONTENT}


def test_taken_away_by_somebody(bench: Bench) -> None:
    """When neither the claim nor its place holds it, that is said by None, not by an error."""
    placed = bench.archive()
    (bench.target.root / "sub/a.jpg").unlink()
    assert bench.archive(planned=placed) is None
    assert bench.quarantine(planned=placed) is None
    assert bench.files() == {}


def test_missing_destination(bench: Bench) -> None:
    """A destination that is not there is folder_missing; it is not made and the claim stays."""
    missing = replace(bench.target, root=bench.target.root / "missing")
    with pytest.raises(HostError) as caught:
        archive(bench.claim, missing, "a.jpg", record=bench.records.append)
    assert caught.value.code == "folder_missing"
    assert not missing.root.exists()
    assert os.listdir(bench.private) == ["j1.src"]


def test_changed_claim_is_not_moved_across_mounts(bench: Bench) -> None:
    """Bytes that are not those of the record are not copied for the source; the claim stays."""
    if not bench.crossing:
        pytest.skip("a rename moves whatever there is")
    with pytest.raises(TransientError) as caught:
        archive(replace(bench.claim, sha256="0" * 64), bench.target, "a.jpg", record=bench.records.append)
    assert caught.value.code == "source_changed"
    assert bench.files() == {}
    assert os.listdir(bench.private) == ["j1.src"]


def test_written_to_while_it_is_copied(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that appends behind the reader is noticed before the claim would be removed."""
    if not bench.crossing:
        pytest.skip("a rename moves the file with its writer")
    real = source._fill

    def copy(*arguments: Any, **named: Any) -> str:
        digest = real(*arguments, **named)
        with (bench.private / "j1.src").open("ab") as file:
            file.write(b"more")
        return digest

    monkeypatch.setattr(source, "_fill", copy)
    with pytest.raises(TransientError):
        bench.archive()
    assert bench.files() == {}
    assert (bench.private / "j1.src").read_bytes() == CONTENT + b"more"


def test_full_disk_across_mounts(bench: Bench, request: pytest.FixtureRequest) -> None:
    """A copy that does not fit is disk_full, its part is gone, the claim stays, and with room it works."""
    if "other file system" not in request.node.name or os.geteuid() != 0:
        pytest.skip("needs the small file system")
    filler = bench.target.root / "filler"
    filler.write_bytes(b"x" * (2 << 20))
    with pytest.raises(HostError) as caught:
        bench.archive("a.jpg")
    assert caught.value.code == "disk_full"
    assert list(bench.files()) == ["filler"]
    assert os.listdir(bench.private) == ["j1.src"]
    filler.unlink()
    assert bench.archive("a.jpg", planned=bench.records[-1]) is not None
    assert bench.files() == {"a.jpg": CONTENT}


def test_no_rename_and_no_link(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a foreign file can be neither renamed exclusively nor linked it is copied."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOTSUP, "neither")

    monkeypatch.setattr(source, "rename_exclusive", refuse)
    assert bench.archive() is not None
    assert bench.files() == {"sub/a.jpg": CONTENT}
    assert os.listdir(bench.private) == []


def test_refused_move(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal is a host error that names the place; the claim stays."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EACCES, "no")

    monkeypatch.setattr(source, "rename_exclusive", refuse)
    with pytest.raises(HostError, match=r"a\.jpg") as caught:
        bench.archive()
    assert caught.value.code == "not_writable"
    assert os.listdir(bench.private) == ["j1.src"]


def test_claim_gone_before_the_copy(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim that vanishes between the record and the copy is None, with nothing staged."""

    def vanish(*_: object, **__: object) -> None:
        (bench.private / "j1.src").unlink()
        raise OSError(errno.EXDEV, "other mount")

    monkeypatch.setattr(source, "rename_exclusive", vanish)
    assert bench.archive() is None
    assert bench.files() == {}


def test_delete(bench: Bench) -> None:
    """Deleting removes the claim and can be repeated."""
    delete_source(bench.claim)
    delete_source(bench.claim)
    assert os.listdir(bench.private) == []


def test_quarantine_puts_the_reason_beside_it(bench: Bench) -> None:
    """Source and sidecar stand side by side under one name; a repeat changes nothing."""
    placed = bench.quarantine("sub/a.jpg")
    assert placed is not None
    left = bench.files()
    assert set(left) == {"sub/a.jpg", "sub/a.jpg.error.json"}
    assert left["sub/a.jpg"] == CONTENT
    assert json.loads(left["sub/a.jpg.error.json"])["job"] == "j1"
    assert (bench.target.root / "sub/a.jpg.error.json").stat().st_mode & 0o777 == 0o604
    assert bench.quarantine("sub/a.jpg", planned=placed) == placed
    assert bench.files() == left


@pytest.mark.parametrize("taken", ["a.jpg", "a.jpg.error.json", "A.JPG"])
def test_quarantine_needs_both_names(taken: str, bench: Bench) -> None:
    """If either the name or its sidecar's is taken, both go to the next number and the old file stays."""
    (bench.target.root / taken).write_bytes(b"theirs")
    assert bench.quarantine() is not None
    left = bench.files()
    assert set(left) == {taken, "a (1).jpg", "a (1).jpg.error.json"}
    assert left[taken] == b"theirs"


def test_quarantine_after_a_crash_behind_the_sidecar(bench: Bench) -> None:
    """Our own sidecar without its source is completed, not doubled."""
    planned = bench.claim.placement("a.jpg")
    assert planned is not None
    write_sidecar(bench.target, "a.jpg", {"job": "j1"})
    placed = bench.quarantine(planned=planned)
    assert placed is not None
    assert placed.name == "a.jpg"
    assert set(bench.files()) == {"a.jpg", "a.jpg.error.json"}


def test_quarantine_loses_the_name_behind_the_sidecar(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """When somebody takes the name after our sidecar was written, the sidecar is taken back and the next name used."""
    planned = bench.claim.placement("a.jpg")
    write_sidecar(bench.target, "a.jpg", {"job": "j1"})
    (bench.target.root / "a.jpg").write_bytes(b"theirs")
    placed = bench.quarantine(planned=planned)
    assert placed is not None
    left = bench.files()
    assert set(left) == {"a.jpg", "a (1).jpg", "a (1).jpg.error.json"}
    assert left["a.jpg"] == b"theirs"


def test_sidecar_of_another_job_is_kept(bench: Bench) -> None:
    """A sidecar is exclusive: another job's, or one that nobody can read, is neither replaced nor removed."""
    for name, content in (("a", b'{"job": "j9"}'), ("b", b"not json"), ("c", b"[]")):
        path = bench.target.root / f"{name}.error.json"
        path.write_bytes(content)
        with pytest.raises(FileExistsError):
            write_sidecar(bench.target, name, {"job": "j1"})
        remove_sidecar(bench.target, name, "j1")
        assert path.read_bytes() == content
    (bench.target.root / "d.error.json").symlink_to("nowhere")
    (bench.target.root / "e.error.json").mkdir()
    for name in ("d", "e"):
        with pytest.raises(FileExistsError):
            write_sidecar(bench.target, name, {"job": "j1"})
    remove_sidecar(bench.target, "none", "j1")
    (bench.target.root / "f").touch()
    with pytest.raises(FileExistsError):
        write_sidecar(bench.target, "f", {"job": "j1"})


def test_sidecar_data_tells_everything() -> None:
    """A sidecar is ASCII JSON even for names that are no UTF-8, and tells the reason, the attempts and the origin."""
    snapshot = Snapshot("sub/b\udcff.jpg", 1, 2, 3, 4, 5, 6)
    attempt = Attempt("t", "worker_died", "m", "opencv")
    record = Record(
        job="j1",
        folder="scans",
        snapshot=snapshot,
        claimed_at="c",
        state=State.QUARANTINING,
        source_sha256="ab",
        attempts=(attempt,),
        failure=Failure("empty", "no content", "Drop it again."),
    )
    data = sidecar_data(record, now="q")
    assert data == {
        "version": 1,
        "code": "empty",
        "message": "no content",
        "hint": "Drop it again.",
        "attempts": [{"at": "t", "code": "worker_died", "message": "m", "engine": "opencv"}],
        "claimed_at": "c",
        "quarantined_at": "q",
        "job": "j1",
        "folder": "scans",
        "path": "sub/b\udcff.jpg",
        "size": 3,
        "sha256": "ab",
    }
    assert json.loads(json.dumps(data, ensure_ascii=True)) == data
    assert sidecar_data(replace(record, failure=None), now="q")["hint"] == HINTS["internal_error"]


def test_content_is_durable_before_it_is_moved(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The claim's own bytes are fsynced before its record is made: a rename alone would not save them."""
    synced: list[tuple[int, int]] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        found = os.fstat(descriptor)
        synced.append((found.st_dev, found.st_ino))
        real(descriptor)

    claimed = (bench.private / "j1.src").stat()
    monkeypatch.setattr(os, "fsync", fsync)

    def record(_: Placement) -> None:
        assert (claimed.st_dev, claimed.st_ino) in synced

    assert archive(bench.claim, bench.target, "a.jpg", record=record) is not None


def test_quarantine_meets_somebody_quicker(bench: Bench) -> None:
    """A name lost between the record and the sidecar leaves no sidecar beside the winner's file."""

    def record(placement: Placement) -> None:
        if placement.name == "a.jpg":
            (bench.target.root / "a.jpg").write_bytes(b"theirs")

    placed = quarantine(bench.claim, bench.target, "a.jpg", {"job": "j1"}, record=record)
    assert placed is not None
    left = bench.files()
    assert set(left) == {"a.jpg", "a (1).jpg", "a (1).jpg.error.json"}
    assert left["a.jpg"] == b"theirs"
