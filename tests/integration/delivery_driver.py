"""A process that delivers, for the tests that kill it at every step: ``ACTION PRIVATE ROOT JOURNAL WAY``.

:func:`run` is also what the tests call to recover: like the daemon it reads the journal first and repeats the step.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from srwatchd import storage
from srwatchd.delivery import Claim, Destination, archive, delete_source, deliver, quarantine
from srwatchd.job import Placement

CONTENT = b"picture " * 40_000
CLAIM = "j1.src"
NAME = "sub/a.jpg"


def run(action: str, private: Path, root: Path, journal: Path) -> Placement | None:
    """Do ``action``, or whatever of it a crash has left undone."""
    planned = None
    with contextlib.suppress(FileNotFoundError):
        planned = Placement(**json.loads(journal.read_bytes()))
    private_fd, journal_fd = storage.open_directory(private), storage.open_directory(journal.parent)

    def record(placement: Placement) -> None:
        storage.write_durably(journal.name, json.dumps(asdict(placement)).encode(), dir_fd=journal_fd)

    destination = Destination(root)
    claim = Claim(private_fd, CLAIM, "j1")
    try:
        if action == "archive":
            return archive(claim, destination, NAME, record=record, planned=planned)
        if action == "quarantine":
            return quarantine(claim, destination, NAME, {"job": "j1"}, record=record, planned=planned)
        if action == "delete":
            return delete_source(claim)
        if planned is not None and destination.find(planned):
            return planned
        staged = destination.reopen(planned, "j1") if planned is not None else None
        with staged or destination.stage("sub", "j1") as staged:
            os.write(staged.fd, CONTENT)
            staged.seal()
            return deliver(staged, NAME, record=record)
    finally:
        os.close(private_fd)
        os.close(journal_fd)


def race(tag: str, root: Path, count: int) -> None:
    """Deliver ``count`` results that all want one name, once a line comes on standard input."""
    sys.stdin.readline()
    for number in range(count):
        with Destination(root).stage("", f"{tag}-{number}") as staged:
            os.write(staged.fd, f"{tag}-{number}".encode())
            staged.seal()
            deliver(staged, "same.png", record=lambda _: None)


if __name__ == "__main__":
    if sys.argv[5] == "link":
        storage._renameat2 = None
    if sys.argv[1] == "race":
        race(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
    else:
        run(sys.argv[1], *map(Path, sys.argv[2:5]))
