"""What clients of shares do to a picture, and what has to become of it.

Each scene drops one picture of its own; ``ends`` says where it must be in the end. A pause is longer than the settle
time and shorter than the grace of the folder.
"""

from __future__ import annotations

import contextlib
import glob
import os
import random
import re
import signal
import struct
import sys
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from commands import wait_for
from share_servers import ANNA, BERT, PASSWORD, User
from smb_client import SmbClient

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from share_servers import Servers

__all__ = ["SCENES", "Scene", "Stage", "picture"]


def picture(seed: str, *, form: str = "png", width: int = 420, height: int = 300) -> bytes:
    """Noise, which no compression makes small: some hundred kilobytes."""
    noise = random.Random(seed)
    if form == "bmp":
        body = noise.randbytes(width * 3 * height)
        head = struct.pack(
            "<2sIHHIIiiHHIIiiII", b"BM", 54 + len(body), 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0
        )
        return head + body

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = b"".join(b"\0" + noise.randbytes(width * 3) for _ in range(height))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows, 0)) + chunk(b"IEND", b"")


@dataclass(frozen=True)
class Stage:
    """Where a scene plays: servers, a folder of its own for local files, and the pause in seconds."""

    servers: Servers
    folder: Path
    pause: float

    def local(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path

    def wait(self) -> None:
        time.sleep(self.pause)

    def let_go(self, name: str) -> None:
        """Wait until no server has the picture open any more."""
        wait_for(lambda: str(self.inbox() / name) not in opened())

    def samba(self, user: User = ANNA) -> SmbClient:
        return SmbClient(self.servers.ports["smb"], user.name, PASSWORD)

    def inbox(self, folder: str = "scans") -> Path:
        return self.servers.top / "srwatchd" / folder / "in"


@dataclass(frozen=True)
class Scene:
    """``play`` drops the picture as ``name``; ``who`` the ledger has to name, and how it knows."""

    name: str
    play: Callable[[Stage, str, bytes], None]
    ends: Literal["delivered", "incomplete"] = "delivered"
    who: User = ANNA
    known: Literal["samba", "owner"] = "samba"
    folder: str = "scans"

    @property
    def content(self) -> bytes:
        return picture(self.name, form=self.name.rpartition(".")[2])


def done(answer: subprocess.CompletedProcess[str], *, code: int = 0) -> None:
    assert answer.returncode == code, answer.stdout + answer.stderr


def opened() -> set[str]:
    """What every process of this machine has open."""
    found = set()
    for link in glob.iglob("/proc/[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            found.add(os.readlink(link))
    return found


def written(pid: int) -> int:
    """How many bytes a process has written, to sockets, too."""
    counted = re.search(r"wchar: (\d+)", Path(f"/proc/{pid}/io").read_text())
    assert counted
    return int(counted[1])


# -- Samba ---------------------------------------------------------------------------------------------------------


def smb_put(stage: Stage, name: str, content: bytes) -> None:
    done(stage.servers.smbclient(f'cd in; put "{stage.local(name, content)}" "{name}"'))


def smb_put_of_bert(stage: Stage, name: str, content: bytes) -> None:
    done(stage.servers.smbclient(f'cd in; put "{stage.local(name, content)}" "{name}"', user=BERT))


def smb_into_folder(stage: Stage, name: str, content: bytes) -> None:
    folder, _, base = name.partition("/")
    done(stage.servers.smbclient(f'cd in; mkdir {folder}; cd {folder}; put "{stage.local(base, content)}" "{base}"'))


def smb_rename(stage: Stage, name: str, content: bytes) -> None:
    file = stage.local(name, content)
    done(stage.servers.smbclient(f'cd in; put "{file}" "{name}.part"; rename "{name}.part" "{name}"'))


def smb_size_first(stage: Stage, name: str, content: bytes) -> None:
    """Windows sets the size, then writes; here with a break longer than the settle time."""
    with stage.samba() as client:
        file = client.open(f"in/{name}")
        file.set_size(len(content))
        file.write(content[:100_000])
        stage.wait()
        file.write(content[100_000:], 100_000)
        file.set_times()
        file.close()


def smb_dies(stage: Stage, name: str, content: bytes) -> None:
    client = stage.samba()
    client.open(f"in/{name}").write(content[:100_000])
    client.die()


def smb_dies_after_size(stage: Stage, name: str, content: bytes) -> None:
    """A format that cannot prove its end: only the hole tells."""
    client = stage.samba()
    file = client.open(f"in/{name}")
    file.set_size(len(content))
    file.write(content[:100_000])
    client.die()


def smb_comes_back(stage: Stage, name: str, content: bytes) -> None:
    client = stage.samba()
    client.open(f"in/{name}").write(content[:100_000])
    client.die()
    stage.let_go(name)
    stage.wait()
    with stage.samba() as again:
        file = again.open(f"in/{name}", existing=True)
        file.write(content[100_000:], 100_000)
        file.close()


def smb_renames_open(stage: Stage, name: str, content: bytes) -> None:
    with stage.samba() as client:
        file = client.open(f"in/{name}.tmp")
        file.write(content[:100_000])
        file.rename(f"in/{name}")
        stage.wait()
        file.write(content[100_000:], 100_000)
        file.close()


def smb_moves_folder(stage: Stage, name: str, content: bytes) -> None:
    """A folder filled under a name that is never entered, then renamed: its pictures arrive at once."""
    folder, _, base = name.partition("/")
    file = stage.local(base, content)
    done(stage.servers.smbclient(f'cd in; mkdir .{folder}; put "{file}" ".{folder}/{base}"; rename .{folder} {folder}'))


# -- SFTP ----------------------------------------------------------------------------------------------------------


def sftp_put(stage: Stage, name: str, content: bytes) -> None:
    file = stage.local(name, content)
    os.utime(file, (1e9, 1e9))
    done(stage.servers.sftp(f'put -p "{file}" "in/{name}"\n'))


def sftp_reput(stage: Stage, name: str, content: bytes) -> None:
    half, whole = stage.local(f"half-{name}", content[:100_000]), stage.local(name, content)
    done(stage.servers.sftp(f'put "{half}" "in/{name}"\n'))
    stage.wait()
    done(stage.servers.sftp(f'reput "{whole}" "in/{name}"\n'))


def sftp_rename(stage: Stage, name: str, content: bytes) -> None:
    file = stage.local(name, content)
    done(stage.servers.sftp(f'put "{file}" "in/{name}.filepart"\nrename "in/{name}.filepart" "in/{name}"\n'))


def sftp_half(stage: Stage, name: str, content: bytes) -> None:
    done(stage.servers.sftp(f'put "{stage.local(name, content[:100_000])}" "in/{name}"\n'))


# -- rsync, FTP ----------------------------------------------------------------------------------------------------


def rsync_plain(stage: Stage, name: str, content: bytes) -> None:
    done(stage.servers.rsync(stage.local(name, content), name, "-t"))


def rsync_in_place(stage: Stage, name: str, content: bytes) -> None:
    done(stage.servers.rsync(stage.local(name, content), name, "--inplace", "--bwlimit=150"))


def rsync_interrupted(stage: Stage, name: str, content: bytes) -> None:
    """Killed on the way; `--partial` puts what there is under the final name."""
    file, words = stage.local(name, content), ("--partial", "--bwlimit=20")
    done(stage.servers.rsync(file, name, *words, until=lambda pid: written(pid) > 60_000), code=-signal.SIGKILL)
    wait_for((stage.inbox() / name).exists)


def rsync_resumed(stage: Stage, name: str, content: bytes) -> None:
    rsync_interrupted(stage, name, content)
    done(stage.servers.rsync(stage.local(name, content), name, "--partial", "--append-verify"))


def ftp_put(stage: Stage, name: str, content: bytes) -> None:
    done(stage.servers.curl(stage.local(name, content), name))


def ftp_interrupted(stage: Stage, name: str, content: bytes) -> None:
    file, arrived, words = stage.local(name, content), stage.inbox() / name, ("--limit-rate", "20k")

    def begun(_: int) -> bool:
        return arrived.exists() and arrived.stat().st_size > 60_000

    done(stage.servers.curl(file, name, *words, until=begun), code=-signal.SIGKILL)
    stage.let_go(name)


def ftp_resumed(stage: Stage, name: str, content: bytes) -> None:
    ftp_interrupted(stage, name, content)
    stage.wait()
    done(stage.servers.curl(stage.local(name, content), name, "-C", "-"))


# -- without CAP_LEASE ---------------------------------------------------------------------------------------------


def plain_sftp(stage: Stage, name: str, content: bytes) -> None:
    done(stage.servers.sftp(f'put "{stage.local(name, content)}" "/srwatchd/plain/in/{name}"\n'))


_SLOW = """
import sys, time
name, pause = sys.argv[1:]
content = sys.stdin.buffer.read()
with open(name, "wb", 0) as file:
    file.write(content[:99_999])
    time.sleep(float(pause))
    file.write(content[99_999:])
"""


def plain_slow(stage: Stage, name: str, content: bytes) -> None:
    """Another user's program holds its file open and pauses; this daemon cannot ask about it."""
    target, words = stage.inbox("plain") / name, ("--reuid", str(ANNA.uid), "--regid", "61100", "--clear-groups")
    script = (sys.executable, "-S", "-c", _SLOW, target, str(stage.pause))
    done(stage.servers.run("setpriv", *words, "--", *script, input=content, text=False))


def plain_half(stage: Stage, name: str, content: bytes) -> None:
    done(stage.servers.sftp(f'put "{stage.local(name, content[:100_000])}" "/srwatchd/plain/in/{name}"\n'))


SCENES = (
    Scene("smb put.png", smb_put),
    Scene("smb bert ü|é.png".replace("|", " "), smb_put_of_bert, who=BERT),
    Scene("sub/smb folder.png", smb_into_folder),
    Scene("smb rename.png", smb_rename),
    Scene("smb size first.png", smb_size_first),
    Scene("smb dies.png", smb_dies, "incomplete"),
    Scene("smb dies after size.bmp", smb_dies_after_size, "incomplete"),
    Scene("smb comes back.png", smb_comes_back),
    Scene("smb renames open.png", smb_renames_open),
    Scene("moved/smb folder.png", smb_moves_folder),
    Scene("sftp put.png", sftp_put, known="owner"),
    Scene("sftp reput.png", sftp_reput, known="owner"),
    Scene("sftp rename.png", sftp_rename, known="owner"),
    Scene("sftp half.png", sftp_half, "incomplete", known="owner"),
    Scene("rsync plain.png", rsync_plain, who=BERT, known="owner"),
    Scene("rsync in place.png", rsync_in_place, who=BERT, known="owner"),
    Scene("rsync interrupted.png", rsync_interrupted, "incomplete", who=BERT, known="owner"),
    Scene("rsync resumed.png", rsync_resumed, who=BERT, known="owner"),
    Scene("ftp put.png", ftp_put, who=BERT, known="owner"),
    Scene("ftp interrupted.png", ftp_interrupted, "incomplete", who=BERT, known="owner"),
    Scene("ftp resumed.png", ftp_resumed, who=BERT, known="owner"),
    Scene("plain sftp.png", plain_sftp, known="owner", folder="plain"),
    Scene("plain slow.png", plain_slow, known="owner", folder="plain"),
    Scene("plain half.png", plain_half, "incomplete", known="owner", folder="plain"),
)
