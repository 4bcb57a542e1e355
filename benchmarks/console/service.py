"""A daemon and a console in a folder, pages that look at them, and a picture of a given size."""

from __future__ import annotations

import json
import re
import secrets
import signal
import statistics
import struct
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path
from typing import Any, Self

import httpx

__all__ = ["Pages", "Pair", "make_picture"]

_BYTES_PER_PIXEL = 8
_CHUNK = 1 << 20


def make_picture(size: int) -> bytes:
    """A PNG of noise, RGBA with 16 bits, of about ``size`` bytes."""
    edge = int((size / _BYTES_PER_PIXEL) ** 0.5)
    row = secrets.token_bytes(edge * _BYTES_PER_PIXEL)
    rows = b"".join(b"\0" + row[shift:] + row[:shift] for shift in range(edge))
    packed = zlib.compress(rows, level=0)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", edge, edge, 16, 6, 0, 0, 0))
    data = [chunk(b"IDAT", packed[at : at + _CHUNK]) for at in range(0, len(packed), _CHUNK)]
    return b"".join((b"\x89PNG\r\n\x1a\n", header, *data, chunk(b"IEND", b"")))


class Pair:
    """Both processes, inside a ``with`` block; with ``alone`` the console without its daemon."""

    def __init__(self, folder: Path, model: str, *, alone: bool = False) -> None:
        self._alone = alone
        self.folder = folder
        self._config = folder / "srwatchd.yaml"
        self._done = folder / "done"
        settings: dict[str, Any] = {"id": "load", "model": model, "min_free": 1, "output": {"format": "jpeg"}}
        places = {name: name for name in ("inbox", "done", "error")}
        self._config.write_text(json.dumps({"folders": [{**settings, **places}]}))
        self._log = (folder / "log").open("ab")

    def __enter__(self) -> Self:
        words = [sys.executable, "-P", "-m", "srwatchd"]
        config = ["--config", str(self._config)]
        self._console = subprocess.Popen(
            [*words, "console", *config, "--port", "0"], stderr=self._log, stdout=subprocess.PIPE
        )
        self._processes = [self._console]
        if not self._alone:
            self._processes.append(subprocess.Popen([*words, "run", *config], stderr=self._log))
        said = self._console.stdout.readline().decode() if self._console.stdout else ""
        self.url = re.findall(r"http://\S+", said)[0].rstrip("/")
        with self.client() as client:
            while not self._alone and client.get("/api/v1/health").status_code != httpx.codes.OK:
                time.sleep(0.2)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            process.wait(60)
        self._log.close()

    def client(self) -> httpx.Client:
        """Somebody who talks to the console."""
        return httpx.Client(base_url=self.url, headers={"X-Srwatchd": "1"}, timeout=600, trust_env=False)

    def memory(self) -> int:
        """The most resident memory in bytes that the console's process has had."""
        status = Path(f"/proc/{self._console.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) << 10

    def steer(self, verb: str) -> None:
        """Pause or resume the folder."""
        with self.client() as client:
            client.post(f"/api/v1/folders/load/{verb}").raise_for_status()

    def delivered(self) -> int:
        """How many results there are."""
        return len(list(self._done.glob("*.jpg")))


class Pages:
    """Open pages, each of which asks for the present once a second, inside a ``with`` block."""

    def __init__(self, pair: Pair, count: int) -> None:
        self._pair = pair
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._look, args=(number / count,)) for number in range(count)]
        self._seconds: list[float] = []
        self.unchanged = 0
        self.again = 0

    def __enter__(self) -> Self:
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for each in self._threads:
            each.join()

    @property
    def answered(self) -> int:
        """How many answers there were."""
        return len(self._seconds)

    @property
    def median(self) -> float:
        """Of the seconds until an answer."""
        return statistics.median(self._seconds)

    @property
    def slowest(self) -> float:
        """The longest of them."""
        return max(self._seconds)

    def _look(self, shift: float) -> None:
        known: dict[str, str] = {}
        self._stop.wait(shift)
        with self._pair.client() as client:
            while not self._stop.is_set():
                begin = time.monotonic()
                try:
                    answer = client.get("/api/v1/live", headers=known)
                except httpx.TransportError:  # as a browser does: once more
                    self.again += 1
                    continue
                self._seconds.append(time.monotonic() - begin)
                self.unchanged += answer.status_code == httpx.codes.NOT_MODIFIED
                known = {"If-None-Match": answer.headers["etag"]}
                self._stop.wait(1)
