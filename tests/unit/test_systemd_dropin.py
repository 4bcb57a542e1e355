from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from srwatchd.config import Config, data_path
from srwatchd.systemd import Host, Installation, MountPoint, drop_in, install_steps, known_mounts, needs
from srwatchd.systemd.installation import Command, RemoveFile, WriteFile

if TYPE_CHECKING:
    from pathlib import Path

SHARE = MountPoint("/mnt/share")
LAZY = MountPoint("/mnt/lazy", automount=True)


def config(root: str = "/srv/srwatchd", **extra: object) -> Config:
    places = {name: f"{root}/{name}" for name in ("inbox", "done", "error", "archive")}
    folder = {"id": "a", "model": "fsrcnn_x3", **places}
    state = {"state_dir": "/var/lib/srwatchd"}
    return Config.model_validate({**state, "folders": ({**folder, **extra.pop("folder", {})},), **extra})


def test_the_usual_folders_need_nothing() -> None:
    """State below /var/lib and folders below /srv/srwatchd are what the unit ships with."""
    wanted = needs(config(), Host())
    assert (wanted.writable, wanted.units, wanted.home, wanted.temporary) == ((), (), False, False)
    assert "[Unit]" not in drop_in(wanted)


def test_memory_follows_the_limit() -> None:
    """MemoryMax is the limit and half of it for cached files."""
    wanted = needs(config(memory_limit=800 << 20), Host())
    assert f"MemoryMax={1200 << 20}\n" in drop_in(wanted)


def test_folders_elsewhere_may_be_written() -> None:
    """Each one, with a dash: a missing one never keeps the service from starting."""
    text = drop_in(needs(config("/data/50% off"), Host()))
    lines = [line for line in text.splitlines() if line.startswith("ReadWritePaths=")]
    assert lines == [f"ReadWritePaths='-/data/50%% off/{name}'" for name in ("archive", "done", "error", "inbox")]


@pytest.mark.parametrize("mount", [SHARE, MountPoint("/mnt/share/deep")])
def test_a_mount_is_granted_whole(mount: MountPoint) -> None:
    """The innermost mount, never a folder in it, which would pin it; ordered after and wanted, never required."""
    text = drop_in(needs(config("/mnt/share/deep/a"), Host((SHARE, mount))))
    assert [line for line in text.splitlines() if line.startswith("ReadWritePaths=")] == [
        f"ReadWritePaths=-{mount.path}"
    ]
    assert f"After={' '.join(dict.fromkeys((SHARE.unit, mount.unit)))}\n" in text
    assert "Wants=mnt-share.mount" in text
    assert "Requires" not in text


def test_a_mount_below_the_usual_folder_is_granted_too() -> None:
    """/srv/srwatchd is writable as it is, a disk that is mounted in it only when it is named."""
    disk = MountPoint("/srv/srwatchd/disk")
    assert needs(config("/srv/srwatchd/disk/a"), Host((disk,))).writable == ("/srv/srwatchd/disk",)


def test_a_mount_of_the_system_is_not_granted_whole() -> None:
    """A machine with /var or /home on a disk of its own: the folders alone."""
    wanted = needs(config("/home/joe"), Host((MountPoint("/home"), MountPoint("/var"))))
    assert wanted.writable == ("/home/joe/archive", "/home/joe/done", "/home/joe/error", "/home/joe/inbox")
    assert wanted.units == ()
    assert "ProtectHome=no\n" in drop_in(wanted)


def test_what_is_mounted_on_first_use_is_its_automount() -> None:
    """Wanting the mount itself would wait for its server."""
    assert needs(config("/mnt/lazy"), Host((LAZY,))).units == ("mnt-lazy.automount",)


def test_sources_that_are_deleted_need_no_archive() -> None:
    """Only what is written to is granted."""
    wanted = needs(config("/data", folder={"on_success": "delete"}), Host())
    assert "/data/archive" not in wanted.writable


def test_the_metrics_file_may_be_written() -> None:
    """Where node_exporter looks for it."""
    wanted = needs(config(metrics={"path": "/var/lib/node_exporter/srwatchd.prom"}), Host())
    assert wanted.writable == ("/var/lib/node_exporter",)


