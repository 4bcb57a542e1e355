"""What a worker gives up before it sees a foreign byte, and what of it this kernel and this host allowed.

Every measure is an attempt: a container, a service manager or an old kernel may refuse any of them. The worker works
without, and says so. docs/confinement.md lists what each one keeps out.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import sysconfig
from dataclasses import dataclass
from glob import glob
from typing import TYPE_CHECKING, Any, Final, Self

import srwatchd
from srwatchd.worker import landlock, privileges, seccomp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = ["Confinement", "Measure", "code_folders", "confine", "gaps", "summary"]

_LIBRARIES: Final = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/nix/store", "/gnu/store")
_LINKER: Final = ("/etc/ld.so.cache",)
_PROCESSORS: Final = ("/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system", "/sys/fs/cgroup", "/sys/kernel/mm")
_SELF: Final = "/proc/self"
_DEVICES: Final = (
    *("/dev/dri", "/dev/accel"),
    *("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset", "/dev/nvidia-caps"),
)
_CARDS: Final = "/dev/nvidia[0-9]*"
_DRIVERS: Final = (
    *("/sys", "/etc/OpenCL", "/usr/share/libdrm"),
    *("/proc/driver/nvidia", "/proc/devices", "/proc/modules", "/proc/sys/vm", "/etc/nvidia", "/usr/share/nvidia"),
)

_REASONS: Final = {
    ("landlock", errno.ENOSYS): "this kernel is built without it",
    ("landlock", errno.EOPNOTSUPP): "switched off when this kernel was started (lsm=)",
    ("landlock", errno.EPERM): "refused by the container or the service manager",
    ("seccomp", errno.EPERM): "refused by the container or the service manager",
    ("network namespace", errno.EPERM): "takes root with CAP_SYS_ADMIN",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """What a worker needs beside the code that it runs: files and folders to read, and whether accelerators.

    Everything else is refused: other files, writing by path, networks, programs, other processes.
    """

    readable: tuple[str, ...] = ()
    devices: bool = False

    def to_wire(self) -> dict[str, Any]:
        """Plain data for the first message."""
        return {"readable": list(self.readable), "devices": self.devices}

    @classmethod
    def from_wire(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_wire`."""
        return cls(readable=tuple(data["readable"]), devices=bool(data["devices"]))


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure: whether it holds, and with what extent or why not."""

    name: str
    active: bool
    detail: str = ""

    def __str__(self) -> str:
        said = f"{self.name} {self.detail}".strip()
        return said if self.active else f"no {self.name} ({self.detail})"

    def to_wire(self) -> dict[str, Any]:
        """Plain data, also for ``srwatchd status --json``."""
        return {"name": self.name, "active": self.active, "detail": self.detail}

    @classmethod
    def from_wire(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_wire`."""
        return cls(str(data["name"]), bool(data["active"]), str(data["detail"]))


def summary(measures: Sequence[Measure]) -> str:
    """One line for a log: what holds, then what does not."""
    return ", ".join(map(str, sorted(measures, key=lambda each: not each.active))) or "nothing"


def gaps(measures: Sequence[Measure]) -> tuple[Measure, ...]:
    """What is missing and made up for by nothing else: a filter that refuses sockets needs no empty network besides."""
    active = {each.name for each in measures if each.active}
    covered = {"network namespace"} if "seccomp" in active else set()
    return tuple(each for each in measures if not each.active and each.name not in covered)


def confine(settings: Confinement) -> tuple[Measure, ...]:
    """Give up for good, in this process, everything but ``settings``; what came of each measure. Never raises.

    Needs ``no_new_privs``. Capabilities, Landlock and the network namespace hold for this thread and those it starts:
    call it while there is no other. Measures that miss threads that already are say so.
    """
    readable = [*settings.readable, *_behind_links(settings.readable)]
    needed = [*_own_code(), *readable, *_entries(settings.readable)]
    files = [*code_folders(), *_LINKER, *_PROCESSORS, _SELF, *readable, *(_DRIVERS if settings.devices else ())]
    measures = [
        _attempt("resource limits", _limits),
        _attempt("network namespace", _network),
        _attempt("capabilities", lambda: _capabilities(needed)),
        _attempt("landlock", lambda: _landlock(files, (*_DEVICES, *glob(_CARDS)) if settings.devices else ())),
        _attempt("seccomp", lambda: _seccomp(devices=settings.devices)),
    ]
    return tuple(measures)


def code_folders() -> tuple[str, ...]:
    """Where the interpreter, our packages and shared libraries are: what may still be loaded after the start.

    Of a checkout only the package, not what lies beside it.
    """
    package = os.path.dirname(os.path.realpath(srwatchd.__file__))
    installed = {os.path.realpath(sysconfig.get_path(name)) for name in ("purelib", "platlib")}
    found = {os.path.realpath(each) for each in sys.path if each}
    if (checkout := os.path.dirname(package)) not in installed:
        found.discard(checkout)
    found |= {package, *installed, *(os.path.realpath(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib"))}
    found |= {os.path.join(prefix, "lib") for prefix in (sys.prefix, sys.base_prefix)}
    found |= {each for each in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if os.path.isabs(each)}
    return tuple(sorted(found | set(_LIBRARIES)))


def _attempt(name: str, action: Callable[[], str]) -> Measure:
    try:
        return Measure(name, active=True, detail=action())
    except OSError as error:
        text = _REASONS.get((name, error.errno or 0)) or error.strerror or str(error)
        return Measure(name, active=False, detail=text)
    except (AttributeError, ValueError) as error:  # a C library without the call, a limit that cannot be
        return Measure(name, active=False, detail=str(error))


def _limits() -> str:
    privileges.limit_resources()
    return ""


def _network() -> str:
    privileges.separate_network()
    return _exceptions()


def _capabilities(needed: Iterable[str]) -> str:
    kept = privileges.drop_capabilities(needed)
    return ("dropped but CAP_DAC_READ_SEARCH, for files of another user" if kept else "dropped") + _exceptions()


def _landlock(files: Iterable[str], devices: Iterable[str]) -> str:
    _pin(_SELF, *_PROCESSORS, *_DRIVERS)
    return f"abi {landlock.restrict(files, devices)}{_exceptions()}"


def _seccomp(*, devices: bool) -> str:
    target = seccomp.machine()
    if target is None:
        raise OSError(errno.ENOSYS, f"no filter is known for {os.uname().machine}")
    held = seccomp.install(seccomp.assemble(target, pid=os.getpid(), devices=devices))
    return "" if held == "all threads" else _exceptions().strip()


def _exceptions() -> str:
    """What a measure for one thread does not reach."""
    others = len(os.listdir("/proc/self/task")) - 1
    return f" (not for {others} threads that libraries had started)" if others else ""


def _pin(*paths: str) -> None:
    """Keep the entries of /proc in memory: a rule would not be valid for the new ones that take their place."""
    for path in paths:
        if path.startswith("/proc/"):
            with contextlib.suppress(OSError):
                os.open(path, os.O_PATH | os.O_CLOEXEC)


def _own_code() -> list[str]:
    """Some files without which nothing more could be loaded."""
    return [os.path.realpath(srwatchd.__file__), os.path.realpath(os.__file__), *filter(None, sys.path)]


def _entries(folders: Iterable[str]) -> list[str]:
    found = []
    for folder in folders:
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            found += [entry.path for entry in entries]
    return found


def _behind_links(folders: Iterable[str]) -> list[str]:
    """Where symbolic links in ``folders`` lead: somebody who puts them there means their targets."""
    return [os.path.realpath(path) for path in _entries(folders) if os.path.islink(path)]
