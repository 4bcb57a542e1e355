"""Who dropped a file: Samba's log followed on a real disk, files left in ``state_dir/origins/``, and the owner."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1]))
sys.path.append(str(Path(__file__).parents[1] / "unit"))
from custody_bench import Bench
from folder_bench import Served
from test_intake_samba import ANNA, BERT, NOON, after, done, entry, header, opened, trails

from srwatchd.daemon.folderreport import folder_report
from srwatchd.intake.attribution import Attribution
from srwatchd.intake.auditlog import AuditLog
from srwatchd.intake.origins import Origins
from srwatchd.intake.samba import Trails

ROOT = "/srv/scans/in"


def follow(pattern):
    found = Trails([ROOT])
    return AuditLog(Path(pattern), found), found


def append(path, *data):
    with open(path, "ab") as file:
        file.write(b"".join(data))


# -- Samba's log ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["old", "1", "copytruncate"])
def test_a_log_is_followed_across_rotation(tmp_path, how):
    """What was written before the rotation and not read yet is read in the old file; then the new one."""
    path = tmp_path / "log.smbd"
    log, found = follow(path)
    append(path, opened("a"))
    log.refresh()
    append(path, opened("b"))
    if how == "copytruncate":
        log.refresh()
        path.write_bytes(b"")
    else:
        path.rename(f"{path}.{how}")
    append(path, opened("c"))
    log.refresh()
    assert [found.who(name, after(0)) for name in "abc"] == [ANNA] * 3
    assert log.problem == ""


def test_the_logs_of_several_clients_tell_one_story(tmp_path):
    """By time, whichever file is read first: Bert removes Anna's file, then she writes another one."""
    log, found = follow(tmp_path / "log.*")
    append(tmp_path / "log.10.0.0.1", opened("a"), opened("a", at=NOON + 2.0))
    append(tmp_path / "log.10.0.0.2", done("unlinkat", "a", who=BERT, at=NOON + 1.0), opened("b", who=BERT))
    append(tmp_path / "log.10.0.0.3.gz", opened("c"))
    os.utime(tmp_path / "log.10.0.0.1", (1, 1))
    log.refresh()
    assert [found.who(name, after(0)) for name in "bc"] == [BERT, None]
    assert found.who("a", after(2)) == ANNA


def test_a_huge_log_costs_a_bounded_piece(tmp_path):
    """What has grown for weeks is not read from its beginning, and not all at once; the latest is known."""
    path = tmp_path / "log.smbd"
    noise = header() + b"  srw|anna|anna|10.0.0.1|pc|scans|connect|ok|" + b"x" * 500 + b"\n"
    append(path, opened("early"), noise * 10_000, opened("late"))
    log, found = follow(path)
    assert log.refresh() in (True, False)
    log.catch_up()
    assert [found.who(name, after(0)) for name in ("early", "late")] == [None, ANNA]


def test_a_name_cut_by_the_beginning_forges_nothing(tmp_path):
    """A file name that looks like an entry from its middle on, repeated so often that any cut falls into one."""
    path = tmp_path / "log.smbd"
    forged = header()[:-1] + b"\nsrw|boss|boss|10.9.9.9|pc|scans|close|ok|/srv/scans/in/a"
    written = opened(b"/srv/scans/in/" + forged).replace(b"\nsrw", b"\n  srw")
    append(path, written * (6 * (1 << 20) // len(written)))
    log, found = follow(path)
    log.catch_up()
    assert len(found) == 0


@pytest.mark.parametrize("wrong", ["missing folder", "nothing there", "a folder", "not ours"])
def test_what_cannot_be_read_is_said_and_heals(tmp_path, wrong, monkeypatch):
    """Nothing is raised; the problem names the log and goes by itself."""
    path = tmp_path / "audit" / "log.smbd"
    log, found = follow(path)
    if wrong != "missing folder":
        path.parent.mkdir()
    if wrong == "a folder":
        path.mkdir()
    if wrong == "not ours":
        append(path, opened("a"))
        original = os.open

        def refused(name, *words, **options):
            if str(name) == str(path):
                raise PermissionError(13, "Permission denied", name)
            return original(name, *words, **options)

        monkeypatch.setattr(os, "open", refused)
    log.refresh()
    assert str(path if wrong != "missing folder" else path.parent) in log.problem
    monkeypatch.undo()
    if wrong == "a folder":
        path.rmdir()
    path.parent.mkdir(exist_ok=True)
    append(path, opened("b"))
    log.refresh()
    assert (log.problem, found.who("b", after(0))) == ("", ANNA)


# -- left by a console ---------------------------------------------------------------------------------------------


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    yield made
    made.close()


def leave(bench, snapshot, name="upload.json", **changes):
    told = {"device": snapshot.device, "inode": snapshot.inode, "address": "192.0.2.7", "user": "carla", **changes}
    folder = bench.root / "origins"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(told))
    return folder / name


def claimed(bench):
    return next(line for line in bench.lines() if line["event.action"] == "job.claimed")


def test_an_origin_is_taken_up_at_the_claim_and_removed(bench):
    """Address and user are in the intake entry and in every later line of the job; the file has served."""
    snapshot = bench.drop("a.png", b"picture")
    left, other = leave(bench, snapshot), leave(bench, snapshot, "other.json", inode=1)
    bench.finish(bench.custody.claim(snapshot))
    assert {line["user.name"] for line in bench.lines() if line.get("trace.id")} == {"carla"}
    line = claimed(bench)
    assert (line["source.ip"], line["srwatchd.origin"]) == ("192.0.2.7", "console")
    assert "user.id" not in line
    assert (left.exists(), other.exists()) == (False, True)


def test_a_file_that_was_changed_since_is_somebody_elses(bench, monkeypatch):
    """An inode that was freed and given to another file has a later ctime than what was left about the first."""
    snapshot = bench.drop("a.png", b"picture")
    os.utime(leave(bench, snapshot), (1, snapshot.ctime_ns / 1e9 - 60))
    bench.custody.claim(snapshot)
    assert claimed(bench)["srwatchd.origin"] == "owner"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b'{"device": "x", "inode": 1}', b"[" * 4000, b"\xff\xfe", b'{"user": 1}']
)
def test_what_says_nothing_is_passed_over(bench, content):
    """Half-written, of another form, hostile: the owner is named, and nothing fails."""
    snapshot = bench.drop("a.png", b"picture")
    leave(bench, snapshot).write_bytes(content)
    bench.custody.claim(snapshot)
    assert claimed(bench)["srwatchd.origin"] == "owner"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_foreign_origin_is_not_believed(bench):
    """Only the daemon's own user, or root, says who dropped a file."""
    snapshot = bench.drop("a.png", b"picture")
    os.chown(leave(bench, snapshot), 12345, 12345)
    bench.custody.claim(snapshot)
    assert claimed(bench)["srwatchd.origin"] == "owner"


