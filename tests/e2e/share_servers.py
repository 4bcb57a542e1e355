"""Real file servers as private instances on loopback, configured with what docs/shares.md says."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["ANNA", "BERT", "DAEMON", "PASSWORD", "Servers", "User", "missing", "remains", "snippet"]

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "shares.md"
PASSWORD = "a-test-on-loopback"  # noqa: S105 - of users that exist in one test's folder only
_PATIENCE = 60.0
_WRAPPER = "libnss_wrapper.so"
_SBIN = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


@dataclass(frozen=True)
class User:
    """A user that only the programs of the test know."""

    name: str
    uid: int


DAEMON = User("srwatchd", 61100)
ANNA, BERT = User("anna", 61101), User("bert", 61102)
PROGRAMS = ("smbd", "smbpasswd", "smbclient", "sshd", "ssh-keygen", "sftp", "rsync", "vsftpd", "curl", "setpriv")


def tool(name: str) -> str:
    return shutil.which(name, path=_SBIN) or name


def missing() -> str:
    """Why the servers cannot be run here; "" when they can."""
    if os.geteuid() != 0:
        return "only root can run servers that act as their users"
    absent = [name for name in PROGRAMS if shutil.which(name, path=_SBIN) is None]
    if absent:
        return f"not installed: {' '.join(absent)}"
    probe = subprocess.run(["/bin/true"], env={"LD_PRELOAD": _WRAPPER}, capture_output=True, check=False)
    if probe.stderr:
        return "not installed: libnss-wrapper"
    try:
        import smbprotocol  # noqa: F401
    except ImportError:
        return "not installed: smbprotocol (the extra test has it)"
    return ""


def snippet(kind: str, number: int = 0) -> str:
    """The ``number``-th block of one kind in docs/shares.md."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)[
        number
    ]


