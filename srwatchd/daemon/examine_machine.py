"""Examination of the machine: memory, limits, sandbox, clock, installed versions, network sockets."""

from __future__ import annotations

import os
import platform
import resource
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from srwatchd import __version__
from srwatchd.daemon.finding import Finding, gib, ok, problem, warning
from srwatchd.intake.owners import own_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from srwatchd.config import Config

__all__ = ["examine_machine", "examine_sockets", "network_sockets"]

_DISTRIBUTIONS: Final = (
    "click",
    "numpy",
    "opencv-contrib-python-headless",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "pydantic",
    "pyvips",
    "pyyaml",
    "rich",
    "structlog",
    "watchdog",
)
_OPTIONAL: Final = frozenset({"openvino"})
_EXTRAS: Final = frozenset({"onnxruntime", "onnxruntime-gpu"})
"""Of the extras onnx and cuda; they install over each other's files."""
_RIVALS: Final = ("opencv-python", "opencv-python-headless", "opencv-contrib-python")
"""Other builds of OpenCV, which install over the same files."""
_DESCRIPTORS: Final = 512
_FIRST_YEAR: Final = 2020
_SHARE: Final = 0.75
_TABLES: Final = {"tcp": 9, "tcp6": 9, "udp": 9, "udp6": 9, "raw": 9, "raw6": 9, "packet": 8}
"""Tables below /proc/PID/net and where a row has its inode, see proc(5)."""


def examine_machine(config: Config, *, process: int) -> Iterator[Finding]:
    """What the machine gives; ``process`` is the daemon's, or this one's when none runs: whose cgroup and limits."""
    yield from _memory(config.memory_limit, process)
    yield _descriptors()
    yield _sandbox(process)
    yield _clock(time.time())
    yield from _versions()


def examine_sockets(processes: Iterable[int]) -> Finding:
    """Whether none of ``processes`` has a socket that is not local to this machine's kernel."""
    looked, unseen, found = [], [], []
    for process in processes:
        try:
            found += [f"process {process}: {each}" for each in network_sockets(process)]
            looked.append(process)
        except PermissionError:
            unseen.append(process)
        except OSError:
            continue
    if found:
        remedy = "srwatchd needs none: see which package opens it, and report it."
        return problem("network", "sockets", "; ".join(found), remedy)
    text = f"none in {len(looked)} processes, workers with loaded engines included; telemetry is blocked"
    if unseen:
        text += f"; {len(unseen)} processes of another user could not be looked at"
    return ok("network", "sockets", text)


def network_sockets(process: int) -> list[str]:
    """The sockets of ``process`` that a network can reach: table and inode. Raises OSError when it cannot be seen."""
    place = Path("/proc") / str(process)
    mine = set()
    for entry in os.scandir(place / "fd"):
        try:
            link = os.readlink(entry.path)
        except FileNotFoundError:
            continue
        if link.startswith("socket:["):
            mine.add(link.removeprefix("socket:[").removesuffix("]"))
    found = []
    for table, column in _TABLES.items():
        try:
            rows = (place / "net" / table).read_text(encoding="ascii", errors="replace").splitlines()[1:]
        except FileNotFoundError:
            continue
        inodes = {cells[column] for row in rows if len(cells := row.split()) > column}
        found += [f"{table} socket {inode}" for inode in sorted(inodes & mine)]
    return found


def _memory(limit: int, process: int) -> Iterator[Finding]:
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    bounds = {"the machine": physical, **_cgroup_limits(process)}
    where, least = min(bounds.items(), key=lambda item: item[1])
    found = f"memory_limit {gib(limit)}, {where} has {gib(least)}"
    remedy = f"Lower memory_limit to at most {gib(int(least * _SHARE))}, or give it more."
    if limit > least:
        yield problem("memory", "memory_limit", found, remedy)
    elif limit > least * _SHARE:
        yield warning("memory", "memory_limit", f"{found}, which leaves little for anything else", remedy)
    else:
        yield ok("memory", "memory_limit", found)


def _cgroup_limits(process: int) -> dict[str, int]:
    """The memory limits of the control groups above ``process`` in bytes, of cgroup v2 and v1; see cgroups(7)."""
    try:
        lines = (Path("/proc") / str(process) / "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    limits: dict[str, int] = {}
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            top, name = Path("/sys/fs/cgroup"), "memory.max"
        elif "memory" in controllers.split(","):
            top, name = Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"
        else:
            continue
        inner = top / path.lstrip("/")
        for group in (inner, *inner.parents):
            if top not in (group, *group.parents):
                break
            try:
                text = (group / name).read_text(encoding="ascii").strip()
            except OSError:
                continue
            if text.isdigit():
                limits[f"the control group {group}"] = int(text)
    return limits


def _descriptors() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = f"{soft} open files ({hard} at most)"
    if soft != resource.RLIM_INFINITY and soft < _DESCRIPTORS:
        return warning("limits", "open files", found, f"ulimit -n {_DESCRIPTORS * 2}, or LimitNOFILE= in the unit.")
    return ok("limits", "open files", found)


def _sandbox(process: int) -> Finding:
    """How a process is confined, from proc_pid_status(5)."""
    try:
        text = (Path("/proc") / str(process) / "status").read_text(encoding="ascii", errors="replace")
    except OSError:
        text = ""
    fields = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    filters = {"0": "none", "1": "strict", "2": "a filter"}.get(fields.get("Seccomp", ""), "unknown")
    powerful = fields.get("Uid", "").split()[1:2] == ["0"] and int(fields.get("CapEff", "0"), 16) != 0
    subject = f"process {process}" + (" (this one)" if process == os.getpid() else " (the daemon)")
    found = f"no new privileges: {'yes' if fields.get('NoNewPrivs') == '1' else 'no'}, system calls: {filters}"
    if powerful and process != os.getpid():
        return warning("sandbox", subject, f"root with capabilities, {found}", "Use `srwatchd systemd install`.")
    return ok("sandbox", subject, f"{own_name()}, {found}" if process == os.getpid() else found)


def _clock(now: float) -> Finding:
    year = time.gmtime(now).tm_year
    text = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if year < _FIRST_YEAR:
        remedy = "Set it; until then times in ledger and log are wrong (their order is not), and active_hours too."
        return warning("clock", "time", f"{text}: the clock was never set", remedy)
    return ok("clock", "time", text)


def _versions() -> Iterator[Finding]:
    here, missing = [f"srwatchd {__version__}", f"Python {platform.python_version()}"], []
    for name in _DISTRIBUTIONS:
        version = _version(name)
        if version is None:
            missing += [] if name in _EXTRAS else [name]
        else:
            here.append(f"{name} {version}")
    here.append(f"{platform.system()} {platform.release()} {platform.machine()}")
    yield ok("versions", "installed", ", ".join(here))
    for name in missing:
        if name in _OPTIONAL:
            yield warning(
                "versions", name, "not installed", f"pip install {name}: it is the faster engine on most CPUs."
            )
        else:
            yield problem("versions", name, "not installed", "Install srwatchd again with its dependencies.")
    if all(_version(name) is not None for name in _EXTRAS):
        remedy = "pip uninstall onnxruntime onnxruntime-gpu, then install one: pip install 'srwatchd[cuda]', or [onnx]."
        yield warning("versions", "onnxruntime", "two builds of ONNX Runtime lie over the same files", remedy)
    for name in _RIVALS:
        if _version(name) is not None:
            remedy = f"pip uninstall {name}, then pip install --force-reinstall opencv-contrib-python-headless"
            yield warning("versions", name, "another build of OpenCV lies over the same files", remedy)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
