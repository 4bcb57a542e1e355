from __future__ import annotations

import errno
import hashlib
import os
import stat
from typing import TYPE_CHECKING, Any

import pytest
from delivery_places import bind

from srwatchd import storage
from srwatchd.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def root_fd(tmp_path: Path) -> Iterator[int]:
    descriptor = storage.open_directory(tmp_path)
    yield descriptor
    os.close(descriptor)


@pytest.fixture(params=["renameat2", "link", "no C function"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every way of an exclusive rename: the system call, a file system without it, a C library without it."""

    def refuse(*_: object) -> int:
        storage.ctypes.set_errno(errno.EINVAL)
        return -1

    if request.param != "renameat2":
        monkeypatch.setattr(storage, "_renameat2", refuse if request.param == "link" else None)
    return str(request.param)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_rename_exclusive_moves(way: str, tmp_path: Path, root_fd: int) -> None:
    """A free name is taken, whichever way there is, and the old name is gone."""
    (tmp_path / "a").write_bytes(b"a")
    storage.rename_exclusive("a", "b", source_fd=root_fd, target_fd=root_fd)
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


@pytest.mark.parametrize("kind", ["file", "folder", "link", "dangling"])
def test_rename_exclusive_never_overwrites(way: str, kind: str, tmp_path: Path, root_fd: int) -> None:
    """Whatever has the name keeps it, and the source stays where it was."""
    (tmp_path / "a").write_bytes(b"a")
    target = tmp_path / "b"
    {
        "file": lambda: target.write_bytes(b"b"),
        "folder": target.mkdir,
        "link": lambda: target.symlink_to("a"),
        "dangling": lambda: target.symlink_to("nowhere"),
    }[kind]()
    with pytest.raises(FileExistsError):
        storage.rename_exclusive("a", "b", source_fd=root_fd, target_fd=root_fd)
    assert (tmp_path / "a").read_bytes() == b"a"
    assert target.is_symlink() == (kind in {"link", "dangling"})


def test_rename_exclusive_repeats_after_a_signal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, root_fd: int) -> None:
    """An interrupted system call is made again."""
    real, calls = storage._renameat2, []

    def interrupted(*arguments: Any) -> int:
        calls.append(arguments)
        if len(calls) == 1:
            storage.ctypes.set_errno(errno.EINTR)
            return -1
        return int(real(*arguments))

    monkeypatch.setattr(storage, "_renameat2", interrupted)
    (tmp_path / "a").touch()
    storage.rename_exclusive("a", "b", source_fd=root_fd, target_fd=root_fd)
    assert len(calls) == 2
    assert (tmp_path / "b").exists()


@pytest.mark.parametrize(("refusal", "seen"), [(errno.EPERM, errno.ENOTSUP), (errno.ENOSPC, errno.ENOSPC)])
def test_no_hard_links_either(
    refusal: int, seen: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, root_fd: int
) -> None:
    """Where neither way exists it says ENOTSUP; any other error of the link is passed on."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(refusal, os.strerror(refusal))

    monkeypatch.setattr(storage, "_renameat2", None)
    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "a").touch()
    with pytest.raises(OSError) as caught:  # noqa: PT011  (the number is compared)
        storage.rename_exclusive("a", "b", source_fd=root_fd, target_fd=root_fd)
    assert caught.value.errno == seen
    assert (tmp_path / "a").exists()


def test_rename_exclusive_across_mounts(way: str, tmp_path: Path, root_fd: int) -> None:
    """Two mounts of one file system are two places: EXDEV, and the source stays."""
    (tmp_path / "a").touch()
    with bind(tmp_path / "mounted", tmp_path / "behind") as mounted:
        mounted_fd = storage.open_directory(mounted)
        try:
            with pytest.raises(OSError) as caught:  # noqa: PT011  (the number is compared)
                storage.rename_exclusive("a", "b", source_fd=root_fd, target_fd=mounted_fd)
        finally:
            os.close(mounted_fd)
    assert caught.value.errno == errno.EXDEV
    assert (tmp_path / "a").exists()


def test_open_beneath_makes_folders_exactly(tmp_path: Path, root_fd: int) -> None:
    """New folders get the very mode, setgid included, whatever the umask; old ones keep theirs."""
    (tmp_path / "old").mkdir(mode=0o700)
    made: list[int] = []
    before = os.umask(0o077)
    try:
        with storage.open_beneath(root_fd, "old/./x/y", make_mode=0o2775, made=made.append) as descriptor:
            assert os.path.samestat(os.fstat(descriptor), (tmp_path / "old/x/y").stat())
    finally:
        os.umask(before)
    assert [mode(tmp_path / name) for name in ("old", "old/x", "old/x/y")] == [0o700, 0o2775, 0o2775]
    assert len(made) == 2


@pytest.mark.parametrize("relative", ["", ".", "./"])
def test_open_beneath_root_itself(relative: str, tmp_path: Path, root_fd: int) -> None:
    """The empty path and "." are the root."""
    with storage.open_beneath(root_fd, relative) as descriptor:
        assert os.path.samestat(os.fstat(descriptor), tmp_path.stat())


@pytest.mark.parametrize("relative", ["..", "a/..", "a/../..", "/etc", "a\0b"])
def test_open_beneath_refuses_to_leave(relative: str, root_fd: int) -> None:
    """No path leads out of the root, and nothing is made on the way to one."""
    with pytest.raises(OSError) as caught, storage.open_beneath(root_fd, relative, make_mode=0o755):  # noqa: PT011
        pass
    assert caught.value.errno == errno.EINVAL
    assert os.listdir(root_fd) == []


@pytest.mark.parametrize("make_mode", [None, 0o755])
def test_open_beneath_follows_no_links(make_mode: int | None, tmp_path: Path, root_fd: int) -> None:
    """A link on the way is refused even when it leads to a folder inside."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(OSError) as caught, storage.open_beneath(root_fd, "link/x", make_mode=make_mode):  # noqa: PT011
        pass
    assert caught.value.errno in (errno.ELOOP, errno.ENOTDIR)
    assert list((tmp_path / "real").iterdir()) == []


def test_open_beneath_undoes_an_unfinished_folder(tmp_path: Path, root_fd: int) -> None:
    """A folder that cannot be finished is not left behind half made."""

    def fail(_: int) -> None:
        raise HostError("not_writable", "no such group")

    with pytest.raises(HostError), storage.open_beneath(root_fd, "x", make_mode=0o755, made=fail):
        pass
    assert list(tmp_path.iterdir()) == []


def test_open_beneath_leaks_no_descriptor(tmp_path: Path, root_fd: int) -> None:
    """Success, failure and an error inside the block leave no descriptor open."""
    before = os.listdir("/proc/self/fd")
    with storage.open_beneath(root_fd, "a/b/c", make_mode=0o755):
        pass
    with pytest.raises(FileNotFoundError), storage.open_beneath(root_fd, "a/none"):
        pass
    with pytest.raises(ZeroDivisionError), storage.open_beneath(root_fd, "a/b"):
        raise ZeroDivisionError
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_write_durably_replaces(tmp_path: Path, root_fd: int) -> None:
    """The content is replaced whole, the mode is exact, a leftover of a crash does not disturb, none is left."""
    before = os.umask(0o077)
    try:
        storage.write_durably("r.json", b"one", dir_fd=root_fd)
        staged = f"{storage.STAGING_PREFIX}{hashlib.sha256(b'r.json').hexdigest()[:32]}.tmp"
        (tmp_path / staged).symlink_to("victim")
        storage.write_durably("r.json", b"two", dir_fd=root_fd, mode=0o644)
    finally:
        os.umask(before)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"r.json": b"two"}
    assert mode(tmp_path / "r.json") == 0o644


def test_write_durably_where_there_are_no_modes(tmp_path: Path, root_fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without modes (some FUSE ones) keeps records all the same."""

    def refused(*_args: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "fchmod", refused)
    storage.write_durably("r.json", b"one", dir_fd=root_fd)
    assert (tmp_path / "r.json").read_bytes() == b"one"


def test_write_durably_takes_the_longest_name(tmp_path: Path, root_fd: int) -> None:
    """A name as long as the file system takes works, with bytes that are no UTF-8."""
    name = "ü" * 126 + "\udcff"
    storage.write_durably(name, b"x", dir_fd=root_fd)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_write_durably_failing_leaves_the_old(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, root_fd: int) -> None:
    """When the disk refuses, the old content stands and no staged file stays."""
    storage.write_durably("r", b"old", dir_fd=root_fd)

    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="full"):
        storage.write_durably("r", b"new", dir_fd=root_fd)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"r": b"old"}


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "disk_full"),
        (errno.EDQUOT, "disk_full"),
        (errno.EROFS, "read_only"),
        (errno.EACCES, "not_writable"),
        (errno.ENOENT, "folder_missing"),
        (errno.ESTALE, "folder_missing"),
        (errno.EIO, "io_error"),
        (None, "io_error"),
    ],
)
def test_host_errors(number: int | None, code: str) -> None:
    """Every errno becomes a code with a hint, and the message names the place."""
    with pytest.raises(HostError, match="writing '/place'") as caught, storage.host_errors("/place", "writing"):
        raise OSError(number, "x") if number else OSError("x")
    assert (caught.value.code, caught.value.path) == (code, "/place")


