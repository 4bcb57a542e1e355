"""The console beside the daemon: uploads, kill -9 in the middle of one, a stopped daemon, what it takes and may."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from benchmarks.booted.bench import Scenario
from benchmarks.booted.box import COMMAND, CONFIG
from benchmarks.endurance.checker import Dropped
from benchmarks.endurance.pictures import made
from benchmarks.endurance.service import until

if TYPE_CHECKING:
    from benchmarks.booted.bench import Bench
    from benchmarks.booted.box import Box
    from benchmarks.endurance.scenario import Result

__all__ = ["SCENARIOS"]

_UNIT: Final = "srwatchd-console.service"
_PYTHON: Final = "/opt/srwatchd/bin/python"
_CLIENT: Final = "/root/client.py"
_MOST_EXPOSURE: Final = 1.6
_MOST_MIB: Final = 200
_AT_ONCE: Final = 8
_SECONDS: Final = 60.0
_OK, _CREATED, _UNAVAILABLE = 200, 201, 503
_PROGRAM: Final = """
import http.client, sys, time

kind, path, *rest = sys.argv[1:]
link = http.client.HTTPConnection("127.0.0.1", 8470, timeout=120)
if kind == "get":
    link.request("GET", path)
elif kind == "put":
    with open(rest[0], "rb") as file:
        link.request("PUT", path, file.read(), {"X-Srwatchd": "1"})
else:  # the half of an upload, and then silence
    link.putrequest("PUT", path)
    link.putheader("Content-Length", str(2 * int(rest[0])))
    link.putheader("X-Srwatchd", "1")
    link.endheaders()
    for _ in range(int(rest[0]) // 65536):
        link.send(bytes(65536))
    time.sleep(20)
    sys.exit()
answer = link.getresponse()
print(answer.status)
print(answer.read().decode())
"""
_TRIES: Final = """
cd /srv/srwatchd
for place in done archive error /etc/srwatchd /opt/srwatchd /var/lib/srwatchd/audit; do
    [ -w $place ] && echo "$place is writable"
done
cd /var/lib/srwatchd
for place in /srv/srwatchd/in console origins models; do
    [ -w $place ] || echo "$place is not writable"
done
exit 0
"""


def _console(bench: Bench, result: Result) -> None:
    with bench.box() as box:
        box.until_active()
        _started(box)
        _confined(box, result)
        _upload(box, result)
        _killed(box, result)
        _bounded(box, result)
        _alone(box, result)
        _upload(box, result)
        box.machine.run("systemctl", "stop", _UNIT)
        box.finish(result)
        result.expect(_origins(box) == {"console"}, f"the ledger names the origins {_origins(box)}")


def _started(box: Box) -> None:
    box.machine.path(_CLIENT).write_text(_PROGRAM, encoding="utf-8")
    box.machine.run(COMMAND, "systemd", "install", "--config", CONFIG, "--console")
    box.machine.run("systemctl", "start", _UNIT)
    until(lambda: _health(box) == (_OK, True), _SECONDS, f"the console answers: {_said(box)}")


def _confined(box: Box, result: Result) -> None:
    machine = box.machine
    user = machine.run("stat", "-c", "%U", f"/proc/{_pid(box)}")
    result.expect(user == "srwatchd", f"the console runs as {user}")
    review = machine.run("systemd-analyze", "security", "--no-pager", _UNIT)
    exposure = float(review.splitlines()[-1].split(":")[1].split()[0])
    result.figure("exposure of the console, as systemd reviews the loaded unit", exposure)
    result.expect(exposure <= _MOST_EXPOSURE, f"exposure {exposure}")
    said = machine.run("nsenter", "-t", str(_pid(box)), "-m", "sh", "-c", _TRIES)
    result.expect(not said, f"in the console's view of the file system: {said}")


def _upload(box: Box, result: Result) -> None:
    """A picture through the console, and its result."""
    before = box.delivered()
    picture = made(box.rng, width=160, height=120, extension="png")
    each = Dropped(f"u{len(box.dropped):04d}.png", picture)
    box.machine.path("/root/picture").write_bytes(picture.data)
    status, text = _ask(box, "put", f"/api/v1/folders/pictures/files/{each.name}", "/root/picture")
    result.expect(status == _CREATED, f"an upload was answered with {status}: {text[:300]}")
    box.dropped.append(each)
    box.until_delivered(before + 1)


def _killed(box: Box, result: Result) -> None:
    """Kill -9 in the middle of an upload: nothing passes for a picture, nothing is left, the daemon does not notice."""
    daemon, console = box.pid(), _pid(box)
    _half(box, "cut.png", 4 << 20)
    until(lambda: _staged(box) > 0, _SECONDS, "an upload under way", pause=0.05)
    box.machine.run("sh", "-c", f"kill -KILL {console}")
    until(lambda: _pid(box) not in (0, console) and _health(box) == (_OK, True), _SECONDS, "the console is back")
    until(lambda: _staged(box) == 0, _SECONDS, "what was begun is swept")
    result.expect(not (box.site.inbox / "cut.png").exists(), "half an upload has its final name")
    result.expect(box.pid() == daemon, "the daemon was restarted")
    result.figure("kill -9 of the console", "in the middle of an upload")


def _bounded(box: Box, result: Result) -> None:
    """Uploads of 24 MiB at once, broken off: the console's own memory does not grow with them."""
    for number in range(_AT_ONCE):
        _half(box, f"broken{number}.png", 24 << 20)
    until(lambda: _staged(box) >= _AT_ONCE, _SECONDS, "all uploads under way", pause=0.05)
    until(lambda: _staged(box) == 0, _SECONDS * 2, "all uploads broken off and put away")
    status = box.machine.run("cat", f"/proc/{_pid(box)}/status")
    most = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) // 1024
    result.figure(f"most memory of the console's process, {_AT_ONCE} uploads of 24 MiB at once", f"{most} MiB")
    result.expect(most <= _MOST_MIB, f"the console's process took {most} MiB")
    limit = box.machine.shows(_UNIT, "MemoryMax")["MemoryMax"]
    result.expect(limit == str(768 << 20), f"MemoryMax={limit} with the default console.memory_limit")


