"""The machine at fault: a full disk, no inodes, a read-only disk. Held, then resumed by itself."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import TYPE_CHECKING, Final

from benchmarks.endurance.dropping import Dropper
from benchmarks.endurance.mounts import mounted, remount, tmpfs
from benchmarks.endurance.pictures import made
from benchmarks.endurance.scenario import Result, finish
from benchmarks.endurance.service import NotInTimeError, until

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.endurance.pictures import Picture
    from benchmarks.endurance.scenario import Bench
    from benchmarks.endurance.service import Service

__all__ = ["disk_full", "expect_hold", "read_only"]

_HOLD_SECONDS: Final = 30.0
_RESUME_SECONDS: Final = 90.0
_PICTURES: Final = 4


def disk_full(bench: Bench, result: Result) -> None:
    """Done, the ledger's disk and the inodes of done run out, while pictures come, and are freed again."""
    cases: dict[str, tuple[str, str, tuple[str, ...]]] = {
        "done": ("done", "size=4m", ("disk_full",)),
        "ledger": ("ledger", "size=4m", ("ledger_unwritable", "disk_full")),
        "inodes of done": ("done", "size=16m,nr_inodes=40", ("disk_full",)),
        "archive": ("archive", "size=4m", ("disk_full",)),
    }
    for name, (part, options, codes) in list(cases.items())[: bench.many(4, short=1)]:
        site = bench.site(f"full {name}".replace(" ", "-"))
        place = site.root / part
        with mounted(place), bench.service(site) as service:
            tmpfs(place, f"{options},mode=0777")

            def fill(place: Path = place, inodes: bool = "inodes" in options) -> None:
                _exhaust_inodes(place) if inodes else _fill(place)

            def free(place: Path = place) -> None:
                shutil.rmtree(place / "filler")

            _held_and_resumed(service, bench.random(), (name, codes), (fill, free), result)


def read_only(bench: Bench, result: Result) -> None:
    """Done is remounted read-only and back."""
    site = bench.site("read-only")
    with mounted(site.done), bench.service(site) as service:
        tmpfs(site.done, "size=32m,mode=0777")
        harm = (lambda: remount(site.done, "ro"), lambda: remount(site.done, "rw"))
        _held_and_resumed(service, bench.random(), ("done", ("read_only",)), harm, result)


def _held_and_resumed(
    service: Service,
    rng: random.Random,
    expected: tuple[str, tuple[str, ...]],
    harm: tuple[Callable[[], None], Callable[[], None]],
    result: Result,
) -> None:
    """Do the harm while pictures come; see the hold; undo it; see that work goes on by itself."""
    (name, codes), site = expected, service.site
    dropper = Dropper(site.inbox, site.root / "outside")
    service.start()
    dropper.drop(_picture(rng))
    until(lambda: site.waiting() == 0, _RESUME_SECONDS, "the first picture")
    harm[0]()
    for _ in range(_PICTURES):
        dropper.drop(_picture(rng))
    expect_hold(service, codes, name, result)
    result.expect(not os.listdir(site.error), f"{name}: something is in the error folder")
    harm[1]()
    try:
        took = until(lambda: site.waiting() == 0, _RESUME_SECONDS, "resumed by itself", pause=0.2)
        result.figure(f"{name}: seconds from the cure to the last result", f"{took:.1f}")
    except NotInTimeError as error:
        result.problems.append(f"{name}: {error}: {service.status().get('folders')}: {service.last_words()}")
    spent = site.count("job.attempt_failed")
    result.expect(spent == 0, f"{name}: {spent} attempts were spent")
    finish(service, dropper.dropped, result)


def expect_hold(service: Service, codes: tuple[str, ...], name: str, result: Result) -> None:
    """See in the status that the folder is held for one of ``codes``, and that a person is called for."""
    seen = ""

    def held() -> bool:
        nonlocal seen
        seen = service.held()
        return seen in codes

    try:
        took = until(held, _HOLD_SECONDS, f"held for {' or '.join(codes)}", pause=0.3)
        result.figure(f"{name}: held", f"{seen}, seen after {took:.1f} s")
    except NotInTimeError as error:
        result.problems.append(f"{name}: {error}, but {seen!r}: {service.last_words()}")
    answer = service.ask("status")
    result.expect(answer.returncode == 7, f"{name}: status ended with {answer.returncode} while held")  # noqa: PLR2004


def _fill(place: Path) -> None:
    """Leave not a byte."""
    folder = place / "filler"
    folder.mkdir()
    with open(folder / "filler", "wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass


def _exhaust_inodes(place: Path) -> None:
    """Leave not an inode, but bytes enough."""
    folder = place / "filler"
    folder.mkdir()
    with contextlib.suppress(OSError):
        for number in range(10_000):
            (folder / f"{number}").touch(exist_ok=False)


def _picture(rng: random.Random) -> Picture:
    return made(rng, width=rng.randint(24, 64), height=rng.randint(24, 64))
