from __future__ import annotations

import errno
import os
import signal
import socket

import pytest
from delivery_places import bind
from intake_bench import Folder, another_user, leases, open_inbox

from srwatchd.errors import HostError
from srwatchd.intake import look as module
from srwatchd.intake import scan as scanning
from srwatchd.intake.look import Lease, NotAPlainFileError, look, open_source
from srwatchd.intake.owners import owner_name
from srwatchd.intake.scan import scan

NAMES = [
    b"plain.jpg",
    b"\xff\xfe.jpg",
    b"a\nb\x1b[31m.jpg",
    b"gpj.\xe2\x80\xaetxt.png",
    b"x" * 251 + b".tif",
    "é".encode() * 125 + b".jpg",
    b" .jpg",
    b"-rf.jpg",
    b"a\\b.jpg",
]


@pytest.fixture
def inbox(tmp_path):
    with leases(), open_inbox(tmp_path / "in") as opened:
        yield opened


def names(inbox, folder=None, **where):
    return {snapshot.name for snapshot in scan(inbox, folder or Folder(), **where)}


@pytest.mark.parametrize("raw", NAMES, ids=repr)
def test_look_any_name_is_found_and_looked_at(inbox, raw):
    """Bytes that are no text, control characters and 255 bytes of length are names like any other."""
    path = os.path.join(os.fsencode(inbox.root), raw)
    with open(path, "wb") as file:
        file.write(b"data")
    (snapshot,) = scan(inbox, Folder())
    assert os.fsencode(snapshot.name) == raw
    seen = look(inbox, snapshot.name, lease=True)
    assert seen.snapshot == snapshot
    assert (seen.lease, seen.hole_at_end, seen.readable, seen.marker) == (Lease.FREE, False, True, False)
    descriptor = open_source(inbox, snapshot.name)
    assert os.read(descriptor, 9) == b"data"
    os.close(descriptor)


def test_look_nothing_but_regular_files_is_ever_opened(inbox):
    """Links, FIFOs, sockets, devices and folders are neither scanned nor opened, and nothing blocks."""
    root = inbox.root
    (root / "real.jpg").write_bytes(b"x")
    (root / "link.jpg").symlink_to("real.jpg")
    (root / "dangling.jpg").symlink_to("nowhere")
    os.mkfifo(root / "fifo.jpg")
    (root / "folder.jpg").mkdir()
    (root / "linked").symlink_to(root / "folder.jpg")
    odd = ["link.jpg", "dangling.jpg", "fifo.jpg", "folder.jpg"]
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(root)
        server.bind("socket.jpg")
        os.chdir(here)
        odd.append("socket.jpg")
        if os.geteuid() == 0:
            os.mknod(root / "device.jpg", 0o600 | 0o020000, os.makedev(1, 3))
            odd.append("device.jpg")
        assert names(inbox) == {"real.jpg"}
        for name in odd:
            with pytest.raises(NotAPlainFileError):
                look(inbox, name, lease=True)
            with pytest.raises(NotAPlainFileError):
                open_source(inbox, name)


@pytest.mark.parametrize("kind", ["fifo", "link"])
def test_look_name_swapped_between_examination_and_opening(inbox, monkeypatch, kind):
    """Even then nothing blocks and no link is followed."""
    real = inbox.root / "a.jpg"
    real.write_bytes(b"x")
    before = os.stat(real)
    real.unlink()
    os.mkfifo(real) if kind == "fifo" else real.symlink_to("/etc/passwd")
    monkeypatch.setattr(module, "_stat", lambda *_: before)
    with pytest.raises(NotAPlainFileError):
        look(inbox, "a.jpg", lease=True)