def _alone(box: Box, result: Result) -> None:
    """The daemon stops and comes back, and the console says so."""
    box.systemctl("stop")
    until(
        lambda: _health(box) == (_UNAVAILABLE, False),
        _SECONDS,
        f"the console sees that the daemon has stopped: {_health(box)}",
    )
    result.expect(_ask(box, "get", "/")[0] == _OK, "without the daemon there is no page")
    box.systemctl("start")
    until(lambda: _health(box) == (_OK, True), _SECONDS, "the console sees that the daemon is back")
    result.figure("without the daemon", "the pages are there, the health says 503")


def _ask(box: Box, kind: str, path: str, *more: str) -> tuple[int, str]:
    """Status and text of an answer; 0 when there was none."""
    said = box.machine.run(_PYTHON, _CLIENT, kind, path, *more, check=False)
    first, _, text = said.partition("\n")
    return (int(first), text) if first.isdigit() else (0, said)


def _half(box: Box, name: str, size: int) -> None:
    words = f"{_PYTHON} {_CLIENT} half /api/v1/folders/pictures/files/{name} {size}"
    box.machine.run("sh", "-c", f"{words} >/dev/null 2>&1 &")


def _health(box: Box) -> tuple[int, bool | None]:
    status, text = _ask(box, "get", "/api/v1/health")
    try:
        told: dict[str, Any] = json.loads(text)
    except ValueError:
        return status, None
    return status, told.get("daemon")


def _pid(box: Box) -> int:
    return int(box.machine.shows(_UNIT, "MainPID")["MainPID"])


def _staged(box: Box) -> int:
    return sum(path.name.startswith(".srwatchd-") for path in box.site.inbox.iterdir())


def _said(box: Box) -> str:
    return box.machine.journal(_UNIT)[-1000:]


def _origins(box: Box) -> set[str]:
    lines = [json.loads(line) for path in box.site.ledger.glob("*.jsonl") for line in path.read_text().splitlines()]
    return {line["srwatchd.origin"] for line in lines if line["event.action"] == "job.claimed"}


SCENARIOS: Final = (
    Scenario(
        "console",
        "Console and daemon beside each other: uploads go through, neither harms the other, memory is bounded.",
        _console,
    ),
)
