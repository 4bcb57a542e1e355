from __future__ import annotations

import collections
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import delivery_driver
import pytest
from delivery_places import bind, elsewhere

from srwatchd.delivery import Destination

if TYPE_CHECKING:
    from collections.abc import Iterator

DRIVER = Path(delivery_driver.__file__)
CALLS = ("fsync", "renameat2", "renameat", "rename", "linkat", "unlinkat", "write", "mkdirat", "fchmod")
ROOTS = [("same", "rename"), ("same", "link"), ("bind", "rename"), ("tmpfs", "rename")]

pytestmark = pytest.mark.slow


def strace(*options: str, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    environment = {name: value for name, value in environment.items() if not name.startswith("COV")}
    command = ["strace", "-f", "-qq", *options, sys.executable, str(DRIVER), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A destination on the mount of the claim, on a second mount of its file system, on another file system."""
    point = tmp_path / "root"
    if request.param == "same":
        point.mkdir()
        yield point
    elif request.param == "bind":
        with bind(point, tmp_path / "behind") as mounted:
            yield mounted
    else:
        with elsewhere(point) as mounted:
            yield mounted


def fresh(tmp_path: Path, root: Path) -> tuple[Path, Path]:
    private = tmp_path / "private"
    shutil.rmtree(private, ignore_errors=True)
    for entry in root.iterdir():
        shutil.rmtree(entry)
    (tmp_path / "journal").unlink(missing_ok=True)
    private.mkdir()
    (private / delivery_driver.CLAIM).write_bytes(delivery_driver.CONTENT)
    return private, tmp_path / "journal"


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def steps(log: Path) -> list[tuple[str, int]]:
    """Every traced call of a run without a fault, as name and how many of its kind came before it, counted from 1."""
    counts: collections.Counter[str] = collections.Counter()
    for line in log.read_text().splitlines():
        if found := re.match(r"\d+ +(\w+)\(", line):
            counts[found[1]] += 1
    return [(call, number + 1) for call, count in sorted(counts.items()) for number in range(count)]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("action", ["archive", "quarantine", "deliver"])
@pytest.mark.parametrize(("root", "way"), ROOTS, indirect=["root"])
def test_killed_at_every_step(action: str, way: str, root: Path, tmp_path: Path) -> None:
    """Killed before any of its system calls, a step is completed by a repetition: every file in exactly one place."""
    private, journal = fresh(tmp_path, root)
    arguments = [action, str(private), str(root), str(journal), way]
    log = tmp_path / "log"
    clean = strace("-e", f"trace={','.join(CALLS)}", "-o", str(log), arguments=arguments)
    if clean.returncode != 0 and "ptrace" in clean.stderr.lower():
        pytest.skip("tracing is not allowed here")
    assert clean.returncode == 0, clean.stderr
    content = delivery_driver.CONTENT
    expected = {"sub/a.jpg"} | ({"sub/a.jpg.error.json"} if action == "quarantine" else set())
    found = steps(log)
    assert {"fsync", "renameat2" if way == "rename" else "linkat"} <= {call for call, _ in found}
    for call, number in found:
        fresh(tmp_path, root)
        killed = strace("-o", os.devnull, "-e", f"inject={call}:signal=KILL:when={number}", arguments=arguments)
        assert killed.returncode == -signal.SIGKILL, (call, number)
        left = files(root)
        claims = [] if action == "deliver" else list(private.iterdir())
        assert action == "deliver" or claims or left.get("sub/a.jpg") == content, (call, number)
        assert left.get("sub/a.jpg", content) == content, (call, number)

        delivery_driver.run(action, private, root, journal)
        Destination(root).sweep(live=())
        left = files(root)
        assert set(left) == expected, (call, number)
        assert left["sub/a.jpg"] == content, (call, number)
        assert action == "deliver" or not list(private.iterdir()), (call, number)
        assert delivery_driver.run(action, private, root, journal) is not None, "a repetition does nothing more"
        assert set(files(root)) == expected, (call, number)


@pytest.mark.parametrize("code", ["ENOSPC", "EIO", "EROFS"])
@pytest.mark.parametrize("call", ["fsync", "renameat2", "unlinkat", "write"])
@pytest.mark.parametrize("root", ["tmpfs"], indirect=True)
def test_every_call_refused_once(call: str, code: str, root: Path, tmp_path: Path) -> None:
    """Whichever call fails on the way of a source across mounts, nothing is lost and a repetition completes it."""
    private, journal = fresh(tmp_path, root)
    arguments = ["quarantine", str(private), str(root), str(journal), "rename"]
    for number in (1, 3):
        fresh(tmp_path, root)
        strace("-o", os.devnull, "-e", f"inject={call}:error={code}:when={number}", arguments=arguments)
        assert list(private.iterdir()) or "sub/a.jpg" in files(root)
        delivery_driver.run("quarantine", private, root, journal)
        Destination(root).sweep(live=())
        assert set(files(root)) == {"sub/a.jpg", "sub/a.jpg.error.json"}
        assert not list(private.iterdir())


@pytest.mark.parametrize("way", ["rename", "link"])
def test_two_processes_never_overwrite(way: str, tmp_path: Path) -> None:
    """Two processes that deliver to one name at once lose nothing, with renameat2 and with link and unlink."""
    command = [sys.executable, str(DRIVER), "race"]
    racers = [
        subprocess.Popen([*command, tag, str(tmp_path), "40", way], stdin=subprocess.PIPE) for tag in ("one", "two")
    ]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write(b"\n")
        racer.stdin.close()
    assert [racer.wait() for racer in racers] == [0, 0]
    left = files(tmp_path)
    assert len(left) == 80
    assert {content.decode() for content in left.values()} == {f"{t}-{n}" for t in ("one", "two") for n in range(40)}
