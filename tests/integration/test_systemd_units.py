"""The shipped unit: what systemd itself says about it, and what it must and must not have."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

UNITS: Final = Path(__file__).resolve().parents[2] / "systemd"
ANALYZE: Final = shutil.which("systemd-analyze")

needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")


def settings() -> dict[str, list[str]]:
    """Every key of the unit with its values."""
    found: dict[str, list[str]] = {}
    for line in (UNITS / "srwatchd.service").read_text(encoding="utf-8").splitlines():
        key, separator, value = line.partition("=")
        if separator and not line.startswith(("#", "[")):
            found.setdefault(key, []).append(value)
    return found


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert ANALYZE is not None
    return subprocess.run([ANALYZE, *arguments], capture_output=True, text=True, check=False, timeout=60)


@needs_systemd
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    """Without a warning, apart from the program, which is not installed where the tests run."""
    unit = (UNITS / "srwatchd.service").read_text(encoding="utf-8")
    copy = tmp_path / "srwatchd.service"
    copy.write_text(unit.replace("/opt/srwatchd/bin/srwatchd", "/bin/true"), encoding="utf-8")
    verified = analyze("verify", "--recursive-errors=no", str(copy))
    complaints = [line for line in verified.stderr.splitlines() if "srwatchd" in line]
    assert (verified.returncode, complaints) == (0, [])


@needs_systemd
def test_the_unit_is_hardened() -> None:
    """At most 2.0 of 10 in systemd's own review."""
    review = analyze("security", "--offline=true", "--threshold=20", "--no-pager", str(UNITS / "srwatchd.service"))
    assert review.returncode == 0, review.stdout[-500:]


def test_the_unit_restarts_for_ever_but_not_on_a_bad_configuration() -> None:
    """An unattended box comes back by itself; exit status 78 waits for a person."""
    unit = settings()
    assert unit["Restart"] == ["always"]
    assert unit["StartLimitIntervalSec"] == ["0"]
    assert unit["RestartPreventExitStatus"] == ["78"]


def test_the_unit_has_no_network() -> None:
    """Offline by construction."""
    unit = settings()
    assert (unit["PrivateNetwork"], unit["RestrictAddressFamilies"]) == (["yes"], ["AF_UNIX"])


@pytest.mark.parametrize(
    "key", ["MemoryDenyWriteExecute", "RestrictSUIDSGID", "PrivateUsers", "ProcSubset", "DynamicUser", "RestartSteps"]
)
def test_what_would_break_it_is_left_out(key: str) -> None:
    """OpenVINO, folders with the set-group-id bit, owners, the boot id, a fixed user, systemd 252."""
    assert key not in settings()


def test_the_stop_is_given_the_time_it_is_promised() -> None:
    """The daemon needs up to 25 s; the service manager waits longer and signals the daemon alone."""
    unit = settings()
    assert (unit["KillMode"], unit["TimeoutStopSec"]) == (["mixed"], ["30"])
