"""What the console's unit is granted, and when it is there."""

from __future__ import annotations

import pytest

from srwatchd.config import Config, data_path
from srwatchd.systemd import (
    Command,
    Host,
    Installation,
    MountPoint,
    WriteFile,
    console_drop_in,
    console_folders,
    install_steps,
    remove_steps,
)

UNIT = "/usr/local/lib/systemd/system/srwatchd-console.service"


def config(root: str = "/srv/pictures", state: str = "/var/lib/srwatchd", **extra: object) -> Config:
    places = {name: f"{root}/{name}" for name in ("inbox", "done", "error", "archive")}
    folder = {"id": "a", "model": "fsrcnn_x3", **places}
    models = {"models_dir": extra.pop("models", f"{state}/models")}
    return Config.model_validate({"state_dir": state, **models, "folders": (folder,), **extra})


def granted(text: str) -> list[str]:
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith("ReadWritePaths=")]


def test_of_the_folders_only_inboxes_may_be_written() -> None:
    """Also when all of them are on one mount: results, archive and error folder lie there as well."""
    text = console_drop_in(config(), Host((MountPoint("/srv/pictures"),)))
    assert granted(text) == ["-/srv/pictures/inbox"]
    assert "StateDirectory=" not in text
    assert f"MemoryMax={768 << 20}\n" in text


def test_a_state_elsewhere_is_granted_and_made() -> None:
    """The console's folder, the origins and the models; not the ledger, not the state's own files."""
    made = config(state="/data/50% off", models="/data/models")
    text = console_drop_in(made, Host())
    assert granted(text) == [
        "-/srv/pictures/inbox", "'-/data/50%% off/console'", "'-/data/50%% off/origins'", "-/data/models"
    ]  # fmt: skip
    assert "StateDirectory=\n" in text
    assert console_folders(made).splitlines()[1:] == [
        'd "/data/50%% off" 0750 srwatchd srwatchd -',
        'd "/data/50%% off/console" 0750 srwatchd srwatchd -',
        'd "/data/50%% off/origins" 0750 srwatchd srwatchd -',
        "d /data/models 0750 srwatchd srwatchd -",
    ]
    assert console_folders(config()) == ""


@pytest.mark.parametrize(
    ("host", "open_to_others"),
    [("127.0.0.1", False), ("::1", False), ("localhost", False), ("0.0.0.0", True), ("box", True)],  # noqa: S104
)
def test_other_addresses_are_let_in_when_it_listens_elsewhere(host: str, *, open_to_others: bool) -> None:
    """Only then."""
    text = console_drop_in(config(console={"host": host}), Host())
    assert ("IPAddressAllow=any\n" in text) is open_to_others


def steps(**place: bool | str) -> list[object]:
    return list(install_steps(config(), Installation(data_path("systemd"), Host(), 252, **place)))


def test_its_unit_is_there_only_with_the_extra() -> None:
    """Installed beside the daemon's, not started by itself; an instance brings none."""
    written = {step.path for step in steps(console=True) if isinstance(step, WriteFile)}
    assert {UNIT, f"{UNIT}.d/10-configuration.conf"} <= written
    for without in (steps(), steps(console=True, instance="north")):
        assert not any(isinstance(step, WriteFile) and "console" in step.path for step in without)
    words = [step.words for step in steps(console=True, start=True) if isinstance(step, Command)]
    assert ("systemctl", "enable", "srwatchd-console.service") not in words
    assert ("systemctl", "try-restart", "srwatchd-console.service") in words


def test_asked_for_it_runs_from_now_on() -> None:
    """Enabled, and started after the daemon."""
    words = [step.words for step in steps(console=True, console_on=True, start=True) if isinstance(step, Command)]
    daemon, console = (("systemctl", "restart", name) for name in ("srwatchd.service", "srwatchd-console.service"))
    assert ("systemctl", "enable", "srwatchd-console.service") in words
    assert words.index(daemon) < words.index(console)


def test_it_is_taken_away_with_the_rest() -> None:
    """Unit and what makes its folders."""
    gone = {getattr(step, "path", "") for step in remove_steps(Installation(data_path("systemd"), Host(), 252))}
    assert {UNIT, "/usr/local/lib/tmpfiles.d/srwatchd-console.conf"} <= gone
