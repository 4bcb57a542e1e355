from __future__ import annotations

import ctypes
import errno
import logging
import os
import shutil
import time

import pytest
from intake_bench import open_inbox
from watchdog.observers import inotify_c
from watchdog.observers.inotify_c import InotifyFD

from srwatchd.errors import HostError
from srwatchd.intake.hints import Hint, HintKind
from srwatchd.intake.watch import Watcher


class Ear:
    """Collects hints until a wanted one has come."""

    def __init__(self):
        self.hints = []

    def __call__(self, hint):
        self.hints.append(hint)

    def hears(self, kind, name="", patience=20.0):
        end = time.monotonic() + patience
        while Hint(kind, name) not in self.hints:
            assert time.monotonic() < end, self.hints
            time.sleep(0.01)
        return True


@pytest.fixture
def ear():
    return Ear()


@pytest.fixture
def watched(tmp_path, ear):
    with open_inbox(tmp_path / "in") as inbox:
        watcher = Watcher(inbox.root, recursive=True, on_hint=ear)
        yield inbox.root
        watcher.stop()
        watcher.stop()
        assert not watcher.alive()


def test_watch_every_way_of_dropping_is_told(watched, ear, tmp_path):
    """Written and closed, renamed into place, moved in from outside, linked: each has its own hint."""
    (watched / "w.jpg").write_bytes(b"x")
    ear.hears(HintKind.CREATED, "w.jpg")
    ear.hears(HintKind.CLOSED, "w.jpg")
    (watched / ".w.Xy").write_bytes(b"x")
    (watched / ".w.Xy").rename(watched / "r.jpg")
    ear.hears(HintKind.MOVED, "r.jpg")
    (tmp_path / "out.jpg").write_bytes(b"x")
    (tmp_path / "out.jpg").rename(watched / "m.jpg")
    ear.hears(HintKind.MOVED, "m.jpg")
    (tmp_path / "out.jpg").write_bytes(b"x")
    os.link(tmp_path / "out.jpg", watched / "l.jpg")
    ear.hears(HintKind.CREATED, "l.jpg")
    assert Hint(HintKind.CLOSED, "l.jpg") not in ear.hints


def test_watch_undecodable_names_arrive_as_surrogates(watched, ear):
    """The hint has the very name that a scan finds."""
    with open(os.fsencode(watched) + b"/\xff.jpg", "wb"):
        pass
    ear.hears(HintKind.CLOSED, "\udcff.jpg")


def test_watch_new_and_moved_folders_are_told_and_watched(watched, ear, tmp_path):
    """A folder that appears, is moved in or renamed asks for a scan of it, and what comes later is heard."""
    (watched / "new").mkdir()
    ear.hears(HintKind.DIRECTORY, "new")
    (tmp_path / "out/deep").mkdir(parents=True)
    (tmp_path / "out").rename(watched / "moved")
    ear.hears(HintKind.DIRECTORY, "moved")
    time.sleep(0.2)
    (watched / "moved/deep/a.jpg").write_bytes(b"x")
    ear.hears(HintKind.CLOSED, "moved/deep/a.jpg")
    (watched / "moved").rename(watched / "again")
    ear.hears(HintKind.DIRECTORY, "again")
    time.sleep(0.2)
    (watched / "again/deep/b.jpg").write_bytes(b"x")
    ear.hears(HintKind.CLOSED, "again/deep/b.jpg")