def test_another_program_or_configuration_is_named() -> None:
    """The unit's own ExecStart= is replaced, not added to."""
    text = drop_in(needs(config(), Host(command="/home/x y/bin/srwatchd")))
    assert 'ExecStart=\nExecStart="/home/x y/bin/srwatchd" run --config ' in text
    assert "ProtectHome=no\n" in text


def test_mounts_are_those_that_are_there_and_those_that_are_announced() -> None:
    """Mountinfo and fstab, escapes undone, swap and / left out."""
    mountinfo = [
        "21 1 8:1 / / rw - ext4 /dev/a rw",
        "22 21 8:2 / /mnt/my\\040disk rw - ext4 /dev/b rw",
        "23 21 0:9 / /mnt/lazy rw - autofs systemd-1 rw",
    ]
    fstab = [
        "# a comment",
        "UUID=1 / ext4 defaults 0 1",
        "nas:/x /mnt/nas\\040two nfs nofail,_netdev 0 0",
        "//nas/y /mnt/auto/ cifs x-systemd.automount,guest 0 0",
        "/dev/c none swap sw 0 0",
        "short line",
    ]
    assert known_mounts(mountinfo, fstab) == (
        MountPoint("/mnt/auto", automount=True),
        MountPoint("/mnt/lazy", automount=True),
        MountPoint("/mnt/my disk"),
        MountPoint("/mnt/nas two"),
    )


def steps(version: int = 252, **extra: object) -> list[WriteFile | RemoveFile | Command]:
    return install_steps(config(**extra), Installation(data_path("systemd"), Host(), version))


def drop_ins(found: list[WriteFile | RemoveFile | Command]) -> set[str]:
    return {step.path.rpartition("/20-")[2] for step in found if isinstance(step, WriteFile) and "/20-" in step.path}


@pytest.mark.parametrize(
    ("version", "extra", "expected"),
    [
        (252, {}, set()),
        (253, {}, {"notify-reload.conf"}),
        (254, {}, {"notify-reload.conf", "restart-steps.conf"}),
        (252, {"engine": {"name": "opencv"}}, {"opencv.conf"}),
        (252, {"engine": {"device": "gpu"}}, {"gpu.conf"}),
        (252, {"folder": {"source": {"samba_audit_log": "/var/log/samba/audit"}}}, {"samba.conf"}),
    ],
)
def test_the_drop_ins_that_fit_are_chosen(version: int, extra: dict[str, object], expected: set[str]) -> None:
    """By the version of systemd and by the configuration; the others are taken away again."""
    found = steps(version, **extra)
    assert drop_ins(found) == expected
    gone = {step.path for step in found if isinstance(step, RemoveFile)}
    taken = {path.rpartition("/20-")[2] for path in gone if "/20-" in path}
    assert taken | expected == {path.name for path in (data_path("systemd") / "drop-ins").iterdir()}


def test_nothing_of_an_administrator_is_touched() -> None:
    """Every file is below /usr/local/lib; what lies below /etc wins over it."""
    paths = [step.path for step in steps() if not isinstance(step, Command)]
    assert all(path.startswith("/usr/local/lib/") for path in paths)


def test_another_system_is_told_nothing() -> None:
    """With a root folder every command works on that folder, and no service manager is spoken to."""
    place = Installation(data_path("systemd"), Host(), 252, root="/image", running=False, start=True)
    commands = [step.words for step in install_steps(config(), place) if isinstance(step, Command)]
    assert all("--root=/image" in words for words in commands)
    assert {words[0] for words in commands} == {"systemd-sysusers", "systemd-tmpfiles", "systemctl"}


def test_an_instance_has_its_own_state_and_drop_in(tmp_path: Path) -> None:
    """srwatchd@north writes /var/lib/srwatchd-north; anything else it has to be granted."""
    there = config(state_dir="/var/lib/srwatchd-north")
    assert needs(there, Host(), instance="north").writable == ()
    assert needs(config(), Host(), instance="north").writable == ("/var/lib/srwatchd",)
    place = Installation(data_path("systemd"), Host(), 252, instance="north")
    paths = [step.path for step in install_steps(there, place) if isinstance(step, WriteFile)]
    assert "/usr/local/lib/systemd/system/srwatchd@north.service.d/10-configuration.conf" in paths
