from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING

import pytest

from srwatchd.notify import Notifier, watchdog_interval

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def manager() -> Iterator[tuple[socket.socket, Notifier]]:
    """A service manager that listens in the abstract namespace, which is no disk."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        name = f"srwatchd-test-{os.getpid()}-{time.monotonic_ns()}"
        listening.bind(f"\0{name}")
        listening.setblocking(False)
        yield listening, Notifier.from_environment({"NOTIFY_SOCKET": f"@{name}"})


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        ("ready", (), "READY=1"),
        ("ready", ("2 folders",), "READY=1\nSTATUS=2 folders"),
        ("stopping", (), "STOPPING=1"),
        ("stopping", ("a job is finished",), "STOPPING=1\nSTATUS=a job is finished"),
        ("status", ("waiting\nREADY=1\r\n",), "STATUS=waiting READY=1"),
        ("status", ("bild-\udcff ü",), "STATUS=bild-\\udcff ü"),
        ("watchdog", (), "WATCHDOG=1"),
        ("extend_timeout", (2.5,), "EXTEND_TIMEOUT_USEC=2500000"),
    ],
)
def test_messages(
    manager: tuple[socket.socket, Notifier], method: str, arguments: tuple[object, ...], message: str
) -> None:
    """Every message is the one datagram that sd_notify(3) describes, and a status cannot smuggle in another line."""
    listening, notifier = manager
    assert getattr(notifier, method)(*arguments) is True
    assert listening.recv(4096).decode() == message


def test_reloading_carries_the_monotonic_time(manager: tuple[socket.socket, Notifier]) -> None:
    """RELOADING=1 comes with the moment in microseconds of CLOCK_MONOTONIC, between before and after."""
    listening, notifier = manager
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert notifier.reloading()
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    first, second = listening.recv(4096).decode().split("\n")
    assert first == "RELOADING=1"
    assert before <= int(second.removeprefix("MONOTONIC_USEC=")) <= after


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"NOTIFY_SOCKET": ""},
        {"NOTIFY_SOCKET": "relative"},
        {"NOTIFY_SOCKET": "vsock:2:1"},
        {"NOTIFY_SOCKET": "/nowhere/at/all"},
        {"NOTIFY_SOCKET": "@srwatchd-test-nobody-listens"},
        {"NOTIFY_SOCKET": "/" + "x" * 200},
    ],
)
def test_nobody_listens(environ: dict[str, str]) -> None:
    """Without a usable socket every message is silently dropped and says so."""
    notifier = Notifier.from_environment(environ)
    sent = [notifier.ready(), notifier.stopping(), notifier.status("x"), notifier.reloading(), notifier.watchdog()]
    assert sent == [False] * 5


def test_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without arguments the process's own variables count."""
    monkeypatch.setenv("NOTIFY_SOCKET", "@elsewhere")
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert Notifier.from_environment().address == "@elsewhere"
    assert watchdog_interval() == 1.5


def test_a_full_socket_does_not_block(manager: tuple[socket.socket, Notifier]) -> None:
    """A service manager that does not read never stops the daemon: at last a message is dropped."""
    _, notifier = manager
    assert any(not notifier.watchdog() for _ in range(100_000))


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "42"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "43"}, None),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": ""}, 15.0),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "me"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
    ],
)
def test_watchdog_interval(environ: dict[str, str], seconds: float | None) -> None:
    """Half of the watchdog's time, only for the process that is watched, and None for anything malformed."""
    assert watchdog_interval(environ, pid=42) == seconds
