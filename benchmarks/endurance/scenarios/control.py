"""Stopping, reloading, and a second daemon."""

from __future__ import annotations

import os
import random
import signal
import time
from typing import TYPE_CHECKING, Final

from benchmarks.endurance.dropping import Dropper
from benchmarks.endurance.pictures import made
from benchmarks.endurance.scenario import Result, drained, finish
from benchmarks.endurance.service import Service, until
from benchmarks.endurance.site import files_below

if TYPE_CHECKING:
    from benchmarks.endurance.scenario import Bench
    from benchmarks.endurance.site import Site

__all__ = ["reload_under_load", "second_daemon", "stop_under_load"]

_STOP_SECONDS: Final = 25.0
_ANOTHER: Final = 69
_OWN: Final = {"id", "lock"}


def stop_under_load(bench: Bench, result: Result) -> None:
    """SIGTERM while large pictures are in work: it ends in time, gives back what is in flight, and goes on later."""
    site = bench.site("stop", model="edsr_x3", engine="auto")
    rng = bench.random()
    longest = 0.0
    most = bench.many(1600, short=500)
    with bench.service(site) as service:
        dropper = Dropper(site.inbox, site.root / "outside")
        for turn in range(bench.many(4, short=1)):
            service.start()
            for _ in range(3):
                longer = rng.randint(most // 2, most)
                dropper.drop(made(rng, width=longer, height=longer * 2 // 3, extension="jpg"))
            until(lambda: bool(list(site.private.glob("*.src"))), 60.0, "a picture is in work")
            time.sleep(rng.uniform(0.0, 3.0))
            status, took = service.stop()
            longest = max(longest, took)
            left = sorted(set(os.listdir(site.private)) - _OWN)
            result.expect(status == 0, f"turn {turn}: ended with {status}: {service.last_words()}")
            result.expect(took <= _STOP_SECONDS, f"turn {turn}: took {took:.1f} s")
            result.expect(not left, f"turn {turn}: not given back: {left}")
            hidden = [name for name in files_below(site.done) if "/." in f"/{name}"]
            result.expect(not hidden and not service.processes(), f"turn {turn}: left: {hidden} {service.processes()}")
        result.figure("longest stop in seconds", f"{longest:.1f}")
        result.figure("given back by a stop", site.count("job.released"))
        service.start()
        drained(service, 600.0)
        finish(service, dropper.dropped, result)


def reload_under_load(bench: Bench, result: Result) -> None:
    """SIGHUP with good and bad files, again and again, while pictures come: a bad file is refused whole."""
    site = bench.site("reload")
    rng = bench.random()
    good = bad = 0
    with bench.service(site) as service:
        dropper = Dropper(site.inbox, site.root / "outside")
        service.start()
        for turn in range(bench.many(12, short=3)):
            for _ in range(6):
                dropper.drop(made(rng, width=rng.randint(24, 96), height=rng.randint(24, 96)))
            time.sleep(rng.uniform(0.0, 0.5))
            if turn % 3 == 1:
                bad += 1
                site.config.write_text("folders: [{id: a, inbox: in, nonsense: 1}]\n", encoding="utf-8")
                _reload(service, "configuration.refused", bad)
            else:
                good += 1
                site.write_config(rescan_interval=f"{30 + turn} s")
                _reload(service, "configuration.loaded", 1 + good)
        site.write_config()
        drained(service, 120.0)
        finish(service, dropper.dropped, result)
    result.figure("reloads: taken over, refused", f"{good}, {bad}")


def _reload(service: Service, action: str, count: int) -> None:
    service.signal(signal.SIGHUP)
    until(lambda: service.site.count(action) >= count or not service.running, 60.0, f"{action} {count} times")


def second_daemon(bench: Bench, result: Result) -> None:
    """A second daemon with the same state, or with the same inbox, is refused; the first one does not notice."""
    site, other = bench.site("first"), bench.site("other")
    rng = random.Random(bench.seed)
    with bench.service(site) as service, bench.service(other) as stranger:
        dropper = Dropper(site.inbox, site.root / "outside")
        service.start()
        for command in ("run", "once"):
            answer = service.ask(command)
            result.figure(f"`{command}` with the same state", f"exit status {answer.returncode}")
            result.expect(answer.returncode == _ANOTHER, f"{command}: {answer.returncode}: {answer.stderr}")
        _share_inbox(other, site)
        answer = stranger.ask("run")
        result.figure("`run` with another state and the same inbox", f"exit status {answer.returncode}")
        result.expect(answer.returncode == _ANOTHER, f"same inbox: {answer.returncode}: {answer.stderr}")
        for _ in range(3):
            dropper.drop(made(rng, width=40, height=30))
        drained(service, 60.0)
        service.stop()
        stranger.start()
        dropper.drop(made(rng, width=40, height=30))
        until(lambda: stranger.held() == "folder_foreign", 30.0, "held as foreign")
        result.figure("another state, after the first one stopped", "held: folder_foreign")
        status, _ = stranger.stop()
        result.expect(status == 0, f"the held one ended with {status}")
        service.start()
        drained(service, 60.0)
        finish(service, dropper.dropped, result)


def _share_inbox(other: Site, site: Site) -> None:
    other.write_config(inbox=str(site.inbox))
