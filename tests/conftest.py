"""Fixtures that several test files share, and what every process of a test run is given before its first test."""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings

_CLONE_NEWNS: Final = 0x00020000  # linux/sched.h
_MS_REC: Final = 0x4000  # linux/mount.h
_MS_PRIVATE: Final = 1 << 18
_MEMORY: Final = "/dev/shm"
_APART: Final = tuple(
    f"test_{name}.py" for name in ("endurance_short", "cli_small", "cli_upscale", "cli_doctor", "daemon_life")
)
"""Long files whose tests share nothing."""
_FIRST: Final = tuple(
    f"test_{name}.py"
    for name in (
        *("booted", "engine", "models_carry", "large_pictures", "console_browser", "console_service"),
        "delivery_crashes",
        *("imported", "golden", "missing_model", "operation", "hostile", "endurance_short", "cli_upscale", "cli_small"),
        *("modelstore", "console_schema", "tasks", "phone_picture", "performance_short", "soak_short", "daemon_life"),
        *("console_upscale", "cli_doctor", "probing", "codec_decode", "shares", "worker_deaths", "offline_life"),
    )
)
"""Files that take half a minute or more, roughly the longest first: at the end one would keep one process waiting."""

# How long an example takes says nothing on a machine that does something else as well.
settings.register_profile("patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# The benchmarks are tested from the checkout. Last, so that the srwatchd that is installed goes first.
sys.path.append(str(Path(__file__).resolve().parents[1]))


def pytest_configure(config: pytest.Config) -> None:
    """Keep what tests mount, and what they leave in memory, in this process: both go when it goes, however it ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0 or libc.unshare(_CLONE_NEWNS) != 0:
        return
    libc.mount(b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None)
    if os.path.isdir(_MEMORY):
        libc.mount(b"tmpfs", os.fsencode(_MEMORY), b"tmpfs", ctypes.c_ulong(0), b"mode=1777")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With ``-n 2`` the tests of a file run in one process, so that what they share is made once."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return together(nodeid)

    config.option.loadscopereorder = False  # by the number of tests; many of the longest files have a few
    return ByFile(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With several processes, long files first and the rest in its random order."""
    if hasattr(config, "workerinput"):
        rank = {name: number for number, name in enumerate(_FIRST)}
        items.sort(key=lambda item: rank.get(item.path.name, len(rank)))


def together(nodeid: str) -> str:
    """The same for tests that have to run in one process."""
    file = nodeid.partition("::")[0]
    if file.endswith(_APART):
        return nodeid
    return f"{file} fsrcnn_x2" if file.endswith("test_golden.py") and "fsrcnn_x2" in nodeid else file


@pytest.fixture
def memory_path(tmp_path):
    """A folder in memory, where an fsync costs nothing; an ordinary one where there is none."""
    if not os.access(_MEMORY, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=_MEMORY) as made:
        yield Path(made)


@pytest.fixture(scope="module")
def unmeasured():
    """No coverage of the processes that a module starts, which doubles their time: others reach the same lines."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("COVERAGE_PROCESS")]:
            patch.delenv(name)
        yield
