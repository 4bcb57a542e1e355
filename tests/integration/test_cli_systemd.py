"""srwatchd systemd: what it shows, writes below another root, leaves alone and takes away."""

from __future__ import annotations

import shutil

import pytest
from click.testing import CliRunner

from srwatchd.cli.systemd import systemd
from srwatchd.config import data_path

CONFIG = """
state_dir: /var/lib/srwatchd
engine: {name: opencv}
folders: [{id: a, inbox: /mnt/nas/in, done: /mnt/nas/done, error: /data/err, archive: /data/arch, model: fsrcnn_x3}]
"""
UNITS = "usr/local/lib/systemd/system"


@pytest.fixture
def root(tmp_path):
    """Another system: users, an fstab."""
    for folder in ("etc", "usr/lib/systemd"):
        (tmp_path / "root" / folder).mkdir(parents=True)
    (tmp_path / "root/etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (tmp_path / "root/etc/group").write_text("root:x:0:\n")
    (tmp_path / "root/etc/fstab").write_text("nas:/x /mnt/nas nfs nofail 0 0\n")
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path / "root"


def call(*words):
    answer = CliRunner().invoke(systemd, [str(word) for word in words], catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return answer.output


needs_tools = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in ("systemctl", "systemd-sysusers", "systemd-tmpfiles")),
    reason="systemd is not installed",
)


def files(root):
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() or path.is_symlink()}


def test_a_dry_run_does_nothing(root):
    """It says every file and command, and makes none."""
    before = files(root)
    said = call("install", "--config", root.parent / "config.yaml", "--root", root, "--dry-run")
    assert files(root) == before
    assert f"write: {root}/{UNITS}/srwatchd.service" in said
    assert "run: systemctl --root=" in said


@needs_tools
def test_an_installation_is_whole_repeatable_and_taken_away(root):
    """Files as shipped, the drop-in fits, enabled; again nothing changes; an administrator's drop-in outlives all."""
    install = ("install", "--config", root.parent / "config.yaml", "--root", root)
    before = files(root)
    call(*install)
    for name in ("srwatchd.service", "srwatchd@.service", "srwatchd-console.service"):
        assert (root / UNITS / name).read_bytes() == data_path("systemd", name).read_bytes()
    text = (root / UNITS / "srwatchd.service.d/10-configuration.conf").read_text()
    assert "Wants=mnt-nas.mount\n" in text
    paths = [line.partition("=")[2] for line in text.splitlines() if line.startswith("ReadWritePaths=")]
    assert paths == ["-/data/arch", "-/data/err", "-/mnt/nas"]
    assert (root / UNITS / "srwatchd.service.d/20-opencv.conf").is_file()
    wants = root / "etc/systemd/system/multi-user.target.wants"
    assert (wants / "srwatchd.service").is_symlink()
    assert not (wants / "srwatchd-console.service").is_symlink(), "the console runs only when asked for"
    assert "-/mnt/nas/in\n" in (root / UNITS / "srwatchd-console.service.d/10-configuration.conf").read_text()
    mine = root / "etc/systemd/system/srwatchd.service.d/mine.conf"
    mine.parent.mkdir()
    mine.write_text("[Service]\nNice=5\n")
    assert "changed: 0 files" in call(*install)
    (root / UNITS / "srwatchd.service").write_text("of an older version\n")
    (root.parent / "config.yaml").write_text(CONFIG.replace("engine: {name: opencv}", ""))
    assert "changed: 2 files" in call(*install)
    assert not (root / UNITS / "srwatchd.service.d/20-opencv.conf").exists()
    (root.parent / "config.yaml").write_text(CONFIG.replace("opencv}", "onnxruntime, device: cuda}"))
    assert "changed: 1 files" in call(*install)
    assert (root / UNITS / "srwatchd.service.d/20-gpu.conf").is_file()
    call(*install, "--console")
    assert (wants / "srwatchd-console.service").is_symlink()
    call(*install, "--no-console")
    assert not (root / UNITS / "srwatchd-console.service").exists()
    assert not (wants / "srwatchd-console.service").is_symlink()
    call(*install, "--console")
    call("remove", "--root", root)
    made = {"etc/group", "etc/gshadow", "etc/passwd", "etc/shadow", "etc/group-", "etc/passwd-", "etc/.pwd.lock"}
    assert files(root) - before - made == {"etc/systemd/system/srwatchd.service.d/mine.conf"}


def test_the_drop_in_is_printed(root):
    """On standard output, nothing else with it."""
    said = call("drop-in", "--config", root.parent / "config.yaml")
    assert said.startswith("# Written by")
    assert "ReadWritePaths=-/data/err\n" in said
    assert "MemoryMax=1610612736\n" in said


def test_an_instance_has_a_plain_name():
    """What needs no escaping anywhere."""
    answer = CliRunner().invoke(systemd, ["drop-in", "--config", "/dev/null", "--instance", "a/b"])
    assert answer.exit_code == 2