def test_stale_origins_are_removed(bench):
    """After a day without a claim, by the monotonic clock; a surplus at once; folders stay and do no harm."""
    hours = [0.0]
    origins = Origins(bench.root / "origins", monotonic=lambda: hours[0] * 3600)
    snapshot = bench.drop("a.png", b"picture")
    left = leave(bench, snapshot, inode=1)
    os.utime(left, (1, 1))
    (bench.root / "origins" / "folder").mkdir()
    for hour, there in ((0.0, True), (23.0, True), (25.0, False)):
        hours[0] = hour
        assert origins.find(snapshot) is None
        assert left.exists() is there


def test_what_is_given_back_is_remembered(bench):
    """A stop releases the source; the next claim, of another daemon even, knows the same."""
    snapshot = bench.drop("a.png", b"picture")
    leave(bench, snapshot)
    bench.custody.release(bench.custody.claim(snapshot), "stopped")
    bench.close()
    bench.open()
    record = bench.custody.claim(bench.seen("a.png"))
    assert (record.user, record.address, record.origin) == ("carla", "192.0.2.7", "console")
    assert not list((bench.root / "origins").iterdir())


def test_a_console_leaves_what_the_daemon_takes_up(bench):
    """The writing half that a console uses; a state folder that is not there is an error of its own."""
    snapshot = bench.drop("a.png", b"picture")
    Origins(bench.root / "origins").leave(snapshot.device, snapshot.inode, user="carla", address="2001:db8::1")
    record = bench.custody.claim(bench.seen("a.png"))
    assert (record.user, record.address, record.origin) == ("carla", "2001:db8::1", "console")
    with pytest.raises(FileNotFoundError):
        Origins(bench.root / "nowhere" / "origins").leave(1, 2, user="", address="")


# -- the owner, and all together -----------------------------------------------------------------------------------


def test_without_either_the_owner_is_named(bench):
    """Number and name of the file's owner, and that it is no more than that."""
    bench.custody.claim(bench.drop("a.png", b"picture"))
    line = claimed(bench)
    assert (line["user.id"], line["srwatchd.origin"]) == (str(os.geteuid()), "owner")
    assert line["user.name"] == pwd.getpwuid(os.geteuid()).pw_name
    assert "source.ip" not in line


def test_the_samba_log_names_user_and_address(bench):
    """A path in the log is one in the inbox; the claim uses it up, so a later file of that name is not hers."""
    bench.samba_log = bench.root / "log.smbd"
    bench.close()
    bench.open()
    snapshot = bench.drop("sub/a.png", b"picture")
    path = os.fsencode(bench.config.inbox / "sub/a.png")
    append(bench.samba_log, opened(path, at=snapshot.ctime_ns / 1e9))
    record = bench.custody.claim(snapshot)
    assert (record.user, record.address, record.origin) == ("anna", "10.0.0.1", "samba")
    again = bench.custody.claim(bench.drop("sub/a.png", b"another"))
    assert again.origin == "owner"


def test_a_linked_inbox_is_found_in_the_log(tmp_path):
    """Samba logs the real path, the configuration may have another one."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    append(tmp_path / "log", opened(os.fsencode(tmp_path / "real" / "a")))
    attribution = Attribution(tmp_path / "link", Origins(tmp_path / "origins"), log=tmp_path / "log")
    assert len(attribution._trails) == 1


def test_an_old_entry_of_another_user_is_not_taken():
    """Anna's file went by another way; what Bert puts under its name over SFTP is not attributed to her."""
    found = trails(opened("a"), done("close", "a", at=NOON + 1.0), entry("connect", "ok", "scans", at=NOON + 600.0))
    assert found.who("a", after(600)) is None


def test_a_log_that_cannot_be_read_holds_nothing_up(tmp_path):
    """It is said in the status and in the operators' log; pictures are delivered, their owners named."""

    async def scenario():
        missing = tmp_path / "nowhere" / "log"
        async with Served(tmp_path, source={"samba_audit_log": missing}) as served:
            served.drop("a.png")
            await served.until(lambda: served.delivered() and served.folder.premises is not None)
            report = folder_report(served.folder)
            assert (report["hold"], len(report["warnings"])) == (None, 1)
            assert str(missing.parent) in report["warnings"][0]
            missing.parent.mkdir()
            missing.write_bytes(b"")
            await served.until(lambda: not folder_report(served.folder)["warnings"])

    asyncio.run(scenario())
