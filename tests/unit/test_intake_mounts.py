from __future__ import annotations

import pytest
from intake_standin import Folder

from srwatchd.intake.mounts import LOCAL, REMOTE, SHARED, Mount, Timing, _longest, parse, timing_of

TABLE = [
    "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n",
    "30 22 0:40 / /srv/hot\\040folder rw master:1 propagate_from:2 - nfs4 nas:/export\\011x rw,vers=4.2\n",
    "31 22 0:41 / /srv rw - tmpfs tmpfs rw\n",
    "nonsense\n",
    "32 22 0:42 / /broken - x\n",
]


def test_mounts_table_is_read_with_its_escapes():
    """Spaces and tabs in mount points arrive as they are, optional fields are skipped, odd lines too."""
    assert parse(TABLE) == [
        Mount("/", "ext4", "/dev/vda", "254:0", 22),
        Mount("/srv/hot folder", "nfs4", "nas:/export\tx", "0:40", 30),
        Mount("/srv", "tmpfs", "tmpfs", "0:41", 31),
    ]


def test_mounts_longest_point_wins_and_of_equals_the_last():
    """Where the kernel does not tell the mount, it is the innermost, uppermost one."""
    mounts = [*parse(TABLE), Mount("/srv", "xfs", "/dev/sdb", "8:1", 40)]
    assert _longest("/srv/hot folder/a", mounts).fs_type == "nfs4"
    assert _longest("/srv/hot", mounts).fs_type == "xfs"
    assert _longest("/srvx", mounts).fs_type == "ext4"
    with pytest.raises(FileNotFoundError):
        _longest("/x", mounts[1:])


@pytest.mark.parametrize(
    "kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "fuse.sshfs", "fuse.rclone", "fuse", "virtiofs"]
)
def test_mounts_remote_kinds_are_polled_without_leases(kind):
    """Where other machines write unseen, only patience helps."""
    mount = Mount("/m", kind, "x", "0:1")
    assert mount.remote
    assert timing_of(mount, Folder()) == REMOTE == Timing(30.0, 120.0, poll=True)


@pytest.mark.parametrize(
    "kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs", "fuseblk", "fuse.mergerfs", "fuse.bindfs"]
)
def test_mounts_local_kinds_are_watched(kind):
    """The local times, and those for a folder that a server on this host shares."""
    mount = Mount("/m", kind, "x", "0:1")
    assert not mount.remote
    assert timing_of(mount, Folder()) == LOCAL == Timing(2.0, 60.0)
    assert timing_of(mount, Folder(), shared=True) == SHARED == Timing(5.0, 120.0)


def test_mounts_the_folders_own_settings_win():
    """Times and watch mode of the configuration override the mount's; grace never ends before settle by default."""
    remote, local = Mount("/m", "nfs", "x", "0:1"), Mount("/m", "ext4", "x", "8:1")
    assert timing_of(remote, Folder(watch_mode="inotify", settle=1.0, grace=0.5)) == Timing(1.0, 0.5)
    assert timing_of(local, Folder(watch_mode="poll", settle=300.0)) == Timing(300.0, 300.0, poll=True)
