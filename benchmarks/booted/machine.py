"""A machine with a booted systemd in a container, on which srwatchd is installed as a user would.

``systemd-nspawn`` boots a Debian 12 that ``mmdebstrap`` made once (kept in ``SRWATCHD_TEST_CACHE``, by default
``~/.cache/srwatchd-tests``) with a network of its own that leads nowhere. The host's mounts, services and clock are not
touched: layers and loop devices are mounted in a mount namespace of the test's own.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.endurance.scenario import SkippedError
from benchmarks.endurance.service import until

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PYTHON", "Layers", "Machine", "booted", "debian", "obstacle"]

PYTHON: Final = "3.11"
"""Debian 12's."""
_PACKAGES: Final = "systemd,python3,faketime"
_LEAN: Final = (
    '--aptopt=Acquire::Languages "none"',
    "--dpkgopt=force-unsafe-io",
    *(f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in ("doc", "locale", "man")),
)
_TOOLS: Final = ("systemd-nspawn", "mmdebstrap", "setpriv", "unshare", "nsenter")
_OWN_MOUNTS: Final = ("setpriv", "--pdeathsig", "TERM", "unshare", "--mount", "--propagation", "private")
"""What runs so has its mounts to itself, and is ended with whoever started it."""
_NSPAWN: Final = ("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network")
_BOOT_SECONDS: Final = 60
_STOP_SECONDS: Final = 60
_NUMBERS: Final = itertools.count(1)
_INIT_PATH: Final = "/usr/local/sbin/first"
_INIT: Final = """#!/bin/sh
# The memory controller for limits of units; a cgroup v2 is there to write anyway.
mount -o remount,bind,rw /sys/fs/cgroup/memory 2>/dev/null
exec /lib/systemd/systemd
"""


def obstacle() -> str | None:
    """Why no machine can be booted here, or None."""
    if os.geteuid() != 0:
        return "booting a container needs root"
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    tried = subprocess.run([*_OWN_MOUNTS, "true"], capture_output=True, check=False)
    return None if tried.returncode == 0 else "no mount namespaces can be made here"


class Layers:
    """The file systems of machines, lowest first: Debian, and srwatchd's installation on it."""

    def __init__(self, work: Path, lower: tuple[Path, ...]) -> None:
        self.work = work
        self.lower = lower

    def above(self, upper: Path) -> Layers:
        """With what a machine has written on top."""
        return Layers(self.work, (*self.lower, upper))


