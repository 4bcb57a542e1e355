"""A writer killed at any moment, a full disk, and a read-only one."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from srwatchd.audit import Entry, Ledger, check_against, checkpoint, export, read_key, tail, verify
from srwatchd.errors import ConfigurationError, HostError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WRITER = """
import sys
from pathlib import Path
from srwatchd.audit import Entry, Ledger
ledger = Ledger(Path(sys.argv[1]), segment_size=20_000)
ledger.open()
while True:
    numbers = ledger.append([Entry("daemon.started")] * 3)
    print(numbers[-1], flush=True)
"""


def test_a_killed_writer_loses_nothing_that_it_was_told(tmp_path: Path) -> None:
    """Killed with -9 at random moments: every acknowledged line is there, the chain is whole, and numbers go on."""
    path = tmp_path / "audit" / "audit.jsonl"
    chance = random.Random(1)
    for _ in range(5):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(chance.random() * 0.3)
        writer.kill()
        said = [int(line) for line in writer.stdout.read().splitlines() if line.endswith(tuple("0123456789"))]
        writer.stdout.close()
        writer.wait()
        acknowledged = max(said[:-1], default=0)
        ledger = Ledger(path, segment_size=20_000)
        opened = ledger.open()
        ledger.close()
        assert not opened.broken
        assert opened.last_sequence >= acknowledged
        assert verify(path).ok


def mount(*arguments: str, command: str = "mount") -> int:
    program = shutil.which(command) or pytest.skip(f"there is no {command} here")
    return subprocess.run([program, *arguments], check=False, capture_output=True).returncode


def append_until_refused(ledger: Ledger, written: list[int]) -> None:
    for _ in range(1000):
        written.extend(ledger.append([Entry("daemon.started")] * 3))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system takes root")
    if mount("-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)) != 0:
        pytest.skip("this environment does not allow mounts")
    yield place
    assert mount("-l", str(place), command="umount") == 0


@pytest.mark.parametrize("segment_size", [1 << 20, 10_000])
def test_a_full_disk_holds_and_heals(small_disk: Path, segment_size: int) -> None:
    """Refused appends leave no trace; once there is space the same ledger goes on, whole."""
    path = small_disk / "audit" / "audit.jsonl"
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 16_384)
    ledger = Ledger(path, segment_size=segment_size)
    ledger.open()
    written: list[int] = []
    with pytest.raises(HostError) as caught:
        append_until_refused(ledger, written)
    assert caught.value.code == "ledger_unwritable"
    with pytest.raises(HostError):
        ledger.append([Entry("daemon.started")] * 40)
    assert verify(path).ok
    ballast.unlink()
    ledger.append([Entry("daemon.stopped")])
    ledger.close()
    assert verify(path).ok
    seen = [line["event.action"] for line in tail(path, 5000)]
    assert seen.count("daemon.started") == len(written)
    assert seen[-1] == "daemon.stopped"


def test_a_read_only_disk_is_the_hosts_fault(small_disk: Path) -> None:
    """Opening and appending say so; reading works."""
    path = small_disk / "audit" / "audit.jsonl"
    ledger = Ledger(path)
    ledger.open()
    ledger.close()
    assert mount("-o", "remount,ro", str(small_disk)) == 0
    with pytest.raises(HostError) as caught:
        ledger.open()
    assert caught.value.code == "ledger_unwritable"
    assert verify(path).ok


def test_checkpoints_show_a_cut_and_a_rewrite(tmp_path: Path) -> None:
    """What an unkeyed chain cannot prove alone, a checkpoint kept elsewhere does."""
    path = tmp_path / "audit.jsonl"
    assert checkpoint(path) is None
    ledger = Ledger(path, segment_size=4000)
    ledger.open()
    early = checkpoint(path)
    assert early is not None
    assert check_against(tmp_path / "other.jsonl", early) == "cut"
    ledger.append([Entry("daemon.started")] * 3)
    ledger.append([Entry("daemon.started")] * 3)
    kept = checkpoint(path)
    assert kept is not None
    assert type(kept).from_dict(kept.to_dict()) == kept
    ledger.append([Entry("daemon.stopped")] * 5)
    assert check_against(path, kept) == "same"
    ledger.retire(min(tmp_path.glob("audit.0*")))
    ledger.close()
    assert check_against(path, early) == "retired"
    for file in tmp_path.glob("*.jsonl"):
        file.unlink()
    ledger.open()
    assert check_against(path, kept) == "cut"
    ledger.append([Entry("daemon.started")] * 20)
    ledger.close()
    assert verify(path).ok
    assert check_against(path, kept) == "rewritten"


def test_export_gives_the_ledgers_own_bytes_or_a_table(tmp_path: Path) -> None:
    """JSON Lines are byte for byte the ledger; CSV has one row per line whatever the names hold."""
    path = tmp_path / "audit.jsonl"
    ledger = Ledger(path, clock=iter(range(0, 10**12, 10**9)).__next__)
    ledger.open()
    fields = {"file.path": "=a\n\udcff.png", "srwatchd.detail.free": "x"}
    ledger.append([Entry("job.claimed", "unknown", job="j", fields=fields), Entry("daemon.stopped")])
    ledger.close()
    with path.open("ab") as file:
        file.write(b'nonsense\n{"@timestamp":"never"}\n{"torn')
    assert b"".join(export(path)).startswith(path.read_bytes().split(b"nonsense")[0])
    rows = b"".join(export(path, format="csv")).split(b"\r\n")
    assert len(rows) == 6
    assert b"'=a\\u000a\\udcff.png" in rows[2]
    assert b"srwatchd.detail.free" in rows[2]
    from_second = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert len(list(export(path, since=from_second))) == 2
    assert len(list(export(path, until=from_second))) == 1


def test_a_key_file_is_read_as_it_is(tmp_path: Path) -> None:
    """Every byte counts, and what is no key is a configuration error."""
    place = tmp_path / "key"
    place.write_bytes(b"0123456789abcdef\n")
    assert read_key(place) == b"0123456789abcdef\n"
    place.write_bytes(b"short")
    for wrong in (place, tmp_path / "none"):
        with pytest.raises(ConfigurationError):
            read_key(wrong)
