"""What the tests of the command line share: the command itself, small pictures, a configuration of one folder."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

from srwatchd.config import find_models

ROOT = Path(__file__).parents[2]
KODAK = ROOT.parent / "shared" / "bench" / "Kodak"
PATIENCE = 60.0


def small_model():
    """The name of the quickest model there is."""
    return _quickest().name


def small_scale():
    """Its scale."""
    return _quickest().scale


def _quickest():
    return min(find_models(None).values(), key=lambda spec: (spec.macs_per_input_pixel, spec.name))


def command(*words):
    """The command of the package that is installed: with ``-P``, as the checkout would go first in its own folder."""
    return [sys.executable, "-P", "-m", "srwatchd", *map(str, words)]


def srwatchd(*words, **options):
    """Run a command to its end; the completed process with text output."""
    return subprocess.run(
        command(*words), cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False, **options
    )


@contextlib.contextmanager
def running(config, *words):
    """The daemon, from when it answers until SIGTERM."""
    errors = Path(config).parent / "daemon.log"
    with errors.open("wb") as log:
        process = subprocess.Popen(command(*(words or ("run",)), "--config", config), cwd=ROOT, stderr=log)
    try:
        wait_for(lambda: process.poll() is not None or srwatchd("status", "--config", config).returncode in (0, 7))
        assert process.poll() is None, errors.read_text()
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)


@contextlib.contextmanager
def stopped(pids):
    """These processes stand still."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def wait_for(condition, patience=PATIENCE):
    """Wait until ``condition()`` is true; its value."""
    deadline = time.monotonic() + patience
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
    return value


def png(width=24, height=16, *, shade=0):
    """A smooth RGB picture as a PNG file's bytes."""
    rows = b"".join(
        b"\0" + bytes(value % 256 for x in range(width) for value in (40 + 5 * x, 60 + 6 * y, 90 + shade + x + y))
        for y in range(height)
    )

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def size_of(file):
    """Width and height of a PNG."""
    return struct.unpack(">II", file.read_bytes()[16:24])


def prepared(directory, *, edit=()):
    """The path of a configuration as ``srwatchd init`` makes it in ``directory``, after replacements in its text."""
    for path, mode, content in _initialised():
        place = directory / path
        if content is None:
            place.mkdir(parents=True)
        else:
            place.write_bytes(content.replace(_ELSEWHERE, os.fsencode(directory)))
        place.chmod(mode)
    config = directory / "srwatchd.yaml"
    text = config.read_text()
    for old, new in (("min_free: 1GiB", "min_free: 1"), *edit):
        assert old in text
        text = text.replace(old, new, 1)
    config.write_text(text)
    return config


_ELSEWHERE = b"/where/it/was/made"


@functools.cache
def _initialised():
    """What the command makes: paths, modes and contents (None of a folder). Asked once, for a start takes seconds."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder).resolve() / "hot"
        done = srwatchd("init", made, "--model", small_model())
        assert done.returncode == 0, done.stderr
        return [
            (
                path.relative_to(made),
                path.stat().st_mode & 0o7777,
                None if path.is_dir() else path.read_bytes().replace(os.fsencode(made), _ELSEWHERE),
            )
            for path in [made, *sorted(made.rglob("*"))]
        ]


def ledger_lines(config):
    """The ledger's whole lines: a daemon may be writing another one, of which a reader can see a part."""
    path = Path(config).parent / "var" / "audit" / "audit.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def files_below(directory):
    """Every file, relative, hidden ones too."""
    return sorted(
        os.path.relpath(os.path.join(folder, name), directory)
        for folder, _, names in os.walk(directory)
        for name in names
    )
