"""Where the folders of a configuration lie relative to each other, compared as the file system sees them.

Works on what could be read of a file, so that these problems are reported together with all others. Two paths are the
same place when they resolve to the same path, or when both exist and are the same directory (a bind mount).
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from srwatchd.config.document import printable
from srwatchd.config.kinds import resolve
from srwatchd.config.schema import Config, Folder
from srwatchd.config.section import derive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from srwatchd.config.document import KeyPath

__all__ = ["Finding", "findings"]

_TARGETS: Final = ("done", "error", "archive")
_NO_LIMIT: Final = (None, False, "off", "none")


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem of the value at ``path``."""

    path: KeyPath
    message: str


@dataclass(frozen=True, slots=True)
class _Place:
    real: Path
    identities: tuple[tuple[int, int] | None, ...]
    """Of the place itself, then of the folders around it."""

    def same(self, other: _Place) -> bool:
        """Whether both are one folder, by its path or by its identity on the disk."""
        mine = self.identities[0]
        return self.real == other.real or (mine is not None and mine == other.identities[0])

    def inside(self, other: _Place) -> bool:
        """Strictly below ``other``."""
        if self.same(other):
            return False
        theirs = other.identities[0]
        return other.real in self.real.parents or (theirs is not None and theirs in self.identities[1:])


@dataclass(frozen=True, slots=True)
class _Layout:
    index: int
    id: str
    recursive: bool
    inbox: _Place | None
    targets: dict[str, _Place]
    derived: bool
    """Whether the archive follows from done, so that it is wrong only where done is."""


def findings(data: dict[str, Any], base: Path) -> tuple[Finding, ...]:
    """Everything wrong with ids and places in ``data`` (raw, with the defaults merged in); paths from ``base``."""
    top = derive(Config, data)
    folders = data.get("folders")
    layouts = [
        _layout(index, folder, base)
        for index, folder in enumerate(folders if isinstance(folders, tuple) else ())
        if isinstance(folder, dict)
    ]
    return (
        *_repeated_ids(layouts),
        *_inboxes(layouts),
        *_own_targets(layouts),
        *_targets(layouts),
        *_cycles(layouts),
        *_removed_before_use(folders if isinstance(folders, tuple) else (), layouts),
        *_service(top, layouts, base),
    )


def _place(value: object, base: Path) -> _Place | None:
    if not isinstance(value, str | Path) or not str(value).strip() or "\0" in str(value):
        return None
    real = Path(os.path.realpath(resolve(value, base)))
    return _Place(real, tuple(_identity(path) for path in (real, *real.parents)))


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        seen = os.stat(path)
    except OSError:
        return None
    return seen.st_dev, seen.st_ino


def _layout(index: int, written: dict[str, Any], base: Path) -> _Layout:
    folder = derive(Folder, written)
    used = [name for name in _TARGETS if not (name == "archive" and folder.get("on_success") == "delete")]
    places = {name: _place(folder.get(name), base) for name in used}
    return _Layout(
        index=index,
        id=str(folder.get("id", f"folders[{index}]")),
        recursive=folder.get("recursive", True) is not False,
        inbox=_place(folder.get("inbox"), base),
        targets={name: place for name, place in places.items() if place is not None},
        derived="archive" not in written,
    )


def _repeated_ids(layouts: list[_Layout]) -> Iterator[Finding]:
    seen: Counter[str] = Counter()
    for layout in layouts:
        seen[layout.id] += 1
        if seen[layout.id] > 1:
            yield Finding(("folders", layout.index, "id"), f"{layout.id!r} is used twice; give each folder its own id")


def _inboxes(layouts: list[_Layout]) -> Iterator[Finding]:
    for number, later in enumerate(layouts):
        path: KeyPath = ("folders", later.index, "inbox")
        for earlier in layouts[:number]:
            if later.inbox is None or earlier.inbox is None:
                continue
            if later.inbox.same(earlier.inbox):
                yield Finding(path, f"is the inbox of folder {earlier.id!r} too; give each folder its own inbox")
            elif later.inbox.inside(earlier.inbox) and earlier.recursive:
                yield Finding(path, f"lies in the recursive inbox of folder {earlier.id!r}; move one, {_NOT_RECURSIVE}")
            elif earlier.inbox.inside(later.inbox) and later.recursive:
                yield Finding(path, f"holds the inbox of folder {earlier.id!r}; move one, {_NOT_RECURSIVE}")


