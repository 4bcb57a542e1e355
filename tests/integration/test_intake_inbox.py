from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from intake_bench import another_user, open_inbox, tmpfs

from srwatchd.errors import HostError, InstanceError
from srwatchd.intake.inbox import Inbox
from srwatchd.intake.mounts import mount_of

if TYPE_CHECKING:
    from pathlib import Path


def refusal(root: Path, **changes: object) -> HostError:
    with pytest.raises(HostError) as caught:
        open_inbox(root, **{"create": False, **changes})
    assert caught.value.path
    return caught.value


def test_inbox_new_one_is_made_and_marked(tmp_path):
    """The first run makes folder, private folder (0700) and id; the next one finds the same id."""
    root = tmp_path / "deep" / "in"
    with open_inbox(root) as inbox:
        first = inbox.inbox_id
        assert json.loads((root / ".srwatchd/id").read_text())["state"] == "state"
        assert stat.S_IMODE((root / ".srwatchd").stat().st_mode) == 0o700
        assert stat.S_IMODE(root.stat().st_mode) == 0o2775
        inbox.check()
    with open_inbox(root, create=False) as inbox:
        assert inbox.inbox_id == first
        assert sorted(os.listdir(root / ".srwatchd")) == ["id", "lock"]


def test_inbox_empty_mount_point_is_never_taken_for_the_folder(tmp_path):
    """Missing, unmarked and foreign folders are told apart, and nothing is made in them."""
    assert refusal(tmp_path / "none").code == "folder_missing"
    (tmp_path / "bare").mkdir()
    assert refusal(tmp_path / "bare").code == "folder_unmarked"
    assert os.listdir(tmp_path / "bare") == []
    (tmp_path / "half/.srwatchd").mkdir(parents=True)
    assert refusal(tmp_path / "half").code == "folder_unmarked"
    open_inbox(tmp_path / "in").close()
    assert refusal(tmp_path / "in", state_id="other").code == "folder_foreign"
    assert refusal(tmp_path / "in", state_id="other", create=True).code == "folder_foreign"
    (tmp_path / "file").write_text("x")
    assert refusal(tmp_path / "file").code == "folder_missing"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"inbox": "x"}', "null"])
def test_inbox_damaged_id_is_not_taken_for_a_missing_one(tmp_path, content):
    """Not even when folders are being made: it may be somebody else's."""
    open_inbox(tmp_path / "in").close()
    (tmp_path / "in/.srwatchd/id").write_text(content)
    error = refusal(tmp_path / "in", create=True)
    assert error.code == "folder_unmarked"
    assert "damaged" in error.message


def test_inbox_private_folder_is_never_a_link(tmp_path):
    """A link or a file put in its place leads nowhere."""
    (tmp_path / "elsewhere").mkdir()
    for number, make in enumerate((lambda p: p.symlink_to(tmp_path / "elsewhere"), lambda p: p.write_text(""))):
        root = tmp_path / f"in{number}"
        root.mkdir()
        make(root / ".srwatchd")
        assert refusal(root, create=True).code == "folder_foreign"
    assert os.listdir(tmp_path / "elsewhere") == []


def test_inbox_private_folder_made_by_somebody_else_is_refused(tmp_path):
    """Who may write to the inbox cannot prepare a private folder for us."""
    if os.geteuid() != 0:
        pytest.skip("needs a second user")
    (tmp_path / "in/.srwatchd").mkdir(parents=True)
    os.chown(tmp_path / "in/.srwatchd", 65534, 65534)
    error = refusal(tmp_path / "in", create=True)
    assert error.code == "folder_foreign"
    assert "65534" in error.message


def test_inbox_too_open_private_folder_is_closed(tmp_path):
    """Whatever its mode was, it is 0700 afterwards."""
    open_inbox(tmp_path / "in").close()
    (tmp_path / "in/.srwatchd").chmod(0o777)
    open_inbox(tmp_path / "in", create=False).close()
    assert stat.S_IMODE((tmp_path / "in/.srwatchd").stat().st_mode) == 0o700


