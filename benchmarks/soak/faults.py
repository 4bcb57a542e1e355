"""What goes wrong, and how often: each fault does its harm, lasts for a while and is undone."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from benchmarks.endurance.scenario import SkippedError
from benchmarks.endurance.service import NotInTimeError, until

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from benchmarks.endurance.service import Service
    from benchmarks.soak.places import Places

__all__ = ["FAULTS", "Faults"]

_START_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 25.0
_LASTS: Final = (1.0, 6.0)
_EARLY: Final = 0.2

FAULTS: Final[dict[str, int]] = {
    "worker killed": 6,
    "worker stopped for seconds": 3,
    "supervisor killed": 2,
    "stopped and started": 1,
    "configuration read again": 3,
    "bad configuration refused": 2,
    "paused": 3,
    "done full": 2,
    "archive full": 1,
    "ledger full": 1,
    "done read-only": 2,
    "error read-only": 1,
    "inbox gone": 2,
    "done gone": 2,
    "archive gone": 1,
}
"""Every kind with its weight."""


@dataclass(slots=True)
class Faults:
    """Does them to ``service``; ``counts`` and ``problems`` are what came of it."""

    service: Service
    places: Places
    rng: random.Random
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    longest_stop: float = 0.0

    def one(self) -> None:
        """One fault, chosen at random, and its end."""
        name = self.rng.choices(list(FAULTS), list(FAULTS.values()))[0]
        self.counts[name] += 1
        try:
            if not self.service.running:
                self._note(f"before {name!r}: the daemon had ended by itself: {self.service.last_words()}")
                self.start()
            self._does()[name]()
        except NotInTimeError as error:
            self._note(f"{name}: {error}: {self.service.last_words()}")
        except (subprocess.CalledProcessError, SkippedError) as error:
            self.counts[name] -= 1  # what the machine would not let us do says nothing of the daemon
            print(f"  not done: {name}: {error}", flush=True)

    def start(self) -> None:
        """Start the daemon and wait until it answers."""
        self.service.start(ready=False)
        until(lambda: self.service.status() or not self.service.running, _START_SECONDS, "it answers", pause=0.5)

    def _does(self) -> dict[str, Callable[[], None]]:
        places = self.places
        return {
            "worker killed": lambda: self._signal_worker(signal.SIGKILL),
            "worker stopped for seconds": self._stop_worker,
            "supervisor killed": self._kill,
            "stopped and started": self._restart,
            "configuration read again": self._reload,
            "bad configuration refused": self._refuse,
            "paused": lambda: self._for_a_while(lambda: self._ask("pause"), lambda: self._ask("resume")),
            **{f"{name} full": self._pair(places.make_full, places.make_room, name) for name in _PLACES},
            **{f"{name} read-only": self._pair(places.make_read_only, places.make_writable, name) for name in _PLACES},
            **{
                f"{shown} gone": self._pair(places.take_away, places.bring_back, name)
                for shown, name in {"inbox": "in", "done": "done", "archive": "archive"}.items()
            },
        }

    def _pair(self, harm: Callable[[str], None], cure: Callable[[str], None], name: str) -> Callable[[], None]:
        return lambda: self._for_a_while(lambda: harm(name), lambda: cure(name))

    def _for_a_while(self, harm: Callable[[], None], cure: Callable[[], None]) -> None:
        try:
            harm()
        except NotInTimeError:
            cure()
            raise
        time.sleep(self.rng.uniform(*_LASTS))
        cure()

    def _signal_worker(self, number: int) -> int:
        workers = self.service.workers()
        if not workers:
            return 0
        victim = self.rng.choice(workers)
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, number)
        return victim

    def _stop_worker(self) -> None:
        victim = self._signal_worker(signal.SIGSTOP)
        time.sleep(self.rng.uniform(*_LASTS))
        if victim:
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGCONT)

    def _kill(self) -> None:
        self.service.kill()
        if self.rng.random() < _EARLY:
            self.service.start(ready=False)
            time.sleep(self.rng.uniform(0.0, 3.0))
            self.service.kill()
        self.start()

    def _restart(self) -> None:
        status, took = self.service.stop()
        self.longest_stop = max(self.longest_stop, took)
        if status or took > _STOP_SECONDS:
            self._note(f"SIGTERM: ended with {status} after {took:.1f} s: {self.service.last_words()}")
        self.start()

    def _reload(self) -> None:
        self.service.site.write_config(rescan_interval=f"{self.rng.randint(5, 60)} s")
        self.service.signal(signal.SIGHUP)

    def _refuse(self) -> None:
        good = self.service.site.config.read_text(encoding="utf-8")
        self.service.site.config.write_text("folders: [{id: a, inbox: in, nonsense: 1}]\n", encoding="utf-8")
        self.service.signal(signal.SIGHUP)
        time.sleep(2.0)
        self.service.site.config.write_text(good, encoding="utf-8")

    def _ask(self, command: str) -> None:
        answer = self.service.ask(command)
        if answer.returncode:
            self._note(f"{command}: ended with {answer.returncode}: {answer.stderr.strip()[-300:]}")

    def _note(self, problem: str) -> None:
        self.problems.append(problem)
        print(f"  problem: {problem}", flush=True)


_PLACES: Final = ("done", "error", "archive", "ledger")
