"""A whole life without a network: each command in a namespace whose only interface is a loopback that is down.

strace shows that no process of srwatchd, workers included, ever makes an internet socket. Quick with what is installed
where the tests run; the whole, which first makes the archive for such a box and installs from it, takes a package
index and minutes: ``pytest -m soak tests/e2e/test_offline_life.py``.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "integration"))
from commands import PATIENCE, ROOT, png, size_of, wait_for

ALONE = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
TRACED = ["strace", "-f", "-qq", "--seccomp-bpf", "-e", "trace=%network", "-e", "signal=none"]
FAMILY = re.compile(r"\b(?:socket|socketpair)\((\w+)|\bsa_family=(\w+)")


def missing():
    """Why this cannot be seen here; None if it can."""
    absent = [tool for tool in ("unshare", "strace") if shutil.which(tool) is None]
    if absent:
        return f"not installed: {', '.join(absent)}"
    tried = subprocess.run([*ALONE, *TRACED, "-o", os.devnull, "true"], capture_output=True, text=True, check=False)
    return None if tried.returncode == 0 else f"no network namespace or no tracing here: {tried.stderr.strip()}"


pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]


def workers(daemon, role):
    """The process ids of a daemon's workers of one role."""
    children = Path(f"/proc/{daemon}/task/{daemon}/children").read_text().split()
    return [int(pid) for pid in children if role in Path(f"/proc/{pid}/cmdline").read_text().split("\0")]


class Box:
    """A machine without a network, in a folder. ``program`` is the srwatchd that it runs."""

    def __init__(self, folder, program):
        self.folder = folder
        self.program = [str(word) for word in program]
        self.config = folder / "hot" / "srwatchd.yaml"
        self.pictures = folder / "hot" / "hot" / "pictures"
        self.traces = folder / "traces"
        self.traces.mkdir(parents=True)
        kept = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PIP_CONFIG_FILE": os.devnull, "PYTHONPATH": ""}
        self.options = {"cwd": folder, "env": {**kept, "HOME": str(folder)}}

    def install(self, wheelhouse):
        """Not traced, for pip tries at its start whether there is IPv6, by a socket that reaches nothing."""
        venv = self.folder / "venv"
        pip = [str(venv / "bin" / "pip"), "install", "--quiet", "--no-index", "--find-links", str(wheelhouse)]
        for words in ([sys.executable, "-m", "venv", str(venv)], [*pip, "srwatchd"]):
            subprocess.run([*ALONE, *words], check=True, timeout=PATIENCE, **self.options)

    def _words(self, *words):
        trace = self.traces / f"{len(list(self.traces.iterdir()))}-{words[0]}"
        trace.touch()
        return [*ALONE, *TRACED, "-o", str(trace), *self.program, *map(str, words)]

    def does(self, *words):
        """One command, which has to succeed."""
        command = self._words(*words)
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False, **self.options)
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"

    def start(self):
        """The daemon, when it listens: its strace, and its own process id."""
        state = self.config.parent / "var"
        (state / "control.sock").unlink(missing_ok=True)  # a killed one leaves it
        with (self.folder / "daemon.log").open("ab") as log:
            tracer = subprocess.Popen(self._words("run", "--config", self.config), stderr=log, **self.options)
        wait_for(lambda: tracer.poll() is not None or (state / "control.sock").exists())
        assert tracer.poll() is None, (self.folder / "daemon.log").read_text()
        return tracer, int((state / "lock").read_text())

    def drop(self, name, picture):
        """A picture that is complete at once."""
        (self.pictures / "in" / f".{name}").write_bytes(picture)
        (self.pictures / "in" / f".{name}").rename(self.pictures / "in" / name)

    def live(self):
        """Make folders, start, upscale, import a model, be killed in work, start with that model, stop."""
        self.does("init", self.config.parent)
        tracer, daemon = self.start()
        try:
            self.drop("first.png", png())
            wait_for((self.pictures / "archive" / "first.png").exists)
            model = ROOT / "models" / "ESPCN_x3.pb"
            kind = ("--architecture", "espcn", "--scale", "3")
            self.does("models", "import", model, "--name", "mine", *kind, "--config", self.config)
            for worker in workers(daemon, "infer"):
                os.kill(worker, signal.SIGSTOP)  # the picture stays in work until the daemon is killed
            self.drop("second.png", png(900, 700))
            wait_for(lambda: not (self.pictures / "in" / "second.png").exists())
            os.kill(daemon, signal.SIGKILL)
            tracer.wait(PATIENCE)

            before = self.config.read_text()
            self.config.write_text(re.sub(r"(?m)^  model: \w+", "  model: mine", before))
            assert self.config.read_text() != before
            tracer, daemon = self.start()
            wait_for((self.pictures / "archive" / "second.png").exists)
            self.does("status", "--config", self.config)
            self.does("doctor", "--config", self.config)
            os.kill(daemon, signal.SIGTERM)
            assert tracer.wait(PATIENCE) == 0
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(daemon, signal.SIGKILL)  # strace lets go of what it traces when it is killed itself
            tracer.kill()
        self.does("audit", "verify", "--config", self.config)

    def families(self):
        """The address families of every socket that was made, and of every address that was used."""
        text = "".join(trace.read_text(errors="replace") for trace in self.traces.iterdir())
        return {made or used for made, used in FAMILY.findall(text)}

    def sizes(self):
        """Width and height of every result, in the order of their names."""
        return [size_of(each) for each in sorted((self.pictures / "done").glob("[!.]*"))]


def test_what_is_installed_lives_without_a_network(tmp_path):
    """Local sockets only, from the first command to the last."""
    box = Box(tmp_path / "box", [sys.executable, "-P", "-m", "srwatchd"])
    box.live()
    assert box.sizes() == [(48, 32), (2700, 2100)]
    assert box.families() == {"AF_UNIX"}


@pytest.mark.soak
def test_what_the_archive_installs_lives_without_a_network(tmp_path):
    """The same from a wheelhouse, as on a box that never had a network: nothing of this checkout takes part."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    archive = [str(ROOT / "packaging" / "make-archive.sh"), "--python", version, "--output", str(tmp_path)]
    made = subprocess.run(archive, stdout=subprocess.PIPE, text=True, check=True, timeout=800)
    with tarfile.open(made.stdout.split()[-1]) as opened:
        opened.extractall(tmp_path, filter="data")
    (wheelhouse,) = tmp_path.glob("*/wheelhouse")
    box = Box(tmp_path / "box", [tmp_path / "box" / "venv" / "bin" / "srwatchd"])
    box.install(wheelhouse)
    box.live()
    assert box.sizes() == [(48, 32), (2700, 2100)]
    assert box.families() == {"AF_UNIX"}
