"""The whole way: photographs through the daemon with everything on, beside plain loops with the same weights.

A set of photographs is cut into batches. For each batch every contestant has its turn: the loop with
``cv2.dnn_superres``, the loop on our engine ``openvino``, daemons of one and of two workers. A daemon's time goes from
the first file that is moved into its inbox to the last source in its archive: result verified, result and ledger on the
disk.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from benchmarks.endurance.pictures import photographs
from benchmarks.endurance.service import Service, until
from benchmarks.endurance.site import Site
from benchmarks.performance.child import Child
from benchmarks.performance.machine import has_bf16

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from benchmarks.endurance.pictures import Picture
    from benchmarks.performance.bench import Bench, Row

__all__ = ["ALL_DONE_SECONDS", "CONTESTANTS", "Daemon", "measure", "stages_of", "stored"]

ALL_DONE_SECONDS: Final = 900.0
_LOOK_SECONDS: Final = 0.01
_MOST: Final = 768
"""Pixels across of the widest picture: what Kodak has."""

CONTESTANTS: Final = {
    "superres": "loop, `dnn_superres`",
    "ours": "loop, our `openvino`",
    "daemon 1": "daemon, 1 worker",
    "daemon 2": "daemon, 2 workers",
    "daemon bf16": "daemon, 1 worker, bf16",
}


@dataclass(frozen=True, slots=True)
class Set:
    """``count`` photographs of one format for one model, in ``batches``."""

    model: str
    scale: int
    extension: str
    count: int
    batches: int

    @property
    def key(self) -> str:
        """Its name."""
        return f"{self.model} {'JPEG' if self.extension == 'jpg' else self.extension.upper()}"


_SETS: Final = (
    Set("fsrcnn_x3", 3, "jpg", 300, 3),
    Set("fsrcnn_x3", 3, "png", 300, 3),
    Set("edsr_x3", 3, "jpg", 45, 3),
)
_QUICK: Final = (Set("fsrcnn_x3", 3, "jpg", 6, 1),)


class Contestant(Protocol):
    """Whoever makes results of files."""

    def run(self, sources: Sequence[Path]) -> float:
        """Do them all; the seconds."""
        ...

    def written(self) -> int:
        """The bytes of all results so far."""
        ...

    def close(self) -> None:
        """End."""
        ...


class Loop:
    """A plain loop in a process of its own."""

    def __init__(self, kind: str, each: Set, root: Path) -> None:
        self._target = root
        root.mkdir()
        self._child = Child("benchmarks.performance.loops", kind, each.model)
        if reason := self._child.ready().get("skipped"):
            self._child.close()
            raise RuntimeError(reason)

    def run(self, sources: Sequence[Path]) -> float:
        """See :class:`Contestant`."""
        return float(self._child.ask(sources=list(map(str, sources)), target=str(self._target))["seconds"])

    def written(self) -> int:
        """See :class:`Contestant`."""
        return _bytes(self._target)

    def close(self) -> None:
        """See :class:`Contestant`."""
        self._child.close()


class Daemon:
    """A daemon of so many workers, running for as long as the set lasts."""

    def __init__(self, bench: Bench, root: Path, *, model: str, scale: int, **extra: Any) -> None:
        root.mkdir()
        self.site = Site(root, model=model, scale=scale, engine="auto", extra=extra)
        self.site.write_config()
        self._outside = root / "outside"
        self._outside.mkdir()
        self.service = Service(bench.command, self.site)
        self.service.start()

    def prepare(self, sources: Sequence[Path]) -> list[Path]:
        """Copies outside of the inbox, on the disk, ready to be moved in."""
        copies = [self._outside / source.name for source in sources]
        for source, copy in zip(sources, copies, strict=True):
            shutil.copyfile(source, copy)
        os.sync()
        return copies

    def run(self, sources: Sequence[Path]) -> float:
        """See :class:`Contestant`."""
        copies = self.prepare(sources)
        wanted = _count(self.site.archive) + len(copies)
        begin = time.perf_counter()
        for copy in copies:
            copy.rename(self.site.inbox / copy.name)
        until(lambda: self._archived(wanted), ALL_DONE_SECONDS, "everything archived", pause=_LOOK_SECONDS)
        return time.perf_counter() - begin

    def stages(self, *, after: int = 0) -> dict[str, list[float]]:
        """See :func:`stages_of`; without the first ``after`` pictures."""
        return {name: spent[after:] for name, spent in stages_of(self.site).items()}

    def reason(self) -> str:
        """Which engine it chose, and why."""
        chosen = [entry for entry in self.site.entries() if entry["event.action"] == "model.selected"]
        return str(chosen[-1]["srwatchd.engine.reason"]) if chosen else ""

    def written(self) -> int:
        """See :class:`Contestant`."""
        return _bytes(self.site.done)

    def close(self) -> None:
        """See :class:`Contestant`."""
        self.service.stop()
        self.service.close()

    def _archived(self, wanted: int) -> bool:
        if not self.service.running:
            raise RuntimeError(f"the daemon ended by itself: {self.service.last_words()}")
        if _count(self.site.error):
            raise RuntimeError(f"pictures failed: {os.listdir(self.site.error)[:4]}")
        return _count(self.site.archive) >= wanted


def measure(bench: Bench) -> Iterator[Row]:
    """One row for each set."""
    for each in _QUICK if bench.quick else _SETS:
        if not bench.wants(each.key):
            continue
        if not bench.photos and not bench.quick:
            yield {
                "key": each.key,
                "skipped": "there are no photographs where `--photos` looks for them",
            }
            continue
        root = bench.work / each.key.replace(" ", "-")
        root.mkdir()
        yield {"key": each.key, **_raced(bench, each, root)}
        shutil.rmtree(root)


def stages_of(site: Site) -> dict[str, list[float]]:
    """Seconds of every stage of every delivered picture, by the stage's name in the log.

    *deliver* goes on until the source is in the archive and the outcome in the ledger.
    """
    found: dict[str, list[float]] = {}
    told = (json.loads(line) for line in site.log.read_text(encoding="utf-8").splitlines() if line[:1] == "{")
    for entry in (entry for entry in told if entry["event"] == "delivered"):
        for key, value in entry.items():
            if key.endswith("_ms"):
                found.setdefault(key.removesuffix("_ms"), []).append(value / 1000)
    return found


def stored(folder: Path, pictures: Sequence[Picture], batches: int) -> list[list[Path]]:
    """The files of every batch; before them two more, of the first picture, to warm up with."""
    folder.mkdir()
    paths = []
    for number, picture in enumerate([pictures[0], pictures[0], *pictures]):
        path = folder / f"p{number:04d}.{picture.extension}"
        path.write_bytes(picture.data)
        paths.append(path)
    size = -(-len(pictures) // batches)
    return [paths[:2], *(paths[begin : begin + size] for begin in range(2, len(paths), size))]


def _raced(bench: Bench, each: Set, root: Path) -> Row:
    pictures = list(
        photographs(bench.photos, random.Random(1), count=each.count, most=_MOST, formats=(each.extension,))
    )
    warm, *batches = stored(root / "sources", pictures, each.batches)
    row: Row = {
        "pictures": each.count,
        "megapixels": sum(one.width * one.height for one in pictures) / 1e6,
        "bytes": sum(len(one.data) for one in pictures),
        "batches": [len(batch) for batch in batches],
        "seconds": {},
    }
    with contextlib.ExitStack() as held:
        field: dict[str, Contestant] = {}
        for name in CONTESTANTS:
            contestant = _entered(name, bench, each, root / name.replace(" ", "-"))
            if contestant is not None:
                field[name] = contestant
                held.callback(contestant.close)
        for contestant in field.values():
            contestant.run(warm)
        for batch, (name, contestant) in itertools.product(batches, field.items()):
            os.sync()
            row["seconds"].setdefault(name, []).append(contestant.run(batch))
            print(f"  {each.key}, {len(batch)}: {name} {row['seconds'][name][-1]:.2f} s", flush=True)
        row["written"] = {name: contestant.written() for name, contestant in field.items()}
        daemons = {name: one for name, one in field.items() if isinstance(one, Daemon)}
        row["stages"] = {name: one.stages(after=len(warm)) for name, one in daemons.items()}
        row["engine"] = {name: one.reason() for name, one in daemons.items()}
    return row


def _entered(name: str, bench: Bench, each: Set, root: Path) -> Contestant | None:
    if name == "daemon bf16":
        if not has_bf16():
            return None
        return Daemon(bench, root, model=each.model, scale=each.scale, engine={"precision": "bf16"})
    if name.startswith("daemon"):
        return Daemon(bench, root, model=each.model, scale=each.scale, workers=int(name.split()[1]))
    return Loop(name, each, root)


def _count(folder: Path) -> int:
    return sum(not name.startswith(".") for name in os.listdir(folder)) if folder.is_dir() else 0


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