class Servers:
    """smbd, sshd, rsync and vsftpd over one tree, which stands for `/srv` of the document. Use as a context."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.private = top / "private"
        self.log = top / "samba-audit"
        self._held = {name: _held_port() for name in ("smb", "ssh", "rsync", "ftp")}
        self.ports: dict[str, int] = {name: held.getsockname()[1] for name, held in self._held.items()}
        self._started: list[subprocess.Popen[bytes]] = []
        self._clean = contextlib.ExitStack()

    # -- what everybody is given --------------------------------------------------------------------------------

    @property
    def env(self) -> dict[str, str]:
        """The environment in which the users exist."""
        users, groups = self.private / "passwd", self.private / "group"
        wrapped = {"LD_PRELOAD": _WRAPPER, "NSS_WRAPPER_PASSWD": str(users), "NSS_WRAPPER_GROUP": str(groups)}
        return {**os.environ, **wrapped, "PATH": _SBIN}

    def here(self, text: str) -> str:
        """Text of the document with its paths below this tree."""
        places = {"/var/log/samba-audit": str(self.log), "/srv": str(self.top)}
        return re.sub(r"/var/log/samba-audit|/srv\b", lambda found: places[found[0]], text)

    def run(self, *words: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        """A program to its end; its failure is the caller's to judge."""
        options = {"capture_output": True, "text": True, "timeout": 120.0, "env": self.env, **options}
        return subprocess.run([tool(str(words[0])), *map(str, words[1:])], check=False, **options)

    # -- life ---------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            undo.callback(self.stop)
            self._prepare()
            self._samba()
            self._sshd()
            self._rsync()
            self._vsftpd()
            for name, port in self.ports.items():
                self._await(name, port)
            self._clean = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._clean.close()

    def stop(self) -> None:
        """End every server with all that it has forked."""
        for process in self._started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in self._started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(3.0)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for held in self._held.values():
            held.close()

    def _start(self, name: str, *words: str | Path) -> None:
        with (self.private / f"{name}.out").open("wb") as out:
            command = [tool(str(words[0])), *map(str, words[1:])]
            process = subprocess.Popen(
                command, env=self.env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        self._started.append(process)

    def _await(self, name: str, port: int) -> None:
        deadline = time.monotonic() + _PATIENCE
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
                return
            assert time.monotonic() < deadline, (name, (self.private / f"{name}.out").read_text())
            time.sleep(0.05)

    # -- the servers --------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        self.top.chmod(0o755)
        self.private.mkdir(mode=0o755)
        nowhere = "/:/usr/sbin/nologin"
        own = (
            "root:x:0:0:root:/root:/bin/sh",
            f"nobody:x:65534:65534:nobody:{nowhere}",
            f"sshd:x:65533:65534::{nowhere}",
        )
        users = [f"{user.name}:x:{user.uid}:{user.uid}::{nowhere}" for user in (DAEMON, ANNA, BERT)]
        (self.private / "passwd").write_text("\n".join((*own, *users, "")))
        groups = [f"{user.name}:x:{user.uid}:" for user in (ANNA, BERT)]
        common = f"{DAEMON.name}:x:{DAEMON.uid}:{ANNA.name},{BERT.name}"
        (self.private / "group").write_text("\n".join(("root:x:0:", "nogroup:x:65534:", *groups, common, "")))
        made = self.run("sh", "-euc", self._commands())
        assert made.returncode == 0, made.stderr

    def _commands(self) -> str:
        """The shell commands of the document, but for the one that makes people members."""
        lines = (snippet("sh", 0) + snippet("sh", 1)).splitlines()
        return self.here("\n".join(line for line in lines if not line.startswith("usermod")))

    def _samba(self) -> None:
        folder = self.private / "samba"
        folder.mkdir()
        kinds = ("private dir", "state directory", "cache directory", "lock directory", "pid directory", "ncalrpc dir")
        places = [f"{kind} = {folder}/{kind.split()[0]}" for kind in kinds]
        for kind in kinds:
            (folder / kind.split()[0]).mkdir(exist_ok=True)
        usual = ("server role = standalone server", "load printers = no", "disable spoolss = yes", "printing = bsd")
        here = (f"smb ports = {self.ports['smb']}", "bind interfaces only = yes", "interfaces = 127.0.0.1")
        config = self.private / "smb.conf"
        config.write_text("\n".join(("[global]", *usual, *here, *places, self.here(snippet("ini")))))
        for user in (ANNA, BERT):
            both = f"{PASSWORD}\n{PASSWORD}\n"
            added = self.run("smbpasswd", "-c", config, "-s", "-a", user.name, input=both)
            assert added.returncode == 0, added.stderr
        self._start("smb", "smbd", "-F", "--no-process-group", "-s", config)

    def _sshd(self) -> None:
        key, host = self.private / "key", self.private / "host"
        for each in (key, host):
            self.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", each)
        (self.private / "authorized").write_bytes(key.with_suffix(".pub").read_bytes())
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where sshd drops its privileges; its package makes it, too
        usual = (f"Port {self.ports['ssh']}", "ListenAddress 127.0.0.1", f"HostKey {host}", "UsePAM no", "PidFile none")
        keys = (f"AuthorizedKeysFile {self.private}/authorized", "StrictModes no", "PasswordAuthentication no")
        config = self.private / "sshd_config"
        config.write_text("\n".join((*usual, *keys, self.here(snippet("text")))))
        self._start("ssh", "sshd", "-D", "-e", "-f", config)

    def _rsync(self) -> None:
        config = self.private / "rsyncd.conf"
        path = self.here("/srv/srwatchd/scans/in")
        module = f"[in]\npath = {path}\nread only = no\nuid = {BERT.name}\ngid = {DAEMON.name}\nuse chroot = no\n"
        config.write_text(f"port = {self.ports['rsync']}\naddress = 127.0.0.1\n{module}")
        self._start("rsync", "rsync", "--daemon", "--no-detach", f"--config={config}")

    def _vsftpd(self) -> None:
        config, empty = self.private / "vsftpd.conf", self.private / "empty"
        empty.mkdir()
        settings = {
            "listen": "YES",
            "listen_address": "127.0.0.1",
            "listen_port": self.ports["ftp"],
            "background": "NO",
            "anonymous_enable": "YES",
            "no_anon_password": "YES",
            "ftp_username": BERT.name,
            "anon_root": self.top,
            "write_enable": "YES",
            "anon_upload_enable": "YES",
            "anon_other_write_enable": "YES",
            "anon_umask": "002",
            "file_open_mode": "0666",
            "secure_chroot_dir": empty,
            "seccomp_sandbox": "NO",
            "isolate": "NO",
            "isolate_network": "NO",
        }
        config.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        config.chmod(0o600)
        self._start("ftp", "vsftpd", config)

    # -- clients ------------------------------------------------------------------------------------------------

    def smbclient(self, commands: str, *, user: User = ANNA) -> subprocess.CompletedProcess[str]:
        """Commands of smbclient, beginning in the folder `scans`."""
        words = ("smbclient", "-s", self.private / "smb.conf", "-p", str(self.ports["smb"]), "//127.0.0.1/scans")
        return self.run(*words, "-U", f"{user.name}%{PASSWORD}", "-c", commands)

    def sftp(self, commands: str, *, user: User = ANNA) -> subprocess.CompletedProcess[str]:
        """Commands of sftp, one per line, beginning in the folder `scans`."""
        options = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes", "LogLevel=ERROR")
        words = [
            "sftp",
            "-q",
            "-F",
            "/dev/null",
            "-P",
            str(self.ports["ssh"]),
            "-i",
            str(self.private / "key"),
            "-b",
            "-",
        ]
        for option in options:
            words += ["-o", option]
        return self.run(*words, f"{user.name}@127.0.0.1", input=commands)

    def rsync(
        self, source: Path, name: str, *options: str, until: Callable[[int], bool] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """One file to the module; the sender has no users."""
        target = f"rsync://127.0.0.1:{self.ports['rsync']}/in/{name}"
        return self._send("rsync", "--chmod=D2775,F664", *options, source, target, until=until)

    def curl(
        self, source: Path, name: str, *options: str, until: Callable[[int], bool] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """One file to the FTP server."""
        target = f"ftp://127.0.0.1:{self.ports['ftp']}/srwatchd/scans/in/{quote(name)}"
        return self._send("curl", "-sS", "-T", source, *options, target, until=until)

    def _send(self, *words: str | Path, until: Callable[[int], bool] | None) -> subprocess.CompletedProcess[str]:
        """A client to its end, or killed on the way as soon as ``until``, asked with its process id, is true."""
        if until is None:
            return self.run(*words, env=os.environ)
        with subprocess.Popen(list(map(str, words)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as client:
            try:
                while client.poll() is None and not until(client.pid):
                    time.sleep(0.02)
            finally:
                client.kill()
        return subprocess.CompletedProcess(client.args, client.returncode, "", "")


def _held_port() -> socket.socket:
    """A port that nobody is given as long as this is open; a server that asks for it, and reuses addresses, gets it."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    return held


def remains(top: Path) -> Iterator[str]:
    """Command lines of processes that still name the tree."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                if str(top) in line:
                    yield line
