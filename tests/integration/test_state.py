"""srwatchd.daemon.state, folderids and pipeline.scratch: what a daemon keeps, on real folders."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading

import pytest

from srwatchd.daemon.folderids import FolderIds
from srwatchd.daemon.state import StateDirectory
from srwatchd.errors import HostError, InstanceError, SrwatchdError
from srwatchd.pipeline import scratch as scratch_module
from srwatchd.pipeline.scratch import Scratch, put_away


@pytest.fixture
def state(tmp_path):
    with contextlib.closing(StateDirectory.open(tmp_path / "var" / "state")) as opened:
        yield opened


def test_one_daemon_a_state(tmp_path, state):
    """The second one is told which process has it; it leaves no descriptor behind."""
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(InstanceError, match=str(os.getpid())):
        StateDirectory.open(state.path)
    assert len(os.listdir("/proc/self/fd")) == before
    state.close()
    StateDirectory.open(state.path).close()


def test_an_identity_is_kept_for_ever(state):
    """Given once; the same after a restart; a new one only when the file is empty or gone."""
    identity = state.identity
    state.close()
    again = StateDirectory.open(state.path)
    assert again.identity == identity
    again.close()
    (state.path / "id").write_text("")
    fresh = StateDirectory.open(state.path)
    assert fresh.identity not in ("", identity)
    fresh.close()


def test_a_state_that_cannot_be_made(tmp_path):
    """A file in its place is the host's fault, named."""
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError) as caught:
        StateDirectory.open(tmp_path / "file" / "var")
    assert "file" in caught.value.path


def test_values_survive(state):
    """What is written is read again; what is missing or damaged is None, never an error."""
    state.write("facts.json", {"a": [1]})
    assert state.read("facts.json") == {"a": [1]}
    assert state.read("none.json") is None
    (state.path / "facts.json").write_text("{")
    assert state.read("facts.json") is None


def test_sets_of_folders(state):
    """Every change is durable; taking out what is not there is none; a damaged file is an empty set."""
    ids = FolderIds(state, "paused.json")
    for name in ("b", "a", "a"):
        ids.put(name)
    ids.put("c", present=False)
    assert list(FolderIds(state, "paused.json")) == ["a", "b"]
    ids.put("a", present=False)
    again = FolderIds(state, "paused.json")
    assert "b" in again
    assert "a" not in again
    state.write("paused.json", {"no": "list"})
    assert list(FolderIds(state, "paused.json")) == []


def test_scratch_files_have_no_name(tmp_path):
    """Sized, zero, writable, gone with their descriptor."""
    scratch = Scratch(tmp_path / "scratch")
    with scratch.file(1000) as descriptor:
        assert os.fstat(descriptor).st_size == 1000
        assert os.pread(descriptor, 10, 990) == bytes(10)
        assert list((tmp_path / "scratch").iterdir()) == []
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(descriptor)


def test_small_scratch_files_take_no_disk(tmp_path):
    """Up to the limit a file of a known size is in memory; the folder is not even made for it."""
    scratch = Scratch(tmp_path / "scratch", in_memory=1000)
    with scratch.file(1000) as descriptor:
        assert os.fstat(descriptor).st_size == 1000
        assert os.pread(descriptor, 10, 990) == bytes(10)
        assert not (tmp_path / "scratch").exists()
    for size in (0, 1001):
        with scratch.file(size) as descriptor:
            assert os.fstat(descriptor).st_dev == (tmp_path / "scratch").stat().st_dev


def test_scratch_without_nameless_files(tmp_path, monkeypatch):
    """Where the file system has none, a name that is removed at once does."""
    real = os.open

    def refuse(path, flags, *args, **kwargs):
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(95, "not supported")
        return real(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse)
    with Scratch(tmp_path).file(10) as descriptor:
        assert os.fstat(descriptor).st_nlink == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("code", "supported"), [(95, True), (28, False)], ids=["unsupported", "full"])
def test_scratch_reserves_its_blocks(tmp_path, monkeypatch, code, supported):
    """Without the call it is a file with holes; without the space it is disk_full, before any worker starts."""

    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    before = len(os.listdir("/proc/self/fd"))
    if supported:
        with Scratch(tmp_path).file(1000) as descriptor:
            assert os.fstat(descriptor).st_size == 1000
    else:
        with pytest.raises(HostError) as caught:
            Scratch(tmp_path).open(1000)
        assert caught.value.code == "disk_full"
    assert len(os.listdir("/proc/self/fd")) == before


def test_more_scratch_than_there_is(tmp_path):
    """Refused before a byte is written."""
    with pytest.raises(SrwatchdError, match=r"fit|free|scratch") as caught:
        Scratch(tmp_path).open(1 << 60)
    assert getattr(caught.value, "code", "") in ("disk_full", "too_large_for_memory", "too_large_for_scratch")


@pytest.mark.parametrize("cancelled", [False, True])
def test_large_scratch_files_do_not_hold_the_loop_up(tmp_path, monkeypatch, cancelled):
    """They are made and freed in a thread; nothing stays open, also when nobody waits for the file any more."""
    monkeypatch.setattr(scratch_module, "_LARGE", 4096)
    scratch, threads = Scratch(tmp_path), []
    begun, go = threading.Event(), threading.Event()
    real_open, real_close = Scratch.open, os.close

    def opening(self, size=0):
        threads.append(threading.current_thread())
        begun.set()
        assert go.wait(60)
        return real_open(self, size)

    def closing(descriptor):
        threads.append(threading.current_thread())
        real_close(descriptor)

    monkeypatch.setattr(Scratch, "open", opening)
    before = len(os.listdir("/proc/self/fd"))

    async def body():
        making = asyncio.create_task(scratch.reserved(9000))
        await asyncio.to_thread(begun.wait, 60)
        if cancelled:
            making.cancel()
            with pytest.raises(asyncio.CancelledError):
                await making
            go.set()
            await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))
            return
        go.set()
        descriptor = await making
        assert os.fstat(descriptor).st_size == 9000
        monkeypatch.setattr(scratch_module.os, "close", closing)
        put_away(descriptor)

    asyncio.run(body())
    assert threads
    assert threading.main_thread() not in threads
    monkeypatch.undo()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_scratch_file_can_be_put_away_without_a_loop(tmp_path, monkeypatch):
    """By commands that have none."""
    monkeypatch.setattr(scratch_module, "_LARGE", 1)
    descriptor = Scratch(tmp_path).open(5000)
    put_away(descriptor)
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(descriptor)
