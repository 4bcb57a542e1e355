"""The inbox is not there: unmounted, mounted over, replaced. Held, nothing touched, taken up again with its id."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING, Final

from benchmarks.endurance.dropping import Dropper
from benchmarks.endurance.mounts import bound, mounted, tmpfs, unmount
from benchmarks.endurance.pictures import made
from benchmarks.endurance.scenario import Result, finish
from benchmarks.endurance.scenarios.host import expect_hold
from benchmarks.endurance.service import NotInTimeError, until

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.endurance.scenario import Bench
    from benchmarks.endurance.service import Service
    from benchmarks.endurance.site import Site

__all__ = ["inbox_gone"]

_CODES: Final = ("folder_unmarked", "folder_missing")
_RESUME_SECONDS: Final = 90.0
_PICTURES: Final = 4


def inbox_gone(bench: Bench, result: Result) -> None:
    """Take the inbox away in every way while pictures are in work, and bring it back."""
    site = bench.site("inbox")
    rng = bench.random()
    with mounted(site.inbox), bench.service(site) as service:
        bound(site.root / "store", site.inbox)
        dropper = Dropper(site.inbox, site.root / "outside")
        service.start()
        for name, harm in _HARMS.items():
            _drop(dropper, rng)
            with harm(site):
                _see_it_held(service, name, result)
            _drop(dropper, rng)
            try:
                took = until(lambda: site.waiting() == 0, _RESUME_SECONDS, "taken up again", pause=0.2)
                result.figure(f"{name}: seconds from the return to the last result", f"{took:.1f}")
            except NotInTimeError as error:
                result.problems.append(f"{name}: {error}: {service.status().get('folders')}: {service.last_words()}")
        finish(service, dropper.dropped, result)


def _drop(dropper: Dropper, rng: random.Random) -> None:
    for _ in range(_PICTURES):
        dropper.drop(made(rng, width=rng.randint(24, 64), height=rng.randint(24, 64)))


def _see_it_held(service: Service, name: str, result: Result) -> None:
    """What lies in the wrong folder is neither taken nor marked."""
    stray = service.site.inbox / "stray.png"
    stray.write_bytes(b"not ours")
    expect_hold(service, _CODES, name, result)
    result.expect(not service.site.private.exists(), f"{name}: the wrong folder was marked")
    result.expect(stray.exists() and stray.read_bytes() == b"not ours", f"{name}: a file in the wrong folder was taken")
    stray.unlink(missing_ok=True)


@contextlib.contextmanager
def _unmounted(site: Site) -> Iterator[None]:
    unmount(site.inbox)
    yield
    bound(_store(site), site.inbox)


@contextlib.contextmanager
def _mounted_over(site: Site) -> Iterator[None]:
    tmpfs(site.inbox, "size=4m,mode=0777")
    yield
    unmount(site.inbox)


@contextlib.contextmanager
def _replaced(site: Site) -> Iterator[None]:
    """Another folder of the same name, without an id. A mount point cannot be renamed: it is a plain folder now."""
    unmount(site.inbox)
    yield
    shutil.rmtree(site.inbox)
    _store(site).rename(site.inbox)


def _store(site: Site) -> Path:
    """What is mounted as the inbox."""
    return site.root / "store"


_HARMS: Final[dict[str, Callable[[Site], contextlib.AbstractContextManager[None]]]] = {
    "unmounted": _unmounted,
    "mounted over": _mounted_over,
    "another folder in its place": _replaced,
}
