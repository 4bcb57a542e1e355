from __future__ import annotations

import errno
import grp
import os
import stat
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from delivery_places import mount, tmpfs

from srwatchd.delivery import Destination, Staged, deliver, leftovers, staging, steps
from srwatchd.errors import HostError
from srwatchd.job import Placement

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def done(tmp_path: Path) -> Destination:
    (tmp_path / "done").mkdir()
    return Destination(tmp_path / "done")


def sealed(done: Destination, folder: str = "", *, job: str = "j1", content: bytes = b"result") -> Staged:
    staged = done.stage(folder, job)
    try:
        os.write(staged.fd, content)
        staged.seal()
    except BaseException:
        staged.discard()
        raise
    return staged


def put(done: Destination, name: str, *, content: bytes = b"result", numbering: bool = True) -> str:
    with sealed(done, name.rpartition("/")[0], content=content) as staged:
        return deliver(staged, name, record=lambda _: None, numbering=numbering).name


def tree(done: Destination) -> list[str]:
    return sorted(str(path.relative_to(done.root)) for path in done.root.rglob("*"))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_modes_are_exact(tmp_path: Path) -> None:
    """Files and new sub folders get the configured modes whatever the umask; before, nobody else can read."""
    (tmp_path / "done").mkdir(mode=0o700)
    done = Destination(tmp_path / "done", file_mode=0o640, dir_mode=0o2771)
    before = os.umask(0o077)
    try:
        staged = done.stage("a/b", "j1")
        assert stat.S_IMODE(os.fstat(staged.fd).st_mode) & 0o077 == 0
        staged.seal()
        done.place(staged, "a/b/x.png")
    finally:
        os.umask(before)
    found = [mode(done.root / name) for name in ("", "a", "a/b", "a/b/x.png")]
    assert found == [0o700, 0o2771, 0o2771, 0o640]


def test_group_by_number_and_of_the_folder(tmp_path: Path) -> None:
    """A group asked for is given by number; without one files and folders take the group of the folder they are in."""
    if os.geteuid() != 0:
        pytest.skip("changing groups needs root")
    (tmp_path / "done").mkdir()
    os.chown(tmp_path / "done", -1, 4321)
    put(Destination(tmp_path / "done"), "a/x.png")
    put(Destination(tmp_path / "done", group="4322"), "b/x.png")
    put(Destination(tmp_path / "done", group=grp.getgrgid(0).gr_name), "c/x.png")
    found = [(tmp_path / "done" / name).stat().st_gid for name in ("a", "a/x.png", "b", "b/x.png", "c", "c/x.png")]
    assert found == [4321, 4321, 4322, 4322, 0, 0]
    assert mode(tmp_path / "done/b") == 0o2775


def refuse_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise PermissionError(errno.EPERM, "no")

    monkeypatch.setattr(os, "fchown", refuse)