@pytest.mark.parametrize(("number", "fatal"), [(errno.EINVAL, False), (errno.ENOTSUP, False), (errno.EIO, True)])
def test_folders_that_cannot_be_synced(
    number: int, fatal: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A file system that knows no fsync of a folder is believed; a real error is not swallowed."""

    def refuse(_: int) -> None:
        raise OSError(number, "x")

    monkeypatch.setattr(os, "fsync", refuse)
    if fatal:
        with pytest.raises(OSError, match="x"):
            storage.fsync_directory(tmp_path)
    else:
        storage.fsync_directory(tmp_path)


@pytest.mark.parametrize(("number", "fatal"), [(errno.EPERM, False), (errno.ENOTSUP, False), (errno.EIO, True)])
def test_modes_that_cannot_be_set(number: int, fatal: bool, monkeypatch: pytest.MonkeyPatch, root_fd: int) -> None:
    """A file system without modes is accepted; a real error is not swallowed."""

    def refuse(*_: int) -> None:
        raise OSError(number, "x")

    monkeypatch.setattr(os, "fchmod", refuse)
    if fatal:
        with pytest.raises(OSError, match="x"):
            storage.set_mode(root_fd, 0o755)
    else:
        storage.set_mode(root_fd, 0o755)


def test_hash(tmp_path: Path) -> None:
    """The hash covers the whole content, over chunk borders, and leaves the offset alone."""
    content = os.urandom((1 << 20) + 17)
    (tmp_path / "a").write_bytes(content)
    assert storage.hash_file(tmp_path / "a") == hashlib.sha256(content).hexdigest()
    with (tmp_path / "a").open("rb") as file:
        file.seek(5)
        assert storage.hash_descriptor(file.fileno()) == hashlib.sha256(content).hexdigest()
        assert file.tell() == 5