def debian(work: Path) -> Layers:
    """Debian alone, made where it is not in the cache; SkippedError where that or a container is impossible."""
    cache = Path(os.environ.get("SRWATCHD_TEST_CACHE") or Path.home() / ".cache" / "srwatchd-tests")
    rootfs = cache / "bookworm-1"
    if not rootfs.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as made:
            tree = Path(made) / "tree"
            command = ["mmdebstrap", "--variant=minbase", f"--include={_PACKAGES}", *_LEAN, "bookworm", str(tree)]
            answer = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
            if answer.returncode != 0:
                raise SkippedError(f"mmdebstrap made no Debian: {' '.join(answer.stderr.split())[-300:]}")
            with contextlib.suppress(OSError):  # somebody else was faster
                tree.rename(rootfs)
    tried = subprocess.run(
        [*_OWN_MOUNTS, *_NSPAWN, f"--directory={rootfs}", "--volatile=overlay", "true"],
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    if tried.returncode != 0:
        raise SkippedError(f"systemd-nspawn does not work here: {' '.join(tried.stderr.split())[-300:]}")
    return Layers(work, (rootfs,))


class Machine:
    """A machine that can be booted, shut down and booted again; what it has written stays in ``upper``.

    ``binds`` are folders of the host that it sees: (host, machine). ``before`` is a shell command that runs in the
    machine's own mount namespace before it boots, for loop mounts.
    """

    def __init__(self, below: Layers, *, binds: tuple[tuple[Path, str], ...] = (), before: str = "true") -> None:
        self.name = f"srwatchd-{os.getpid()}-{next(_NUMBERS)}"
        self._place = below.work / self.name
        self.upper = self._place / "upper"
        self._lower = ":".join(str(path) for path in reversed(below.lower))
        self._binds = binds
        self._before = before
        self._process: subprocess.Popen[bytes] | None = None
        self._init = 0
        self._group = _memory_group(self.name)
        first = self.upper / _INIT_PATH.lstrip("/")
        for each in (first.parent, self._place / "work", self._place / "tree"):
            each.mkdir(parents=True)
        first.write_text(_INIT)
        first.chmod(0o755)

    # -- power ---------------------------------------------------------------------------------------------------

    def boot(self) -> None:
        """Switch it on and wait until systemd says that it is up (or degraded)."""
        tree = self._place / "tree"
        nspawn = [
            *(*_NSPAWN, f"--directory={tree}", f"--machine={self.name}"),
            *("--console=pipe", "--kill-signal=SIGRTMIN+3", "--link-journal=no"),
            # What a real machine lets a service ask for, and nspawn's own filter leaves out.
            "--system-call-filter=landlock_create_ruleset landlock_add_rule landlock_restrict_self",
            *(f"--bind={host}:{inside}" for host, inside in self._binds),
            _INIT_PATH,
        ]
        options = f"lowerdir={self._lower},upperdir={self.upper},workdir={self._place / 'work'}"
        script = (
            'set -e; [ -z "$GROUP" ] || echo $$ > "$GROUP/cgroup.procs"; '
            f'mount -t overlay overlay -o "$OPTIONS" "$TREE"; {self._before}; exec "$@"'
        )
        environment = {**os.environ, "GROUP": str(self._group or ""), "OPTIONS": options, "TREE": str(tree)}
        with open(self._place / "console", "ab") as console:
            self._process = subprocess.Popen(
                [*_OWN_MOUNTS, "sh", "-c", script, "sh", *nspawn],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env=environment,
                start_new_session=True,
            )
        until(self._booted, _BOOT_SECONDS, f"{self.name} boots")

    def shutdown(self) -> None:
        """Switch it off as an administrator does: services are stopped first."""
        self._end(signal.SIGTERM)

    def cut_power(self) -> None:
        """Kill everything at once. What the kernel holds in its cache stays: this alone is no power cut for a disk."""
        if self._init:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._init, signal.SIGKILL)
        self._end(signal.SIGTERM)

    def discard(self) -> None:
        """Switch it off and remove all that it has written."""
        self.cut_power()
        if self._group is not None:
            with contextlib.suppress(OSError):
                _remove_group(self._group)
        shutil.rmtree(self._place, ignore_errors=True)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(_STOP_SECONDS)
        finally:
            self._process, self._init = None, 0

    def _booted(self) -> bool:
        assert self._process is not None  # noqa: S101 - asked by boot() only
        if self._process.poll() is not None:
            console = (self._place / "console").read_text(errors="replace")
            raise AssertionError(f"{self.name} did not boot: {console[-2000:]}")
        if not self._init:
            children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
            for child in children.read_text().split():
                with contextlib.suppress(OSError):  # one that mounts a disk has ended meanwhile
                    if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                        self._init = int(child)
        return bool(self._init) and self.run("systemctl", "is-system-running", check=False) in ("running", "degraded")

    @property
    def keeper(self) -> int:
        """The process outside that lives in the mount namespace in which the machine's disks are mounted."""
        assert self._process is not None  # noqa: S101 - asked of a booted one only
        return self._process.pid

    # -- inside --------------------------------------------------------------------------------------------------

    def path(self, inside: str) -> Path:
        """Where the host sees a path of the booted machine, mounts included."""
        return Path(f"/proc/{self._init}/root{inside}")

    def run(self, *words: str, check: bool = True, seconds: float = 120, data: str | None = None) -> str:
        """Run a command as the machine's root; what it said, errors included. With ``check`` it has to end well."""
        command = ["nsenter", "-t", str(self._init), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "--", *words]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root"}
        answer = subprocess.run(
            command,
            input=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment,
            timeout=seconds,
            check=False,
        )
        if check and answer.returncode != 0:
            raise AssertionError(f"{' '.join(words)} ended with {answer.returncode}: {answer.stdout[-3000:]}")
        return answer.stdout.strip()

    def shows(self, unit: str, *properties: str) -> dict[str, str]:
        """Properties of a unit, as ``systemctl show`` gives them."""
        text = self.run("systemctl", "show", unit, *(f"--property={name}" for name in properties))
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

    def journal(self, unit: str = "srwatchd.service") -> str:
        """What the unit has said, and systemd about it."""
        return self.run("journalctl", "--unit", unit, "--output=cat", "--no-pager")

    def status(self, config: str = "/etc/srwatchd/srwatchd.yaml") -> dict[str, Any]:
        """What the daemon says; {} when it does not answer."""
        said = self.run("/opt/srwatchd/bin/srwatchd", "status", "--json", "--config", config, check=False)
        try:
            value = json.loads(said)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


@contextlib.contextmanager
def booted(machine: Machine) -> Iterator[Machine]:
    """The machine, booted, for the time of the block; discarded then."""
    try:
        machine.boot()
        yield machine
    finally:
        machine.discard()


def _memory_group(name: str) -> Path | None:
    """A control group of its own for the machine, where memory is still counted by cgroup v1."""
    top = Path("/sys/fs/cgroup/memory")
    if not (top / "memory.limit_in_bytes").exists():
        return None
    own = next(line for line in Path("/proc/self/cgroup").read_text().splitlines() if ":memory:" in line)
    group = top / own.split(":", 2)[2].lstrip("/") / name
    try:
        group.mkdir()
    except OSError:
        return None
    return group


def _remove_group(group: Path) -> None:
    for folder in sorted((path for path in group.rglob("*") if path.is_dir()), key=lambda path: -len(path.parts)):
        folder.rmdir()
    group.rmdir()
