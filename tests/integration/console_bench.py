"""A console as a process of its own, and a client of it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from pathlib import Path

import httpx
from commands import PATIENCE, ROOT, command, wait_for

__all__ = ["Console"]


class Console:
    """`srwatchd console` for a configuration, inside a ``with`` block; ``client`` talks to it as a program would."""

    def __init__(self, config, *words, verify=True, **options):
        self.config = Path(config)
        self.words = words
        self.options = options
        self.verify = verify
        self.log = self.config.parent / "console.log"
        self.process = None

    def __enter__(self):
        with self.log.open("ab") as log:
            words = command("console", "--config", self.config, "--port", "0", *self.words)
            self.process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, **self.options)
        said = self.process.stdout.readline().decode()
        found = re.search(r"https?://\S+", said)
        assert found, self.log.read_text()
        self.url = found[0].rstrip("/")
        self.port = int(self.url.rpartition(":")[2])
        self.client = self.connect(**{"X-Srwatchd": "1"})
        return self

    def __exit__(self, *_):
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            assert self.process.wait(PATIENCE) in (0, -signal.SIGKILL), self.log.read_text()
        finally:
            self.process.kill()
            self.process.stdout.close()

    def connect(self, **headers):
        return httpx.Client(base_url=self.url, headers=headers, timeout=PATIENCE, verify=self.verify, trust_env=False)

    def reconnect(self, url):
        """Talk to it at another address."""
        self.client.close()
        self.url = url
        self.client = self.connect(**{"X-Srwatchd": "1"})

    def get(self, path, **options):
        answer = self.client.get(f"/api/v1{path}", **options)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def put(self, folder, name, content, **options):
        """Drop a file; ``name`` as it stands in the path."""
        return self.client.put(f"/api/v1/folders/{folder}/files/{name}", content=content, **options)

    def job(self, name, outcome=None):
        """The newest job of that name, once it has ended (so) and its disk has said what is there."""

        def found():
            for each in self.get("/jobs", params={"q": name})["jobs"]:
                if each["name"] == name and each["outcome"] != "running":
                    known = [side["present"] for side in (each["source"], each["result"]) if side]
                    return None if None in known else each
            return None

        job = wait_for(found)
        assert outcome in (None, job["outcome"]), job
        return job

    def memory(self):
        """The most memory in bytes that the process has had."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", text)[1]) << 10


@contextlib.contextmanager
def read_only(folder):
    """A folder that nobody can write to, root neither, where the test may mount."""
    made = subprocess.run(["/bin/mount", "--bind", folder, folder], capture_output=True, check=False)
    if made.returncode == 0:
        made = subprocess.run(["/bin/mount", "-o", "remount,ro,bind", folder], capture_output=True, check=False)
    try:
        yield made.returncode == 0 and os.statvfs(folder).f_flag & os.ST_RDONLY != 0
    finally:
        subprocess.run(["/bin/umount", folder], capture_output=True, check=False)
