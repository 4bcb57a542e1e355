"""The shipped unit: what systemd itself says about it, and what it must and must not have."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from srwatchd.config import Config
from srwatchd.systemd import Host, MountPoint, console_drop_in, drop_in, needs
from srwatchd.systemd.escaping import mount_unit

UNITS: Final = Path(__file__).resolve().parents[2] / "systemd"
ANALYZE: Final = shutil.which("systemd-analyze")

NAMES: Final = ("srwatchd.service", "srwatchd@.service")
CONSOLE: Final = "srwatchd-console.service"

needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")


def settings(name: str = "srwatchd.service") -> dict[str, list[str]]:
    """Every key of the unit with its values."""
    found: dict[str, list[str]] = {}
    for line in (UNITS / name).read_text(encoding="utf-8").splitlines():
        key, separator, value = line.partition("=")
        if separator and not line.startswith(("#", "[")):
            found.setdefault(key, []).append(value)
    return found


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert ANALYZE is not None
    return subprocess.run([ANALYZE, *arguments], capture_output=True, text=True, check=False, timeout=60)


def complaints(tmp_path: Path, name: str, *drop_ins: str) -> tuple[int, list[str]]:
    """What systemd says about a unit with drop-ins, apart from the program, which is not installed here."""
    unit = (UNITS / name).read_text(encoding="utf-8")
    tmp_path.mkdir(exist_ok=True)
    copy = tmp_path / name.replace("@.", "@one.")
    copy.write_text(unit.replace("/opt/srwatchd/bin/srwatchd", "/bin/true"), encoding="utf-8")
    folder = tmp_path / f"{copy.name}.d"
    folder.mkdir(exist_ok=True)
    for number, text in enumerate(drop_ins):
        (folder / f"{number}.conf").write_text(text, encoding="utf-8")
    verified = analyze("verify", "--recursive-errors=no", str(copy))
    return verified.returncode, [line for line in verified.stderr.splitlines() if "srwatchd" in line]


@needs_systemd
@pytest.mark.parametrize("name", [*NAMES, CONSOLE])
def test_systemd_accepts_the_unit(tmp_path: Path, name: str) -> None:
    """Without a warning."""
    assert complaints(tmp_path, name) == (0, [])


@needs_systemd
@pytest.mark.parametrize("name", ["gpu", "opencv", "samba"])
def test_systemd_accepts_the_drop_ins(tmp_path: Path, name: str) -> None:
    """Those for every version; the others are for newer ones than some machines have."""
    text = (UNITS / "drop-ins" / f"{name}.conf").read_text(encoding="utf-8")
    assert complaints(tmp_path, "srwatchd.service", text) == (0, [])


@needs_systemd
def test_systemd_accepts_what_a_configuration_asks_for(tmp_path: Path) -> None:
    """The strangest folders that a unit file can hold."""
    root = '/mnt/my share/50% "it\'s"\\x'
    folder = {name: f"{root}/{name}" for name in ("inbox", "done", "error", "archive")}
    config = Config.model_validate({"folders": ({"id": "a", "model": "fsrcnn_x3", **folder},)})
    text = drop_in(needs(config, Host((MountPoint("/mnt/my share"),), command="/bin/true")))
    assert complaints(tmp_path, "srwatchd.service", text) == (0, [])
    plain = drop_in(needs(config, Host(command="/bin/true")))
    assert complaints(tmp_path / "plain", "srwatchd.service", plain) == (0, [])
    console = console_drop_in(config, Host(command="/bin/true"))
    assert complaints(tmp_path / "console", CONSOLE, console) == (0, [])


@pytest.mark.skipif(shutil.which("systemd-escape") is None, reason="systemd-escape is not installed")
@pytest.mark.parametrize(
    "path", ["/", "/a/b", "/a b/c-d", "/.x/.y", "/50%/\\", "/ü:_/~", "//twice//", "/a'b\"c", "/mnt/x@y"]
)
def test_mounts_have_the_names_that_systemd_gives_them(path: str) -> None:
    """Compared with systemd-escape itself."""
    escape = [shutil.which("systemd-escape") or "", "--path", "--suffix=mount", "--", path]
    answer = subprocess.run(escape, capture_output=True, text=True, check=True)
    assert mount_unit(path) == answer.stdout.rstrip("\n")


@needs_systemd
@pytest.mark.parametrize("name", NAMES)
def test_the_unit_is_hardened(name: str) -> None:
    """At most 1.0 of 10 in systemd's own review."""
    review = analyze("security", "--offline=true", "--threshold=10", "--no-pager", str(UNITS / name))
    assert review.returncode == 0, review.stdout[-500:]


@needs_systemd
def test_the_console_is_hardened() -> None:
    """At most 1.6 of 10: what is more than the daemon's is that it can be reached."""
    review = analyze("security", "--offline=true", "--threshold=16", "--no-pager", str(UNITS / CONSOLE))
    assert review.returncode == 0, review.stdout[-500:]


def test_the_console_is_confined_as_the_daemon_is() -> None:
    """The same lines but for its network, what it may write and take, and the daemon's own ways with systemd."""
    daemon, console = settings(), settings(CONSOLE)
    different = {key for key in daemon.keys() | console.keys() if daemon.get(key) != console.get(key)}
    network = {"PrivateNetwork", "RestrictAddressFamilies", "IPAddressAllow"}
    notify = {"Type", "NotifyAccess", "ExecReload", "WatchdogSec", "TimeoutStartSec", "TimeoutStopSec"}
    writing = {"StateDirectory", "ReadWritePaths", "AmbientCapabilities", "CapabilityBoundingSet", "PrivateMounts"}
    taking = {"MemoryMax", "TasksMax", "CPUWeight", "IOWeight", "Nice"}
    assert different == {"Description", "After", "ExecStart"} | network | notify | writing | taking


def test_the_console_is_reached_from_this_machine_only() -> None:
    """Everything else is an administrator's decision; no network of the machine is hidden from it by mistake."""
    unit = settings(CONSOLE)
    assert (unit["IPAddressDeny"], unit["IPAddressAllow"]) == (["any"], ["localhost"])
    assert unit["RestrictAddressFamilies"] == ["AF_UNIX AF_INET AF_INET6"]


def test_an_instance_differs_in_its_name_only() -> None:
    """The same settings but for the description, the configuration and the state directory."""
    one, many = settings(), settings("srwatchd@.service")
    different = {key for key in one.keys() | many.keys() if one.get(key) != many.get(key)}
    assert different == {"Description", "ExecStart", "StateDirectory"}


def test_a_reload_needs_no_other_package() -> None:
    """A minimal system has no /bin/kill; its shell knows how."""
    assert settings()["ExecReload"] == ["/bin/sh -c 'kill -HUP $MAINPID'"]


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
