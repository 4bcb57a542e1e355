"""What is dropped: good pictures and bad files of every kind, by quick and slow writers, under odd names."""

from __future__ import annotations

import contextlib
import os
import struct
import threading
import time
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from benchmarks.endurance.checker import Dropped, Fate
from benchmarks.endurance.pictures import FORMATS, made

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from benchmarks.endurance.site import Site

__all__ = ["Feeder"]

_PENDING: Final = 12
_SLOW: Final = 4
"""Slow writers at a time."""
_PIECES: Final = 8
_SLOW_SECONDS: Final = 5.0
_BAD: Final = 0.12
_LARGE: Final = 0.02
_SLOWLY: Final = 0.1
_ODD_NAMES: Final = (
    *("", "", "", "", "", "", " with spaces", "-dash", "'quote\"", "ünïcödé", "e\u0301", "\u202egnp", "new\nline"),
    *("\U0001f5bc", "\udcff\udcfe", "%41", "$HOME", "{stem}", "x" * 150, "\u6f22\u5b57", ";rm", "..", "tab\there"),
)
_FOLDERS: Final = ("", "", "", "sub", "sub/deeper", "päth with space")


class Feeder:
    """Keeps an inbox fed from a thread of its own. ``dropped`` is everything that has been dropped so far.

    Everything is done relative to an open folder, so that a mount that is taken away meanwhile leaves no doubt whether
    a file has arrived.
    """

    def __init__(self, site: Site, rng: random.Random, *, most: int) -> None:
        self.dropped: list[Dropped] = []
        self.refused = 0
        """How often nothing could be dropped, because the inbox was not there."""
        self.ways: dict[str, int] = {}
        self._site = site
        self._rng = rng
        self._most = most
        self._stop = threading.Event()
        self._slow: list[threading.Thread] = []
        self._serial = 0
        self._thread = threading.Thread(target=self._run, name="feeder")

    def start(self) -> None:
        """Begin to feed."""
        self._thread.start()

    def stop(self) -> None:
        """Drop nothing more; everything that was begun is finished."""
        self._stop.set()
        self._thread.join()
        for thread in self._slow:
            thread.join()

    def _run(self) -> None:
        while not self._stop.is_set() and self._serial < self._most:
            self._slow = [thread for thread in self._slow if thread.is_alive()]
            waiting = _PENDING
            with contextlib.suppress(OSError):
                waiting = self._site.waiting()
            if waiting >= _PENDING:
                self._stop.wait(0.1)
                continue
            self._serial += 1
            dropped = self._next()
            try:
                self._drop(dropped)
            except OSError:
                self.refused += 1
                self._stop.wait(0.3)

    def _next(self) -> Dropped:
        rng = self._rng
        edge = rng.randint(300, 700) if rng.random() < _LARGE else rng.randint(48, 96)
        picture = made(rng, width=edge, height=rng.randint(edge // 2, edge), extension=rng.choice(FORMATS))
        kind, fate = "good", Fate.DELIVERED
        if rng.random() < _BAD:
            kind, fate = rng.choice(list(_SPOILT)), Fate.QUARANTINED
            picture = replace(picture, data=_SPOILT[kind](picture.data, rng))
        base = f"{self._serial:06d}-{kind}{rng.choice(_ODD_NAMES)}.{picture.extension}"
        folder = rng.choice(_FOLDERS)
        return Dropped(f"{folder}/{base}" if folder else base, picture, fate)

    def _drop(self, dropped: Dropped) -> None:
        folder, _, base = dropped.name.rpartition("/")
        place = self._site.inbox / folder
        place.mkdir(parents=True, exist_ok=True)
        here = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        try:
            way = self._rng.choice(("plain", "rename"))
            if len(self._slow) < _SLOW and self._rng.random() < _SLOWLY:
                way = self._rng.choice(("slow", "preallocated"))
            name = f"{self._serial:06d}.part" if way == "rename" else base
            file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=here)
            self.dropped.append(dropped)
            self.ways[way] = self.ways.get(way, 0) + 1
            if way in ("slow", "preallocated"):
                words = (file, dropped.picture.data, way == "preallocated")
                self._slow.append(threading.Thread(target=_slowly, args=words))
                self._slow[-1].start()
                return
            os.write(file, dropped.picture.data)
            os.close(file)
            if way == "rename":
                os.rename(name, base, src_dir_fd=here, dst_dir_fd=here)
        finally:
            os.close(here)


def _slowly(file: int, data: bytes, preallocated: bool) -> None:
    if preallocated and data:
        os.posix_fallocate(file, 0, len(data))
    step = len(data) // _PIECES + 1
    for start in range(0, len(data), step):
        os.write(file, data[start : start + step])
        time.sleep(_SLOW_SECONDS / _PIECES)
    os.close(file)


def _truncated(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randint(len(data) // 8, len(data) * 3 // 4)]


def _text(_data: bytes, rng: random.Random) -> bytes:
    return f"not a picture, number {rng.random()}\n".encode() * 40


def _noise(_data: bytes, rng: random.Random) -> bytes:
    return b"\x00" + rng.randbytes(3000)


def _bomb(_data: bytes, rng: random.Random) -> bytes:
    """A PNG of a few bytes that says that it has four thousand million pixels."""
    header = struct.pack(">IIBBBBB", 65000, 65000, 8, 2, 0, 0, 0)
    chunks = (
        (b"IHDR", header),
        (b"tEXt", b"a\0" + rng.randbytes(8).hex().encode()),
        (b"IDAT", zlib.compress(bytes(99))),
    )
    made_of = b"".join(_chunk(kind, body) for kind, body in (*chunks, (b"IEND", b"")))
    return b"\x89PNG\r\n\x1a\n" + made_of


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _pdf(_data: bytes, rng: random.Random) -> bytes:
    return b"%PDF-1.7\n" + rng.randbytes(600)


_SPOILT: Final[dict[str, Callable[[bytes, random.Random], bytes]]] = {
    "truncated": _truncated,
    "text": _text,
    "noise": _noise,
    "bomb": _bomb,
    "pdf": _pdf,
    "empty": lambda _data, _rng: b"",
}
