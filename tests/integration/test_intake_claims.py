from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys

import pytest
from intake_bench import another_user, leases, open_inbox, record_of, tmpfs

from srwatchd.errors import HostError, TransientError
from srwatchd.intake import claims as module
from srwatchd.intake.claims import Claims, Orphan
from srwatchd.intake.look import Lease
from srwatchd.job import Event, IllegalTransitionError, State

CRASH = """
import json, os, pathlib, signal, sys
from srwatchd import storage
from srwatchd.intake import claims as module
from srwatchd.intake.claims import Claims
from srwatchd.intake.inbox import Inbox
from srwatchd.job import Record
root, step, moment, text = sys.argv[1:]
owner, _, name = step.rpartition(".")
place = {"claims": module, "storage": storage, "os": os, "Claims": Claims}[owner]
real = getattr(place, name)
def crash(*args, **kwargs):
    if moment == "after":
        real(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)
inbox = Inbox.open(pathlib.Path(root), state_id="state", create=False)
claims = Claims(inbox, markers=True)
record = Record.from_dict(json.loads(text))
if sys.argv[0] == "-c" and name in ("_move_marker_out", "_remove"):
    claims.take(record)
    setattr(place, name, crash)
    claims.release(record)
else:
    setattr(place, name, crash)
    claims.take(record)
"""


@pytest.fixture
def inbox(tmp_path):
    with leases(), open_inbox(tmp_path / "in") as opened:
        yield opened


@pytest.fixture
def claims(inbox):
    return Claims(inbox, boot_id="boot1")


def drop_in(inbox, name="a.jpg", content=b"picture"):
    path = inbox.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def private(inbox):
    return sorted(set(os.listdir(inbox.root / ".srwatchd")) - {"id", "lock"})


def visible(inbox):
    return sorted(
        os.path.relpath(os.path.join(folder, name), inbox.root)
        for folder, _, names in os.walk(inbox.root)
        if ".srwatchd" not in folder
        for name in names
    )


def test_claims_take_look_release(inbox, claims):
    """A claimed file is out of the inbox, recorded and readable; given back it is what it was."""
    path = drop_in(inbox, "sub/a.jpg")
    before = path.stat()
    record = record_of(inbox, "sub/a.jpg")
    claims.take(record)
    assert private(inbox) == ["job1.json", "job1.src"]
    assert visible(inbox) == []
    assert (inbox.root / "sub").is_dir()
    descriptor = claims.source_fd(record)
    assert os.read(descriptor, 99) == b"picture"
    os.close(descriptor)
    seen = claims.look(record)
    assert seen.snapshot.name == "sub/a.jpg"
    assert seen.snapshot.same_content(record.snapshot)
    assert seen.lease is Lease.FREE
    claims.save(record.after(Event.CLAIM))
    assert claims.orphans() == [Orphan(record.after(Event.CLAIM), source_present=True, interruptions=0)]
    assert claims.release(record) == "sub/a.jpg"
    after = path.stat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns)
    assert private(inbox) == []


@pytest.mark.parametrize("raw", [b"\xff\xfe.jpg", b"a\nb\x1b.jpg", b"x" * 255, "é".encode() * 127])
def test_claims_any_name_survives(inbox, claims, raw):
    """Names that are no text are recorded, read back and given back, and numbered within 255 bytes."""
    path = os.path.join(os.fsencode(inbox.root), raw)
    with open(path, "wb") as file:
        file.write(b"x")
    record = record_of(inbox, os.fsdecode(raw))
    claims.take(record)
    assert claims.orphans()[0].record == record
    with open(path, "wb") as file:
        file.write(b"another one")
    name = claims.release(record)
    assert " (1)" in name
    assert len(os.fsencode(name)) <= 255
    assert len(visible(inbox)) == 2