def test_group_that_is_refused(done: Destination, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused group holds the folder when it was asked for, with the remedy, and leaves nothing behind."""
    refuse_groups(monkeypatch)
    with pytest.raises(HostError, match="4322") as caught:
        put(replace(done, group="4322"), "x.png")
    assert caught.value.code == "not_writable"
    with pytest.raises(HostError, match="no group"):
        put(replace(done, group="no-such-group-here"), "sub/x.png")
    assert tree(done) == []


def test_default_group_that_is_refused(done: Destination, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder's own group is only a wish."""
    if os.geteuid() == 0:
        os.chown(done.root, -1, 4321)
    refuse_groups(monkeypatch)
    assert put(done, "x.png") == "x.png"


def test_delivery_is_found_again(done: Destination) -> None:
    """A recorded result is recognised where it was placed, whatever the device number, and nowhere else."""
    with sealed(done, "sub") as staged:
        placement = staged.placement("sub/x.png")
        assert not done.find(placement)
        done.place(staged, "sub/x.png")
    assert done.find(placement)
    assert done.find(replace(placement, device=placement.device + 1)), "device numbers change at a reboot"
    for wrong in (
        replace(placement, inode=placement.inode + 1),
        replace(placement, size=placement.size + 1),
        replace(placement, sha256="0" * 64),
        replace(placement, name="sub/y.png"),
        replace(placement, name="elsewhere/x.png"),
    ):
        assert not done.find(wrong)


@pytest.mark.parametrize("impostor", ["equal", "link", "folder"])
def test_others_are_not_taken_for_ours(impostor: str, done: Destination) -> None:
    """Another file with the same bytes, a link or a folder at the recorded name is not our result."""
    with sealed(done) as staged:
        placement = staged.placement("x.png")
        path = done.root / "x.png"
        if impostor == "equal":
            path.write_bytes(b"result")
        elif impostor == "link":
            path.symlink_to(staged.name)
        else:
            path.mkdir()
        assert not done.find(placement)


def test_reopen_takes_up_the_staged_file(done: Destination) -> None:
    """After a crash before the rename the whole staged file is placed, not made again."""
    staged = sealed(done, "sub")
    placement = staged.placement("sub/x.png")
    staged.keep()
    staged.keep()
    assert done.reopen(replace(placement, sha256="0" * 64), "j1") is None
    assert done.reopen(placement, "j2") is None
    assert done.reopen(replace(placement, name="none/x.png"), "j1") is None
    again = done.reopen(placement, "j1")
    assert again is not None
    done.place(again, "sub/x.png")
    assert done.find(placement)
    assert tree(done) == ["sub", "sub/x.png"]


def test_reopen_that_cannot_seal_keeps_the_file(done: Destination, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host error while taking it up leaves the staged file for the next time."""
    staged = sealed(done)
    placement = staged.placement("x.png")
    staged.keep()

    def refuse(_: int) -> None:
        raise OSError(errno.EIO, "x")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", refuse)
        with pytest.raises(HostError):
            done.reopen(placement, "j1")
    again = done.reopen(placement, "j1")
    assert again is not None
    again.discard()
    assert tree(done) == []


def test_order_is_enforced(done: Destination) -> None:
    """Nothing is placed unsealed, nor in another folder than the one where it was staged."""
    with done.stage("", "j1") as staged:
        with pytest.raises(ValueError, match="sealed"):
            done.place(staged, "x.png")
        staged.seal()
        with pytest.raises(ValueError, match="does not lie"):
            done.place(staged, "sub/x.png")
    assert tree(done) == []


def test_a_taken_name_leaves_the_staged_file(done: Destination) -> None:
    """After FileExistsError the same staged file takes another name."""
    (done.root / "x.png").write_bytes(b"theirs")
    with sealed(done) as staged:
        with pytest.raises(FileExistsError):
            done.place(staged, "x.png")
        done.place(staged, "y.png")
    assert (done.root / "x.png").read_bytes() == b"theirs"
    assert (done.root / "y.png").read_bytes() == b"result"


@pytest.mark.parametrize("replaced", [False, True])
def test_a_stolen_staged_file_is_noticed(replaced: bool, done: Destination) -> None:
    """What somebody puts under our hidden name is neither delivered nor removed."""
    with sealed(done) as staged:
        (done.root / staged.name).unlink()
        if replaced:
            (done.root / staged.name).write_bytes(b"theirs")
        with pytest.raises(HostError, match="removed or replaced"):
            done.place(staged, "x.png")
    assert tree(done) == ([staged.name] if replaced else [])


@pytest.mark.parametrize("job", ["", "a/b", "..", "a.b", "j" * 65, "jä"])
def test_job_ids_cannot_lead_elsewhere(job: str, done: Destination) -> None:
    """A job id that could be a path or break the hidden name is refused."""
    with pytest.raises(ValueError, match="staged file"):
        done.stage("", job)
    with pytest.raises(ValueError, match="staged file"):
        leftovers.staged_name("j1", "other")


def test_missing_root_is_never_made(tmp_path: Path) -> None:
    """A root that is not there is folder_missing for every method, and stays not there."""
    done = Destination(tmp_path / "done")
    placement = Placement("sub/x.png", "0", 1, 2, 3)
    for call in (
        lambda: done.stage("sub", "j1"),
        lambda: done.find(placement),
        lambda: done.reopen(placement, "j1"),
        lambda: done.sweep(()),
        done.name_limit,
    ):
        with pytest.raises(HostError) as caught:
            call()
        assert caught.value.code == "folder_missing"
    assert not done.root.exists()


@pytest.mark.parametrize("obstacle", ["file", "link"])
def test_something_in_the_way_of_a_sub_folder(obstacle: str, done: Destination) -> None:
    """A file or link where a sub folder belongs is named, and not followed or removed."""
    path = done.root / "sub"
    if obstacle == "file":
        path.touch()
    else:
        path.symlink_to(done.root.parent)
    with pytest.raises(HostError, match="in the way") as caught:
        done.stage("sub", "j1")
    assert (caught.value.code, caught.value.path) == ("folder_missing", str(path))


def fill(staged: Staged) -> None:
    with staged:
        for _ in range(3):
            os.write(staged.fd, b"x" * 65536)


def test_full_disk(tmp_path: Path) -> None:
    """A full file system is disk_full, and what was staged is gone."""
    with tmpfs(tmp_path / "small", "size=64k,nr_inodes=4") as root:
        done = Destination(root)
        with pytest.raises(OSError, match="space"):
            fill(done.stage("", "j1"))
        assert tree(done) == []
        for number in range(3):
            (root / str(number)).touch()
        with pytest.raises(HostError) as caught:
            done.stage("", "j1")
        assert caught.value.code == "disk_full"
        with pytest.raises(HostError, match="sub"):
            done.stage("sub", "j1")


def test_read_only(tmp_path: Path) -> None:
    """A read-only file system is read_only."""
    with mount(tmp_path / "ro", "-t", "tmpfs", "-o", "ro", "tmpfs") as root, pytest.raises(HostError) as caught:
        Destination(root).stage("", "j1")
    assert caught.value.code == "read_only"


def test_not_writable(done: Destination, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused rename is not_writable and names the place; the staged file is discarded."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(staging, "rename_exclusive", refuse)
    with pytest.raises(HostError, match=r"x\.png") as caught:
        put(done, "x.png")
    assert caught.value.code == "not_writable"
    assert tree(done) == []


def test_stage_replaces_its_own_leftover(done: Destination) -> None:
    """What an earlier try left does not get into the new one."""
    staged = done.stage("", "j1")
    os.write(staged.fd, b"old and long")
    staged.keep()
    assert put(done, "x.png") == "x.png"
    assert (done.root / "x.png").read_bytes() == b"result"


def test_sweep(done: Destination) -> None:
    """Only staged files of dead jobs that nobody has open are removed; nothing else is touched, no link followed."""
    for folder, job in (("", "dead"), ("a/b", "dead"), ("", "live")):
        done.stage(folder, job).keep()
    inbox = done.root / ".srwatchd"
    inbox.mkdir()
    others = [inbox / ".srwatchd-dead.result", done.root / ".srwatchd-dead.tmp", done.root / "a/.srwatchd-.result"]
    others += [done.root / "x.result"]
    for path in others:
        path.touch()
    (done.root / ".srwatchd-gone.result").mkdir()
    (done.root / ".srwatchd-link.result").symlink_to("x.result")
    outside = done.root.parent / "outside"
    outside.mkdir()
    (outside / ".srwatchd-dead.result").touch()
    (done.root / "way-out").symlink_to(outside)
    with done.stage("", "open") as staged:
        removed = done.sweep({"live"})
        assert (done.root / staged.name).exists()
    assert sorted(removed) == [".srwatchd-dead.result", "a/b/.srwatchd-dead.result"]
    assert (done.root / ".srwatchd-live.result").exists()
    assert (done.root / ".srwatchd-link.result").is_symlink()
    assert (outside / ".srwatchd-dead.result").exists()
    assert all(path.exists() for path in others)


def test_sweep_without_locks(done: Destination, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system without locks staging works and the caller's word decides the sweep."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(leftovers.fcntl, "flock", refuse)
    staged = done.stage("", "j1")
    assert done.sweep({"j1"}) == []
    assert done.sweep(()) == [staged.name]
    staged.discard()


def test_names_are_numbered(done: Destination) -> None:
    """Equal names get numbers; a name that differs only by case or Unicode form counts as taken."""
    assert [put(done, "a_x2.png") for _ in range(3)] == ["a_x2.png", "a_x2 (1).png", "a_x2 (2).png"]
    assert put(done, "A_X2.PNG") == "A_X2 (3).PNG"
    assert put(done, "\u00e9.png") == "\u00e9.png"
    assert put(done, "e\u0301.png") == "e\u0301 (1).png"
    assert put(done, "sub/a_x2.png") == "sub/a_x2.png"
    assert put(done, "b\udcff.png") == "b\udcff.png"


def test_large_folders_cost_no_more(done: Destination, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the listed entries common spellings are still seen, and the listing stops."""
    monkeypatch.setattr(steps, "LISTED", 2)
    for number in range(5):
        (done.root / f"z{number}").touch()
    (done.root / "a.PNG").touch()
    (done.root / "e\u0301.png").touch()
    assert put(done, "a.png") == "a (1).png"
    assert put(done, "\u00e9.png") == "\u00e9 (1).png"
    assert put(done, "b.png") == "b.png"


def test_conflict_is_an_error_when_asked(done: Destination) -> None:
    """Without numbering a taken name raises before anything is recorded, also when it is lost at the last moment."""
    assert put(done, "a.png", numbering=False) == "a.png"
    records: list[Placement] = []
    with sealed(done) as staged, pytest.raises(FileExistsError):
        deliver(staged, "a.png", record=records.append, numbering=False)
    assert records == []

    def quicker(placement: Placement) -> None:
        (done.root / placement.name).write_bytes(b"theirs")

    with sealed(done) as staged, pytest.raises(FileExistsError):
        deliver(staged, "b.png", record=quicker, numbering=False)
    assert (done.root / "b.png").read_bytes() == b"theirs"


def test_somebody_quicker_wins(done: Destination) -> None:
    """A name lost between the look and the rename is left to the winner; the next one is recorded and taken."""
    records: list[str] = []

    def record(placement: Placement) -> None:
        records.append(placement.name)
        if len(records) < 3:
            (done.root / placement.name).write_bytes(b"theirs")

    with sealed(done) as staged:
        placed = deliver(staged, "a.png", record=record)
    assert records == ["a.png", "a (1).png", "a (2).png"]
    assert placed.name == "a (2).png"
    assert (done.root / "a.png").read_bytes() == b"theirs"