def test_inbox_not_writable_is_said_so(tmp_path):
    """A folder that we may not write to is a hold, with the place."""
    root = tmp_path / "in"
    root.mkdir(mode=0o555)
    with another_user():
        tmp_path.chmod(0o755) if os.geteuid() != 65534 else None
        assert refusal(root, create=True).code in ("not_writable", "folder_missing")


def test_inbox_second_locker_is_refused(tmp_path):
    """Neither this process nor another one gets an inbox that is in use; a killed one gives it up."""
    root = tmp_path / "in"
    program = (
        "import sys, pathlib; from srwatchd.intake.inbox import Inbox\n"
        "i = Inbox.open(pathlib.Path(sys.argv[1]), state_id='state', create=True)\n"
        "print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(InstanceError) as caught:
            open_inbox(root)
        assert caught.value.code == "another_instance"
        holder.kill()
        holder.wait()
    with open_inbox(root), pytest.raises(InstanceError):
        open_inbox(root)


def test_inbox_close_is_complete_and_may_be_repeated(tmp_path):
    """No descriptor stays, neither after closing nor after a refusal."""
    before = len(os.listdir("/proc/self/fd"))
    inbox = open_inbox(tmp_path / "in")
    inbox.close()
    inbox.close()
    refusal(tmp_path / "in", state_id="other")
    refusal(tmp_path / "none")
    assert len(os.listdir("/proc/self/fd")) == before


def renamed(root: Path) -> None:
    root.rename(root.with_name("away"))


def replaced(root: Path) -> None:
    renamed(root)
    shutil.copytree(root.with_name("away"), root)


def private_replaced(root: Path) -> None:
    (root / ".srwatchd").rename(root / "x")
    (root / ".srwatchd").mkdir()


def id_changed(root: Path) -> None:
    data = json.loads((root / ".srwatchd/id").read_text())
    (root / ".srwatchd/id").write_text(json.dumps(data | {"inbox": "other"}))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (shutil.rmtree, "folder_missing"),
        (renamed, "folder_missing"),
        (replaced, "folder_missing"),
        (private_replaced, "folder_unmarked"),
        (lambda root: shutil.rmtree(root / ".srwatchd"), "folder_missing"),
        (id_changed, "folder_unmarked"),
        (lambda root: (root / ".srwatchd/id").unlink(), "folder_unmarked"),
    ],
    ids=["deleted", "renamed", "replaced", "private replaced", "private deleted", "id changed", "id deleted"],
)
def test_inbox_check_finds_every_replacement(tmp_path, change, code):
    """The open descriptors go on working; only the check sees that they lead elsewhere."""
    with open_inbox(tmp_path / "in") as inbox:
        change(tmp_path / "in")
        with pytest.raises(HostError) as caught:
            inbox.check()
        assert caught.value.code == code


def test_inbox_check_finds_a_mount_over_it_and_its_end(tmp_path):
    """Mounted over: held. Unmounted: well again. The mount's own inbox, unmounted: held."""
    root = tmp_path / "in"
    with open_inbox(root) as inbox:
        with tmpfs(root):
            with pytest.raises(HostError) as caught:
                inbox.check()
            assert caught.value.code == "folder_missing"
            assert mount_of(root).fs_type == "tmpfs"
            assert mount_of(root).source == "srwatchd-test"
            upper = Inbox.open(root, state_id="state", create=True)
            upper.check()
        inbox.check()
        with pytest.raises(HostError):
            upper.check()
        upper.close()


def test_inbox_mount_of_a_folder_below(tmp_path):
    """A path inherits the mount of what it lies in, also with a space in the mount point."""
    point = tmp_path / "a b"
    point.mkdir()
    outside = mount_of(tmp_path)
    with tmpfs(point):
        (point / "sub").mkdir()
        assert mount_of(point / "sub").point == str(point)
        assert not mount_of(point / "sub").remote
    assert mount_of(point) == outside
    with pytest.raises(FileNotFoundError):
        mount_of(tmp_path / "none")