def test_claims_release_overwrites_nothing_and_makes_lost_folders_again(inbox, claims):
    """A taken name is numbered until one is free."""
    drop_in(inbox, "sub/a.jpg", b"first")
    record = record_of(inbox, "sub/a.jpg")
    claims.take(record)
    (inbox.root / "sub").rmdir()
    for name in ("sub/a.jpg", "sub/a (1).jpg"):
        drop_in(inbox, name, b"other")
    assert claims.release(record) == "sub/a (2).jpg"
    assert (inbox.root / "sub/a (2).jpg").read_bytes() == b"first"
    drop_in(inbox, "gone/b.jpg")
    record = record_of(inbox, "gone/b.jpg", "job2")
    claims.take(record)
    (inbox.root / "gone").rmdir()
    assert claims.release(record) == "gone/b.jpg"


def test_claims_writer_goes_on_in_a_claimed_file(inbox, claims):
    """The lease tells it; nothing that it writes is lost."""
    with (inbox.root / "a.jpg").open("wb") as file:
        file.write(b"one")
        file.flush()
        record = record_of(inbox, "a.jpg")
        claims.take(record)
        assert claims.look(record).lease is Lease.BUSY
        file.write(b"two")
    assert not claims.look(record).snapshot.same_content(record.snapshot)
    assert claims.release(record) == "a.jpg"
    assert (inbox.root / "a.jpg").read_bytes() == b"onetwo"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda path: path.write_bytes(b"longer than before"), "source_changed"),
        (lambda path: (path.unlink(), path.symlink_to("/etc/passwd")), "source_changed"),
        (lambda path: path.unlink(), "source_vanished"),
        (lambda path: (path.unlink(), path.parent.rmdir()), "source_vanished"),
        (lambda path: (path.unlink(), path.parent.rmdir(), path.parent.symlink_to("/etc")), "source_vanished"),
    ],
    ids=["changed", "link", "gone", "folder gone", "folder a link"],
)
def test_claims_only_what_was_looked_at_is_taken(inbox, claims, change, code):
    """Whatever changed since leaves no claim and no record."""
    path = drop_in(inbox, "sub/a.jpg")
    record = record_of(inbox, "sub/a.jpg")
    change(path)
    with pytest.raises(TransientError) as caught:
        claims.take(record)
    assert caught.value.code == code
    assert private(inbox) == []


def test_claims_file_replaced_in_the_very_moment_goes_back(inbox, claims, monkeypatch):
    """Replaced between comparison and rename: the new file is back under its name at once."""
    path = drop_in(inbox)
    record = record_of(inbox, "a.jpg")
    real = module.rename_exclusive

    def late(source, target, **where):
        if source == "a.jpg":
            path.unlink()
            path.write_bytes(b"somebody else's")
        real(source, target, **where)

    monkeypatch.setattr(module, "rename_exclusive", late)
    with pytest.raises(TransientError) as caught:
        claims.take(record)
    assert caught.value.code == "source_changed"
    assert path.read_bytes() == b"somebody else's"
    assert private(inbox) == []


def test_claims_file_that_may_not_be_moved_is_a_hold(inbox, claims):
    """In a folder that we may not write to: file, owner and remedy are named, nothing is left behind."""
    path = drop_in(inbox, "sub/a.jpg")
    path.parent.chmod(0o555)
    with another_user(inbox.root, inbox.root / ".srwatchd"):
        record = record_of(inbox, "sub/a.jpg")
        with pytest.raises(HostError) as caught:
            claims.take(record)
    assert caught.value.code == "source_unmovable"
    assert caught.value.path == str(path)
    for word in (str(path), f"uid {path.stat().st_uid}", "write permission"):
        assert word in caught.value.message
    assert private(inbox) == []
    path.parent.chmod(0o755)


def test_claims_file_on_another_mount_is_a_hold(inbox, claims):
    """A file system mounted inside an inbox cannot be claimed from by a rename."""
    (inbox.root / "sub").mkdir()
    with tmpfs(inbox.root / "sub"):
        drop_in(inbox, "sub/a.jpg")
        with pytest.raises(HostError) as caught:
            claims.take(record_of(inbox, "sub/a.jpg"))
        assert caught.value.code == "source_unmovable"
        assert "mount" in caught.value.message
        assert visible(inbox) == ["sub/a.jpg"]
        assert private(inbox) == []