def test_watch_folder_that_opens_up_is_told_and_watched(watched, ear, monkeypatch):
    """One that another user has made for himself alone, as ``cp -r`` does, once others may enter; files do not tell."""
    watch = inotify_c.inotify_add_watch

    def refused(instance, path, mask):
        if path.endswith(b"tree"):
            ctypes.set_errno(errno.EACCES)
            return -1
        return watch(instance, path, mask)

    monkeypatch.setattr(inotify_c, "inotify_add_watch", refused)
    (watched / "tree").mkdir(mode=0o700)
    ear.hears(HintKind.DIRECTORY, "tree")
    (watched / "tree/deep").mkdir()
    (watched / "tree/deep/a.jpg").write_bytes(b"x")
    (watched / "b.jpg").write_bytes(b"x")
    ear.hears(HintKind.CLOSED, "b.jpg")
    assert not any(hint.name.startswith("tree/") for hint in ear.hints)
    ear.hints.clear()
    monkeypatch.undo()
    (watched / "other").mkdir()
    ear.hears(HintKind.DIRECTORY, "other")
    ear.hints.clear()
    (watched / "b.jpg").chmod(0o600)
    (watched / "other").chmod(0o700)
    (watched / "tree").chmod(0o755)
    ear.hears(HintKind.DIRECTORY, "tree")
    ear.hears(HintKind.DIRECTORY, "tree/deep")
    assert not any(hint.name in ("b.jpg", "other") for hint in ear.hints)
    (watched / "tree/deep/c.jpg").write_bytes(b"x")
    ear.hears(HintKind.CLOSED, "tree/deep/c.jpg")


def test_watch_private_folder_is_never_told(watched, ear):
    """Our own claims and records are no hints, and hold up no others."""
    (watched / "a.jpg").write_bytes(b"x")
    ear.hears(HintKind.CLOSED, "a.jpg")
    (watched / "a.jpg").rename(watched / ".srwatchd/j.src")
    (watched / ".srwatchd/j.json").write_bytes(b"{}")
    (watched / "b.jpg").write_bytes(b"x")
    ear.hears(HintKind.CLOSED, "b.jpg")
    assert not any(hint.name.startswith(".srwatchd") for hint in ear.hints)


def test_watch_flat_folder_hears_nothing_from_below(tmp_path, ear):
    """Without recursion only the folder itself is watched."""
    with open_inbox(tmp_path / "in") as inbox:
        (inbox.root / "sub").mkdir()
        watcher = Watcher(inbox.root, recursive=False, on_hint=ear)
        (inbox.root / "sub/a.jpg").write_bytes(b"x")
        (inbox.root / "b.jpg").write_bytes(b"x")
        ear.hears(HintKind.CLOSED, "b.jpg")
        assert not any("sub/" in hint.name for hint in ear.hints)
        watcher.stop()


def test_watch_listener_that_raises_does_not_end_it(tmp_path):
    """An accident in the listener costs one hint."""
    heard = []

    def listen(hint):
        heard.append(hint)
        raise RuntimeError("an accident")

    with open_inbox(tmp_path / "in") as inbox:
        watcher = Watcher(inbox.root, recursive=True, on_hint=listen)
        for name in ("a.jpg", "b.jpg"):
            (inbox.root / name).write_bytes(b"x")
        end = time.monotonic() + 20
        while Hint(HintKind.CLOSED, "b.jpg") not in heard:
            assert time.monotonic() < end
            time.sleep(0.01)
        assert watcher.alive()
        watcher.stop()


def test_watch_lost_events_are_told(watched, ear):
    """The library's warning becomes an overflow hint; other warnings do not; nothing is heard after the end."""
    logger = logging.getLogger("watchdog.observers.inotify_c")
    logger.warning("something else")
    assert ear.hints == []
    logger.warning("Inotify queue overflowed; filesystem events were lost")
    assert ear.hints == [Hint(HintKind.OVERFLOW)]


@pytest.mark.parametrize("late", [False, True], ids=["", "before its thread reads"])
def test_watch_missing_folder_cannot_be_watched(tmp_path, ear, late, monkeypatch):
    """It is a hold, and leaves no descriptor behind, however far the library's thread has come."""
    if late:
        read = InotifyFD.run

        def run(instance):
            while instance.should_keep_running():
                time.sleep(0.01)
            read(instance)

        monkeypatch.setattr(InotifyFD, "run", run)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(HostError) as caught:
        Watcher(tmp_path / "none", recursive=True, on_hint=ear)
    assert "max_user_watches" in caught.value.hint
    assert len(os.listdir("/proc/self/fd")) == before


def test_watch_deleted_folder_is_no_accident(tmp_path, ear):
    """The watcher of a folder that is gone can be ended."""
    with open_inbox(tmp_path / "in") as inbox:
        watcher = Watcher(inbox.root, recursive=True, on_hint=ear)
        shutil.rmtree(inbox.root)
        time.sleep(0.2)
        watcher.stop()
        assert not watcher.alive()