def test_look_no_link_is_followed_above_a_file(inbox, tmp_path):
    """A folder swapped for a link does not lead out of the inbox."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/a.jpg").write_bytes(b"x")
    (inbox.root / "sub").symlink_to(tmp_path / "outside")
    for name in ("sub/a.jpg", "none/a.jpg", "gone.jpg", "a/" * 3 + "b", "y" * 300):
        with pytest.raises(FileNotFoundError):
            look(inbox, name, lease=False)
        with pytest.raises(FileNotFoundError):
            open_source(inbox, name)
    with pytest.raises(HostError):
        look(inbox, "../outside/a.jpg", lease=False)


def test_look_open_writer_makes_it_busy(inbox):
    """While anybody has it open for writing, also through another hard link; readers do not matter."""
    path = inbox.root / "a.jpg"
    with path.open("wb") as file:
        file.write(b"x")
        file.flush()
        os.link(path, inbox.root / "b.jpg")
        assert look(inbox, "a.jpg", lease=True).lease is Lease.BUSY
        assert look(inbox, "b.jpg", lease=True).lease is Lease.BUSY
        assert look(inbox, "a.jpg", lease=False).lease is Lease.UNKNOWN
    with path.open("rb"):
        assert look(inbox, "a.jpg", lease=True).lease is Lease.FREE


def test_look_lease_is_given_back_at_once(inbox):
    """A writer that comes after the look is neither held up nor refused."""
    (inbox.root / "a.jpg").write_bytes(b"x")
    look(inbox, "a.jpg", lease=True)
    os.close(os.open(inbox.root / "a.jpg", os.O_WRONLY | os.O_NONBLOCK))


def test_look_asks_for_no_lease_where_sigio_would_kill(inbox):
    """Without prepare_leases the answer is that nobody knows."""
    (inbox.root / "a.jpg").write_bytes(b"x")
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    assert look(inbox, "a.jpg", lease=True).lease is Lease.UNKNOWN


def test_look_foreign_owner_makes_the_lease_unknown(inbox):
    """The kernel grants leases to owners only; a refusal is no sign of a writer."""
    if os.geteuid() != 0:
        pytest.skip("needs a second user")
    (inbox.root / "a.jpg").write_bytes(b"x")
    (inbox.root / "a.jpg").chmod(0o644)
    with another_user(inbox.root):
        assert look(inbox, "a.jpg", lease=True).lease is Lease.UNKNOWN


def test_look_file_of_another_program_that_holds_a_lease_is_busy(inbox, monkeypatch):
    """A non-blocking open that would have to wait for another lease means: in use."""
    (inbox.root / "a.jpg").write_bytes(b"x")

    def refuse(*args, **kwargs):
        raise BlockingIOError(11, "lease")

    monkeypatch.setattr(module, "open_plain", refuse)
    assert look(inbox, "a.jpg", lease=True).lease is Lease.BUSY


def test_look_hole_at_the_end(inbox):
    """Only an end that was never written counts; a hole before it may be a run of zeros."""
    path = inbox.root / "a.bmp"
    path.write_bytes(b"x" * 5000)
    assert not look(inbox, "a.bmp", lease=True).hole_at_end
    os.truncate(path, 1 << 20)
    assert look(inbox, "a.bmp", lease=True).hole_at_end
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"x")
    assert not look(inbox, "a.bmp", lease=True).hole_at_end
    with (inbox.root / "b.bmp").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 1 << 20)
        os.fsync(file.fileno())
    assert look(inbox, "b.bmp", lease=True).hole_at_end
    (inbox.root / "c.bmp").write_bytes(b"")
    assert not look(inbox, "c.bmp", lease=True).hole_at_end


def test_look_unreadable_file_names_owner_and_remedy(inbox):
    """It is no error: the look says who must do what; opening it is a hold."""
    path = inbox.root / "a.jpg"
    path.write_bytes(b"x")
    path.chmod(0)
    with another_user(inbox.root):
        seen = look(inbox, "a.jpg", lease=True)
        assert not seen.readable
        assert seen.lease is Lease.UNKNOWN
        for word in ("a.jpg", f"uid {path.stat().st_uid}", "read permission"):
            assert word in seen.problem
        with pytest.raises(HostError) as caught:
            open_source(inbox, "a.jpg")
        assert caught.value.code == "source_unreadable"
        assert caught.value.path == str(path)


def test_look_folder_that_cannot_be_entered(inbox):
    """A file in it is a hold when looked at, and the scan goes on with the rest."""
    (inbox.root / "shut").mkdir()
    (inbox.root / "shut/a.jpg").write_bytes(b"x")
    (inbox.root / "open.jpg").write_bytes(b"x")
    (inbox.root / "shut").chmod(0)
    with another_user(inbox.root):
        pass_over = scan(inbox, Folder())
        assert {snapshot.name for snapshot in pass_over} == {"open.jpg"}
        assert [problem.code for problem in pass_over.problems] == ["source_unreadable"]
        with pytest.raises(HostError) as caught:
            look(inbox, "shut/a.jpg", lease=False)
        assert caught.value.code == "source_unreadable"


def test_look_marker_beside_a_file(inbox):
    """A regular file of that name counts, a folder does not."""
    for name in ("a.jpg", "a.jpg.done", "b.jpg"):
        (inbox.root / name).write_bytes(b"x")
    (inbox.root / "b.jpg.done").mkdir()
    assert look(inbox, "a.jpg", lease=True).marker
    assert not look(inbox, "b.jpg", lease=True).marker


def test_scan_finds_all_that_is_wanted_and_nothing_else(inbox):
    """Sub folders to any depth, empty files too; no junk, no private folder, no sub folder of a flat one."""
    for name in ("a.jpg", "s/b.jpg", "s/d/e/e/p/c.jpg", ".x.jpg", "s/.git/d.jpg", "@eaDir/e.jpg", "f.part", "zero.png"):
        (inbox.root / name).parent.mkdir(parents=True, exist_ok=True)
        (inbox.root / name).write_bytes(b"" if name == "zero.png" else b"x")
    (inbox.root / ".srwatchd/j.src").write_bytes(b"x")
    assert names(inbox) == {"a.jpg", "s/b.jpg", "s/d/e/e/p/c.jpg", "zero.png"}
    assert names(inbox, Folder(recursive=False)) == {"a.jpg", "zero.png"}
    assert names(inbox, below="s/d") == {"s/d/e/e/p/c.jpg"}
    assert names(inbox, below="gone") == names(inbox, below=".srwatchd") == names(inbox, below="s/.git") == set()
    assert names(inbox, Folder(recursive=False), below="s") == set()
    assert names(inbox, Folder(include=("*.png",))) == {"zero.png"}


@pytest.mark.parametrize("place", ["", "sub"])
def test_scan_of_a_sick_disk(inbox, monkeypatch, place):
    """When the inbox cannot be listed nothing is known, which is a hold; for a sub folder it is a problem noted."""
    (inbox.root / "sub").mkdir()
    (inbox.root / "a.jpg").write_bytes(b"x")
    real = scanning.open_beneath

    def sick(root_fd, relative):
        if relative == place:
            raise OSError(errno.EIO, "sick")
        return real(root_fd, relative)

    monkeypatch.setattr(scanning, "open_beneath", sick)
    if place:
        passing = scan(inbox, Folder())
        assert [snapshot.name for snapshot in passing] == ["a.jpg"]
        assert [problem.code for problem in passing.problems] == ["io_error"]
    else:
        with pytest.raises(HostError) as caught:
            list(scan(inbox, Folder()))
        assert caught.value.code == "io_error"


def test_scan_and_files_that_go_meanwhile(inbox, monkeypatch):
    """A name or a folder that is gone by the time it is examined is no problem."""
    (inbox.root / "sub").mkdir()
    (inbox.root / "sub/a.jpg").write_bytes(b"x")
    (inbox.root / "b.jpg").write_bytes(b"x")
    passing = scan(inbox, Folder())
    found = iter(passing)
    assert next(found).name == "b.jpg"
    (inbox.root / "sub/a.jpg").unlink()
    (inbox.root / "sub").rmdir()
    assert list(found) == []
    assert passing.problems == []


def test_look_owner_without_a_name_is_a_number():
    """A user that only the client's machine knows is named by number."""
    assert owner_name(4_000_000_001) == "uid 4000000001"


