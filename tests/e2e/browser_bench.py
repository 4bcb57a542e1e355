"""A daemon, its console and a Chromium in a network namespace with nothing in it but loopback."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "integration"))
from commands import PATIENCE, ROOT, command, stopped, wait_for

from srwatchd.control.socket import call
from srwatchd.errors import FatalError

__all__ = ["CHROMIUM", "Namespace", "Service", "dropped", "missing"]

CHROMIUM = shutil.which("chromium")
ALONE = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]

# The holder of a namespace: sets loopback up (SIOCSIFFLAGS with IFF_UP | IFF_RUNNING), says so, ends with its input.
_HOLDER = """
import fcntl, socket, struct, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    fcntl.ioctl(s, 0x8914, struct.pack("16sh22x", b"lo", 0x41))
print([name for _, name in socket.if_nameindex()], flush=True)
sys.stdin.read()
"""


def missing():
    """Why no browser can be tried here; None if it can."""
    if CHROMIUM is None:
        return "chromium is not installed"
    for tool in ("unshare", "nsenter"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    tried = subprocess.run([*ALONE, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        return f"no network namespace here: {tried.stderr.strip()}"
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "playwright is not installed"
    return None


class Namespace:
    """A network of its own, inside a ``with`` block; ``words`` in front of a command run it there."""

    def __enter__(self):
        words = [*ALONE, sys.executable, "-c", _HOLDER]
        self._holder = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        said = self._holder.stdout.readline().strip()
        assert said == "['lo']", said
        users = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        self.words = ["nsenter", f"--target={self._holder.pid}", "--net", *users, "--"]
        return self

    def __exit__(self, *_):
        self._holder.communicate()

    def browser(self, folder):
        """The path of a program that is Chromium in here."""
        program = folder / "chromium-inside"
        program.write_text(f'#!/bin/sh\nexec {" ".join(self.words)} {CHROMIUM} "$@"\n')
        program.chmod(0o755)
        return program


class Service:
    """The daemon and the console of a configuration, in a namespace."""

    def __init__(self, config, namespace):
        self.config = config
        self.folder = config.parent
        self._words = namespace.words
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        with self._stack:
            self.daemon = self._stack.enter_context(self._process("run"))
            wait_for(self._status)
            self.console = self._stack.enter_context(self._process("console", "--port", "0", stdout=subprocess.PIPE))
            said = self.console.stdout.readline().decode()
            found = re.search(r"http://\S+", said)
            assert found, (self.folder / "console.log").read_text()
            self.url = found[0].rstrip("/")
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    def _status(self):
        """What the daemon says; None before it serves its folders."""
        assert self.daemon.poll() is None, (self.folder / "run.log").read_text()
        with contextlib.suppress(FatalError):
            return call(self.folder / "var" / "control.sock", "status")
        return None

    @contextlib.contextmanager
    def held_at_a_tile(self, name):
        """A picture is enlarged no further than its first tiles."""

        def working():
            told = self._status()
            if told and any(each["name"] == name and each["done"] for each in told["jobs"]["running"]):
                return [each["pid"] for each in told["workers"] if each["role"] == "infer"]
            return None

        with stopped(wait_for(working)):
            yield

    @contextlib.contextmanager
    def import_held(self):
        """The model that comes in is tried no further."""

        def trying():
            children = Path(f"/proc/{self.console.pid}/task/{self.console.pid}/children").read_text().split()
            return [int(pid) for pid in children if b"importchild" in _command(pid)]

        with stopped(wait_for(trying)):  # not before its exec, for which the console stands still
            yield

    def stop_daemon(self):
        """The daemon ends in order; the console goes on."""
        self.daemon.send_signal(signal.SIGTERM)
        assert self.daemon.wait(PATIENCE) == 0

    @contextlib.contextmanager
    def _process(self, name, *words, **options):
        with (self.folder / f"{name}.log").open("wb") as log:
            whole = [*self._words, *command(name, "--config", self.config, *words)]
            process = subprocess.Popen(whole, cwd=ROOT, stderr=log, **options)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)
            if process.stdout:
                process.stdout.close()


def _command(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def dropped(page, selector, paths):
    """Drag real files and folders from outside onto the page, and let go of them over ``selector``."""
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}

    def move(kind, x, y):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": x, "y": y, "data": data})

    move("dragEnter", 200, 200)
    move("dragOver", 200, 200)
    box = page.locator(selector).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    move("dragOver", x, y)
    move("drop", x, y)
    session.detach()
