"""The daemon under test: started, asked, killed and stopped as its users do."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.endurance.site import Site

__all__ = ["ROOT", "NotInTimeError", "Service", "User", "until"]

_START_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 40.0


class NotInTimeError(Exception):
    """Something that was promised did not happen in its time."""


@dataclass(frozen=True, slots=True)
class User:
    """Whom a command runs as; numbers, which need no entry anywhere."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()

    def prefix(self) -> list[str]:
        """What goes before a command line."""
        if self == ROOT:
            return []
        groups = ["--groups", ",".join(map(str, self.groups))] if self.groups else ["--clear-groups"]
        return ["setpriv", "--reuid", str(self.uid), "--regid", str(self.gid), *groups, "--"]


ROOT: Final = User(os.geteuid(), os.getegid())
"""Whoever runs this."""


def until(check: Callable[[], object], seconds: float, what: str, *, pause: float = 0.1) -> float:
    """Wait until ``check()`` is true; the seconds that it took. Raises :class:`NotInTimeError`."""
    begin = time.monotonic()
    while not check():
        if time.monotonic() - begin > seconds:
            raise NotInTimeError(f"not within {seconds:.0f} s: {what}")
        time.sleep(pause)
    return time.monotonic() - begin


class Service:
    """One daemon for one site, started as often as wished."""

    def __init__(self, command: Sequence[str], site: Site, *, user: User = ROOT) -> None:
        self.site = site
        self.user = user
        self._command = list(command)
        self._process: subprocess.Popen[bytes] | None = None
        self._mark = f"{site.root}/bin"

    # -- commands ----------------------------------------------------------------------------------------------------

    def command(self, *words: str, config: bool = True) -> list[str]:
        """A command line of srwatchd, with this site's configuration."""
        where = ["--config", str(self.site.config)] if config else []
        return [*self.user.prefix(), *self._command, *words, *where]

    def environment(self) -> dict[str, str]:
        """Marked, so that every process that comes of it is found again."""
        path = os.pathsep.join([os.environ.get("PATH", os.defpath), self._mark])
        return {**os.environ, "PATH": path, "HOME": str(self.site.root)}

    def ask(self, *words: str, config: bool = True, seconds: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run a command of srwatchd to its end."""
        return subprocess.run(
            self.command(*words, config=config),
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def status(self) -> dict[str, Any]:
        """What ``srwatchd status --json`` says; empty while no daemon answers."""
        answer = self.ask("status", "--json")
        report: dict[str, Any] = json.loads(answer.stdout) if answer.stdout.startswith("{") else {}
        return report

    def held(self) -> str:
        """The code of the hold of the folder, or ""."""
        folders = self.status().get("folders") or [{}]
        hold = folders[0].get("hold") or {}
        return str(hold.get("code", ""))

    def audit_verify(self) -> tuple[int, str]:
        """Exit status and words of ``srwatchd audit verify``."""
        answer = self.ask("audit", "verify")
        return answer.returncode, (answer.stdout + answer.stderr).strip()

    # -- the daemon ---------------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """The supervising process."""
        assert self._process is not None  # noqa: S101 - asked of a started one only
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the supervising process is alive."""
        return self._process is not None and self._process.poll() is None

    def start(self, *, ready: bool = True) -> Service:
        """Start it; with ``ready`` wait until it serves."""
        before = self.site.count("configuration.loaded")
        with open(self.site.log, "ab") as log:
            self._process = subprocess.Popen(
                self.command("run"),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=self.environment(),
                start_new_session=True,
            )
        if ready:
            until(
                lambda: self.site.count("configuration.loaded") > before or not self.running, _START_SECONDS, "serving"
            )
            if not self.running:
                raise NotInTimeError(f"the daemon ended with {self._process.returncode}: {self.last_words()}")
        return self

    def signal(self, number: int) -> None:
        """Send the supervising process a signal."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, and nothing else: what is left is the daemon's business."""
        if self._process is not None:
            self.signal(signal.SIGKILL)
            self._process.wait()

    def stop(self) -> tuple[int, float]:
        """SIGTERM; its exit status and how long it took. One that does not end is killed (status -9)."""
        assert self._process is not None  # noqa: S101 - only a started one is stopped
        begin = time.monotonic()
        self.signal(signal.SIGTERM)
        try:
            status = self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            status = -signal.SIGKILL
        return status, time.monotonic() - begin

    def wait(self, seconds: float) -> int:
        """Wait for its end; the exit status. Raises :class:`NotInTimeError`."""
        assert self._process is not None  # noqa: S101 - only a started one is waited for
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise NotInTimeError(f"the daemon did not end within {seconds:.0f} s") from None

    def close(self) -> None:
        """End everything that came of it, however it went."""
        self.kill()
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def workers(self) -> list[int]:
        """The processes that the supervisor has started."""
        own = self.pid
        return [pid for pid in self.processes() if pid != own]

    def processes(self) -> list[int]:
        """Every live process that came of this site, found by the mark in its environment."""
        mark, found = os.fsencode(self._mark), []
        for entry in os.listdir("/proc"):
            if entry.isdigit() and int(entry) != os.getpid():
                with contextlib.suppress(OSError), open(f"/proc/{entry}/environ", "rb") as file:
                    if mark in file.read():
                        found.append(int(entry))
        return found

    def last_words(self, lines: int = 5) -> str:
        """The end of the log."""
        text = self.site.log.read_text(encoding="utf-8", errors="replace") if self.site.log.exists() else ""
        return " | ".join(text.splitlines()[-lines:])