@pytest.mark.parametrize("whose", ["nobody's", "the file's", "the folder's"])
def test_look_a_sticky_folder_keeps_the_files_of_others(inbox, whose):
    """What somebody else has put into a folder like /tmp is refused before it is read; what is ours is not."""
    if os.geteuid() != 0:
        pytest.skip("only root can make files of another user")
    path = inbox.root / "sub" / "a.jpg"
    path.parent.mkdir()
    path.write_bytes(b"picture")
    path.parent.chmod(0o1777)
    mine = {"the file's": [path], "the folder's": [path.parent]}.get(whose, [])
    with another_user(inbox.root, *mine):
        if mine:
            os.close(open_source(inbox, "sub/a.jpg"))
            return
        with pytest.raises(HostError, match="no sticky bit") as caught:
            open_source(inbox, "sub/a.jpg")
    assert (caught.value.code, caught.value.path) == ("source_unmovable", str(path))


def test_look_root_minds_no_sticky_bit(inbox):
    """Whoever may ignore owners can move everything."""
    if os.geteuid() != 0:
        pytest.skip("only root can make files of another user")
    path = inbox.root / "sub" / "a.jpg"
    path.parent.mkdir()
    path.write_bytes(b"picture")
    os.chown(path, 65534, 65534)
    os.chown(path.parent, 65534, 65534)
    path.parent.chmod(0o1777)
    os.close(open_source(inbox, "sub/a.jpg"))


def test_look_another_mount_of_the_same_disk_is_refused_before_it_is_read(inbox, tmp_path):
    """The device number is the same, and yet nothing can be renamed out of it."""
    with bind(inbox.root / "sub", tmp_path / "behind"):
        (inbox.root / "sub" / "a.jpg").write_bytes(b"picture")
        assert os.stat(inbox.root / "sub").st_dev == os.stat(inbox.root).st_dev
        with pytest.raises(HostError, match="another mount") as caught:
            open_source(inbox, "sub/a.jpg")
    assert caught.value.code == "source_unmovable"