@pytest.mark.parametrize("failing", ["fsync", "rename"])
def test_claims_sick_disk_undoes_the_claim(inbox, claims, monkeypatch, failing):
    """An error of the disk while claiming is a hold, and the file is in the inbox."""
    drop_in(inbox)
    record = record_of(inbox, "a.jpg")
    real_save, real_fsync, count = claims.save, os.fsync, iter(range(99))

    def sick(*args, **kwargs):
        if failing == "rename" or next(count) == 0:
            raise OSError(5, "sick")
        real_fsync(*args)

    def save(this):
        real_save(this)
        monkeypatch.setattr(module, "rename_exclusive", sick) if failing == "rename" else monkeypatch.setattr(
            os, "fsync", sick
        )

    monkeypatch.setattr(claims, "save", save)
    with pytest.raises(HostError) as caught:
        claims.take(record)
    monkeypatch.undo()
    assert caught.value.code == "io_error"
    assert visible(inbox) == ["a.jpg"]
    assert private(inbox) == []


def test_claims_unreadable_source_is_a_hold(inbox, claims):
    """We may own the folder and still not the file."""
    path = drop_in(inbox)
    path.chmod(0)
    record = record_of(inbox, "a.jpg")
    claims.take(record)
    with another_user(inbox.root / ".srwatchd"), pytest.raises(HostError) as caught:
        claims.source_fd(record)
    assert caught.value.code == "source_unreadable"
    assert "read permission" in caught.value.message


def test_claims_source_taken_out_of_the_private_folder(inbox, claims):
    """Somebody with the rights to do so removed it: one picture is concerned, not the folder."""
    drop_in(inbox)
    record = record_of(inbox, "a.jpg")
    claims.take(record)
    (inbox.root / ".srwatchd/job1.src").unlink()
    for step in (claims.source_fd, claims.look):
        with pytest.raises(TransientError) as caught:
            step(record)
        assert caught.value.code == "source_vanished"
    claims.drop(record)
    assert private(inbox) == []


def test_claims_misuse_is_refused(inbox, claims):
    """A job name is no path, a delivered job is not taken, and a source on its way is not given back."""
    drop_in(inbox)
    record = record_of(inbox, "a.jpg")
    with pytest.raises(ValueError, match="file name"):
        claims.take(dataclasses.replace(record, job="../x"))
    with pytest.raises(ValueError, match="delivering"):
        claims.take(dataclasses.replace(record, state=State.DELIVERING))
    with pytest.raises(IllegalTransitionError):
        claims.release(dataclasses.replace(record, state=State.ARCHIVING))
    assert visible(inbox) == ["a.jpg"]


def test_claims_interruptions_count_within_one_boot(inbox):
    """Each death with a worker on the job counts one; a clean end or a reboot does not."""
    drop_in(inbox)
    record = record_of(inbox, "a.jpg")
    claims = Claims(inbox, boot_id="boot1")
    claims.take(record)

    def interruptions(boot="boot1"):
        (orphan,) = Claims(inbox, boot_id=boot).orphans()
        return orphan.interruptions

    assert interruptions() == 0
    claims.mark_running(record)
    assert [interruptions(), interruptions()] == [1, 1]
    claims.mark_running(record)
    assert interruptions() == 2
    claims.mark_running(record)
    claims.clear_running(record)
    assert interruptions() == 2
    claims.mark_running(record)
    assert interruptions("boot2") == 0
    (inbox.root / ".srwatchd/job1.run").write_text("{damaged")
    assert interruptions() == 0
    claims.mark_running(record)
    claims.clear_running(record)
    assert private(inbox) == ["job1.json", "job1.src"]
    Claims(inbox).mark_running(record)
    assert Claims(inbox).orphans()[0].interruptions == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'{"version": 2}', b"\xff\xfe", b'{"version": 1, "state": "no"}', b"[" * 100_000],
)
def test_claims_damaged_record_gives_the_source_back(inbox, claims, content):
    """It never crashes and never loses a file: the source comes back under a name that says so."""
    drop_in(inbox)
    record = record_of(inbox, "a.jpg")
    claims.take(record)
    (inbox.root / ".srwatchd/job1.json").write_bytes(content)
    drop_in(inbox, "recovered-job1", b"already there")
    assert claims.orphans() == []
    assert claims.recovered == ("recovered-job1 (1)",)
    assert (inbox.root / "recovered-job1 (1)").read_bytes() == b"picture"
    assert private(inbox) == []


