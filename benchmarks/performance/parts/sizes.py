"""Growth with the picture: one daemon, larger and larger pictures, one at a time."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from typing import TYPE_CHECKING, Any, Final

from benchmarks.endurance.service import Service, until
from benchmarks.endurance.site import Site
from benchmarks.large.__main__ import picture
from benchmarks.large.case import Case
from benchmarks.large.group import Group, hierarchy
from benchmarks.performance.parts.way import stages_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.performance.bench import Bench, Row

__all__ = ["MODEL", "measure"]

MODEL: Final = "fsrcnn_x2"
_SCALE: Final = 2
_LIMIT: Final = 1 << 30
_ALLOWED: Final = 1.1
_SIZES: Final = (
    (400, 250),
    (800, 500),
    (1280, 800),
    (2560, 1600),
    (4000, 3000),
    (8000, 5000),
    (12000, 8400),
    (24000, 16800),
)
_WARM: Final = (640, 400)
_QUICK: Final = ((1280, 800), (1600, 1200))
_REPEATED: Final = 5.0
"""Megapixels up to which a picture is dropped three times."""
_PATIENCE: Final = 120.0
_PATIENCE_PER_MEGAPIXEL: Final = 5.0
_LIMITS: Final = {"max_input_pixels": 10**9, "max_output_pixels": 10**10}


def measure(bench: Bench) -> Iterator[Row]:
    """One row for each size, in one daemon after a picture that warms it up."""
    sizes = [size for size in (_QUICK if bench.quick else _SIZES) if bench.wants(_key(size))]
    if not sizes:
        return
    root = bench.work / "sizes"
    root.mkdir()
    options = {"limits": _LIMITS, "max_size": 1 << 40}
    site = Site(root, model=MODEL, scale=_SCALE, engine="auto", options=options, extra={"memory_limit": _LIMIT})
    site.write_config()
    interface = hierarchy()
    with contextlib.ExitStack() as held:
        command = bench.command
        group = None
        if interface is not None:
            group = held.enter_context(Group(interface, int(_LIMIT * _ALLOWED)))
            command = tuple(group.command(command))
        service = Service(command, site)
        held.callback(service.close)
        service.start()
        for number, size in enumerate([_WARM, *sizes]):
            row = _one(bench, service, size, group, turn=number)
            if number:
                yield {"key": _key(size), **row}
        service.stop()
    shutil.rmtree(root)


def _key(size: tuple[int, int]) -> str:
    return f"size {size[0] * size[1] / 1e6:.3g}"


def _one(bench: Bench, service: Service, size: tuple[int, int], group: Group | None, *, turn: int) -> Row:
    case = Case("baseline JPEG", *size, MODEL, "jpeg", _LIMIT)
    photograph = next((str(path) for folder in bench.photos for path in sorted(folder.glob("Kodak/*.png"))), "")
    site, walls = service.site, []
    times = bench.many(3, quick=1) if case.megapixels < _REPEATED else 1
    with picture(case, bench.work, photograph=photograph) as source:
        if group is not None:
            group.peaks.private = group.peaks.waiting = group.peaks.both = 0
        for number in range(times):
            name = f"s{turn}-{number}.jpg"
            copy = site.root / name
            shutil.copyfile(source, copy)
            os.sync()
            begin = time.perf_counter()
            copy.rename(site.inbox / name)
            patience = _PATIENCE + case.megapixels * _PATIENCE_PER_MEGAPIXEL
            until(lambda name=name: _archived(service, name), patience, f"{case.megapixels:.0f} megapixels", pause=0.01)
            walls.append(time.perf_counter() - begin)
            for place in (site.done, site.archive):
                _emptied(place)
    stages = stages_of(site)
    row: dict[str, Any] = {
        "megapixels": case.megapixels,
        "seconds": walls,
        "stages": {name: each[-times:] for name, each in stages.items()},
    }
    if group is not None:
        row |= {"private": group.peaks.private, "both": group.peaks.both, "kills": group.peaks.kills}
    return row


def _archived(service: Service, name: str) -> bool:
    if not service.running or (service.site.error / name).exists():
        raise RuntimeError(f"it failed: {service.last_words()}")
    return (service.site.archive / name).exists()


def _emptied(place: Path) -> None:
    for path in place.iterdir():
        path.unlink()