_NOT_RECURSIVE: Final = "or set recursive: false"


def _own_targets(layouts: list[_Layout]) -> Iterator[Finding]:
    for layout in layouts:
        names = list(layout.targets)
        for number, name in enumerate(names):
            for other in names[:number]:
                if layout.targets[name].same(layout.targets[other]):
                    message = f"is the same folder as {other}; results, sources and failures need a folder each"
                    yield Finding(("folders", layout.index, name), message)


def _targets(layouts: list[_Layout]) -> Iterator[Finding]:
    for layout in layouts:
        wrong: set[str] = set()
        for name, place in layout.targets.items():
            for other in layouts:
                message = _target(layout, name, place, other)
                if message:
                    wrong.add(name)
                    if not (name == "archive" and layout.derived and "done" in wrong):
                        yield Finding(("folders", layout.index, name), message)
                    break


def _target(layout: _Layout, name: str, place: _Place, other: _Layout) -> str:
    if other.inbox is None:
        return ""
    own = other is layout
    whose = "its own inbox" if own else f"the inbox of folder {other.id!r}"
    if place.same(other.inbox) and own:
        return "is its own inbox; choose a folder outside it"
    if place.same(other.inbox) and name != "done":
        return f"is {whose}; only done may be the inbox of another folder"
    if place.inside(other.inbox) and other.recursive:
        return f"lies in {whose}, which is recursive; choose a folder outside it, {_NOT_RECURSIVE}"
    return ""


def _removed_before_use(folders: tuple[Any, ...], layouts: list[_Layout]) -> Iterator[Finding]:
    """Retention in a done folder that is an inbox too would remove pictures that nobody has worked on yet."""
    for layout in layouts:
        retention = folders[layout.index].get("retention")
        keep = retention.get("done") if isinstance(retention, dict) else None
        room = retention.get("make_room") if isinstance(retention, dict) else None
        limited = isinstance(keep, dict) and any(keep.get(key) not in _NO_LIMIT for key in ("max_age", "max_size"))
        done = layout.targets.get("done")
        if not (limited or (isinstance(room, tuple | list) and "done" in room)) or done is None:
            continue
        for other in layouts:
            if other.inbox is not None and done.same(other.inbox):
                path: KeyPath = ("folders", layout.index, "retention", "done" if limited else "make_room")
                yield Finding(path, f"would remove pictures from the inbox of folder {other.id!r}; leave it out here")


def _cycles(layouts: list[_Layout]) -> Iterator[Finding]:
    """Each ring of folders once, at its first folder. A folder has one done, so following it finds every ring."""
    onward: dict[int, int] = {}
    for number, layout in enumerate(layouts):
        done = layout.targets.get("done")
        for target, other in enumerate(layouts):
            if done and other.inbox and target != number and done.same(other.inbox):
                onward.setdefault(number, target)
    told: set[int] = set()
    for start in onward:
        trail = [start]
        while (step := onward.get(trail[-1])) is not None and step not in trail:
            trail.append(step)
        if step == start and start not in told:
            told.update(trail)
            ring = " -> ".join(printable(layouts[number].id) for number in (*trail, start))
            message = f"closes a ring of folders ({ring}), which would enlarge for ever; break it"
            yield Finding(("folders", layouts[start].index, "done"), message)


def _service(top: dict[str, Any], layouts: list[_Layout], base: Path) -> Iterator[Finding]:
    audit = top.get("audit")
    ledger = audit if isinstance(audit, dict) else {}
    values: list[tuple[KeyPath, object]] = [(("state_dir",), top.get("state_dir", "var"))]
    values += [(("models_dir",), top.get("models_dir"))]
    values += [(("audit", key), ledger.get(key)) for key in ("path", "key_file")]
    metrics = top.get("metrics")
    values += [(("metrics", "path"), metrics.get("path") if isinstance(metrics, dict) else None)]
    state = _place(values[0][1], base)
    for path, value in values:
        place = _place(value, base)
        if place is None or (path != ("state_dir",) and state is not None and place.inside(state)):
            continue  # what lies in state_dir is wrong only where state_dir is
        for layout in layouts:
            if layout.inbox and (place.same(layout.inbox) or place.inside(layout.inbox)):
                yield Finding(path, f"lies in the inbox of folder {layout.id!r}; choose a place outside every inbox")
                break