def test_claims_record_of_another_job_or_place_is_damaged(inbox, claims):
    """A record that names another job, or a path out of the inbox, is not believed."""
    drop_in(inbox)
    record = record_of(inbox, "a.jpg")
    claims.take(record)
    for wrong in ({"job": "job2"}, {"snapshot": {**record.to_dict()["snapshot"], "name": "../../x"}}):
        (inbox.root / ".srwatchd/job9.json").write_text(json.dumps(record.to_dict() | {"job": "job9"} | wrong))
        assert [orphan.record.job for orphan in claims.orphans()] == ["job1"]
        assert private(inbox) == ["job1.json", "job1.src"]
    os.mkfifo(inbox.root / ".srwatchd/job8.json")
    assert len(claims.orphans()) == 1


def test_claims_half_made_things_are_cleared_away(inbox, claims):
    """Staged records, lone marks and probes of a dead process."""
    for name in (".srwatchd-job1.json.tmp", "job7.run", "job7.done", "probe-ab"):
        (inbox.root / ".srwatchd" / name).write_bytes(b"x")
    assert claims.orphans() == []
    assert private(inbox) == []


def test_claims_orphans_are_in_the_order_of_their_claims(inbox, claims):
    """The oldest claim first."""
    for job, at in (("b", "2026-01-02"), ("a", "2026-01-03"), ("c", "2026-01-01")):
        drop_in(inbox, f"{job}.jpg")
        claims.take(dataclasses.replace(record_of(inbox, f"{job}.jpg", job), claimed_at=at))
    assert [orphan.record.job for orphan in claims.orphans()] == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("step", "moment", "present"),
    [
        ("os.write", "before", None),
        ("os.fdatasync", "after", False),
        ("claims.rename_exclusive", "before", False),
        ("claims.rename_exclusive", "after", True),
        ("Claims._prove", "after", True),
        ("Claims._move_marker_in", "before", True),
        ("Claims._move_marker_in", "after", True),
        ("Claims._move_marker_out", "before", False),
        ("Claims._move_marker_out", "after", False),
        ("Claims._remove", "before", False),
        ("Claims._remove", "after", False),
    ],
)
def test_claims_crash_at_every_step_loses_nothing(inbox, tmp_path, step, moment, present):
    """Killed there, the table in the module's docstring tells what is found; file and marker are then one pair."""
    drop_in(inbox, "sub/a.jpg")
    drop_in(inbox, "sub/a.jpg.done", b"")
    record = record_of(inbox, "sub/a.jpg")
    inbox.close()
    command = [sys.executable, "-c", CRASH, str(inbox.root), step, moment, json.dumps(record.to_dict())]
    assert subprocess.run(command, check=False).returncode == -9
    with open_inbox(tmp_path / "in", create=False) as again:
        claims = Claims(again, markers=True)
        orphans = claims.orphans()
        assert claims.recovered == ()
        if present is None:
            assert orphans == []
        else:
            (orphan,) = orphans
            assert orphan.record == record
            assert orphan.source_present is present
            if present:
                assert private(again) == ["job1.done", "job1.json", "job1.src"]
                claims.release(record)
            else:
                claims.drop(record)
        assert visible(again) == ["sub/a.jpg", "sub/a.jpg.done"]
        assert private(again) == []
        assert (again.root / "sub/a.jpg").read_bytes() == b"picture"
