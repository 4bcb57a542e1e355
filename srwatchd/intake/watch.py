"""Hints from the kernel: a file was closed, moved here or made, a directory appeared, events were lost.

Hints only make things quick. They are lost when the kernel's queue overflows (told by :attr:`HintKind.OVERFLOW`),
when the watch limit is reached, when the folder itself is replaced, and for whatever other machines write; a regular
scan finds all that.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import warnings
from typing import TYPE_CHECKING, Any, Final

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.api import DEFAULT_OBSERVER_TIMEOUT, BaseObserver
from watchdog.observers.inotify import InotifyFullEmitter, InotifyObserver
from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchCallback,
    WatchDescriptor,
)

from srwatchd.errors import HostError
from srwatchd.intake.hints import Hint, HintKind
from srwatchd.intake.names import PRIVATE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Hint", "HintKind", "Watcher"]

_EVENTS: Final[list[type[FileSystemEvent]]] = [
    FileClosedEvent,
    FileMovedEvent,
    FileCreatedEvent,
    DirCreatedEvent,
    DirMovedEvent,
]
_KINDS: Final[dict[type[FileSystemEvent], HintKind]] = {
    FileClosedEvent: HintKind.CLOSED,
    FileMovedEvent: HintKind.MOVED,
    FileCreatedEvent: HintKind.CREATED,
    DirCreatedEvent: HintKind.DIRECTORY,
    DirMovedEvent: HintKind.DIRECTORY,
}
_OVERFLOW_LOGGER: Final = "watchdog.observers.inotify_c"
_JOIN_SECONDS: Final = 5.0
_REFUSED: Final = -1
_MOST_REFUSED: Final = 1000


class Watcher:
    """Watches one hot folder from construction until :meth:`stop`.

    ``on_hint`` is called in the watcher's own thread, once per event; what it raises is swallowed, because an
    exception would end the thread unseen. Names below ``.srwatchd`` are never reported. Raises HostError when the
    folder cannot be watched (it is missing, or the user's inotify limits are used up).
    """

    def __init__(self, inbox_path: Path, *, recursive: bool, on_hint: Callable[[Hint], None]) -> None:
        # A folder renamed within the inbox keeps its kernel watch; the library warns that it enters it again.
        warnings.filterwarnings("ignore", r"Callback with id .* already exists for watch", RuntimeWarning)
        self._root = os.fspath(inbox_path)
        self._handler = _Handler(self._root, on_hint)
        self._overflow = _Overflow(on_hint)
        try:
            self._observer = _Observer()
            try:
                self._observer.schedule(self._handler, self._root, recursive=recursive, event_filter=_EVENTS)
                self._observer.start()
            except OSError:
                self._observer.on_thread_stop()
                raise
        except OSError as error:
            raise _cannot_watch(self._root, error) from error
        logging.getLogger(_OVERFLOW_LOGGER).addHandler(self._overflow)

    def alive(self) -> bool:
        """Whether all its threads run. A folder that was replaced is found by ``Inbox.check``, not here."""
        return self._observer.is_alive() and all(emitter.is_alive() for emitter in self._observer.emitters)

    def stop(self) -> None:
        """End the threads and wait for them; may be called again."""
        logging.getLogger(_OVERFLOW_LOGGER).removeHandler(self._overflow)
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join(_JOIN_SECONDS)


class _Emitter(InotifyFullEmitter):
    """Reports a move into the folder as a move, and never waits for the other half of a move out of it.

    The library holds back everything that follows an unpaired MOVED_FROM for half a second; every claim makes one.
    """

    def get_event_mask_from_filter(self) -> Any:
        """What the kernel is asked for: a file that leaves is found by a scan, a folder that opens up is told of."""
        return super().get_event_mask_from_filter() & ~InotifyConstants.IN_MOVED_FROM | InotifyConstants.IN_ATTRIB


class _Instance(InotifyFD):
    """An instance of inotify for what comes from other users.

    ``cp -r``, ``mv`` between mounts and rsync make a folder for its owner alone and open it when all is in it. The
    library takes a refusal for a watch: here such a folder is not watched, and appears once more when its mode changes.

    It also believes that it is read before its thread has begun to: closed before that, as when the first watch cannot
    be had, it leaves its descriptors to a thread that has nothing to do any more, and they stay open.
    """

    def __init__(self) -> None:
        super().__init__()
        self._is_reading = False
        self._refused: dict[bytes, bytes] = {}
        """The name of each folder that may not be watched, by its path."""

    def add_callback(self, path: bytes, mask: Mask, callback: WatchCallback, id_: CallbackId) -> WatchDescriptor:
        """Watch a folder. Raises OSError."""
        descriptor = super().add_callback(path, mask, callback, id_)
        if descriptor != _REFUSED:
            self._refused.pop(path, None)
            return descriptor
        self.remove_callbacks([(descriptor, id_)])
        self._refused[path] = os.path.basename(path)
        if len(self._refused) > _MOST_REFUSED:
            del self._refused[next(iter(self._refused))]
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    def handle_event(self, event: InotifyEvent) -> None:
        """Hand one event on; of changed attributes only those by which a folder may have opened up."""
        if event.is_attrib:
            if not event.is_directory or event.name not in list(self._refused.values()):
                return
            appearance = Mask(InotifyConstants.IN_CREATE | InotifyConstants.IN_ISDIR)
            event = InotifyEvent(event.wd, appearance, 0, event.name)
        super().handle_event(event)


class _Observer(InotifyObserver):
    def __init__(self) -> None:
        self._inotify_fd = _Instance()
        self._inotify_fd.start()
        BaseObserver.__init__(self, _Emitter, timeout=DEFAULT_OBSERVER_TIMEOUT, inotify_fd=self._inotify_fd)


class _Handler(FileSystemEventHandler):
    """Turns the library's events into hints."""

    def __init__(self, root: str, on_hint: Callable[[Hint], None]) -> None:
        self._prefix = root.rstrip("/") + "/"
        self._on_hint = on_hint

    def dispatch(self, event: FileSystemEvent) -> None:
        """Hand a hint on; raises nothing, which would end the observer's thread."""
        with contextlib.suppress(Exception):
            kind = _KINDS.get(type(event))
            path = os.fsdecode(event.dest_path or event.src_path)
            if kind is None or not path.startswith(self._prefix):
                return
            name = path.removeprefix(self._prefix)
            if name != PRIVATE and not name.startswith(PRIVATE + "/"):
                self._on_hint(Hint(kind, name))


class _Overflow(logging.Handler):
    """The only sign of lost events is a warning in the library's log."""

    def __init__(self, on_hint: Callable[[Hint], None]) -> None:
        super().__init__(logging.WARNING)
        self._on_hint = on_hint

    def emit(self, record: logging.LogRecord) -> None:
        """An overflow of the kernel's queue is a hint to scan; raises nothing."""
        if "overflow" in record.getMessage().casefold():
            with contextlib.suppress(Exception):
                self._on_hint(Hint(HintKind.OVERFLOW))


def _cannot_watch(root: str, error: OSError) -> HostError:
    hint = (
        "Mount or create the folder; if it is there, raise the sysctls fs.inotify.max_user_watches and "
        "fs.inotify.max_user_instances, or set watch_mode: poll. Until then scans find what arrives."
    )
    return HostError("io_error", f"cannot watch {root!r}: {error.strerror or error}", hint=hint, path=root)
