"""Start to READY as shipped, what the unit keeps from the service, and a configuration that cannot work."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Final

from benchmarks.booted.bench import Scenario
from benchmarks.booted.box import CONFIG, UNIT
from benchmarks.endurance.service import until

if TYPE_CHECKING:
    from benchmarks.booted.bench import Bench
    from benchmarks.endurance.scenario import Result

__all__ = ["SCENARIOS"]

_MOST_EXPOSURE: Final = 1.0


def _boot(bench: Bench, result: Result) -> None:
    with bench.box() as box:
        box.until_active()
        shown = box.machine.shows(UNIT, "InactiveExitTimestampMonotonic", "ActiveEnterTimestampMonotonic")
        begun, ready = (int(value) / 1e6 for value in shown.values())
        result.figure("seconds from the start to READY", f"{abs(ready - begun):.1f}")
        machine, pid = box.machine, box.pid()
        networks = machine.run("sh", "-c", f"tail -n +3 /proc/{pid}/net/dev | cut -d: -f1 | tr -d ' '").split()
        result.expect(networks == ["lo"], f"the service sees the networks {networks}")
        own = machine.run("readlink", f"/proc/{pid}/ns/net")
        result.expect(own != machine.run("readlink", "/proc/1/ns/net"), "the service has the machine's network")
        tables = "tcp tcp6 udp udp6 raw raw6"
        rows = machine.run("sh", "-c", f"cd /proc/{pid}/net; for t in {tables}; do tail -n +2 $t; done")
        result.expect(not rows, f"internet sockets: {rows}")
        user = machine.run("stat", "-c", "%U", f"/proc/{pid}")
        result.expect(user == "srwatchd", f"it runs as {user}")
        review = machine.run("systemd-analyze", "security", "--no-pager", UNIT)
        exposure = float(review.splitlines()[-1].split(":")[1].split()[0])
        result.figure("exposure, as systemd reviews the loaded unit", exposure)
        result.expect(exposure <= _MOST_EXPOSURE, f"exposure {exposure}")
        verified = machine.run("systemd-analyze", "verify", UNIT, "srwatchd@one.service", check=False)
        result.expect(not verified, f"systemd-analyze verify: {verified}")
        _sandbox(box.machine.run("nsenter", "-t", str(pid), "-m", "sh", "-c", _TRIES), result)
        workers = box.workers("infer")
        box.kill("STOP", *workers)  # the picture is in work for as long as it takes to see it
        box.drop(1)
        until(lambda: "in work, 'p0000" in box.text(), 60.0, f"the picture in the status: {box.text()!r}", pause=0.02)
        box.kill("CONT", *workers)
        box.drop(3)
        box.finish(result)
        said = machine.journal()
        result.expect('"confinement", "level": "info"' in said, "workers could not confine themselves wholly")


_TRIES: Final = """
for place in /etc/srwatchd /usr/local /opt/srwatchd /var/lib; do [ -w $place ] && echo "$place is writable"; done
for place in /srv/srwatchd /var/lib/srwatchd; do [ -w $place ] || echo "$place is not writable"; done
usual='char|core|fd|full|hugepages|log|mqueue|null|ptmx|pts|random|shm|stderr|stdin|stdout|tty|urandom|zero'
ls /dev | grep -Evx "$usual"
exit 0
"""


def _sandbox(said: str, result: Result) -> None:
    result.expect(not said, f"in the service's view of the file system: {said}")


def _configuration(bench: Bench, result: Result) -> None:
    with bench.box() as box:
        box.until_active()
        good = box.machine.path(CONFIG).read_text(encoding="utf-8")
        bad = f"{good}    inbix: /srv/x\n"
        box.drop(2)
        box.until_delivered(2)
        box.machine.path(CONFIG).write_text(bad, encoding="utf-8")
        box.systemctl("reload")
        until(lambda: "configuration refused" in box.machine.journal(), 30.0, "the reload is refused in the journal")
        box.until_active()  # READY comes after the line in the journal
        box.drop(1)
        box.until_delivered(3)
        box.systemctl("restart", check=False)
        until(lambda: box.state()[0] == "failed", 30.0, f"failed; {box.state()}")
        time.sleep(8)
        result.expect(box.state()[0] == "failed", f"eight seconds later: {box.state()}")
        result.expect(box.restarts() == 0, f"it was restarted {box.restarts()} times")
        shown = box.machine.shows(UNIT, "ExecMainStatus")
        result.expect(shown["ExecMainStatus"] == "78", f"exit status {shown}")
        result.expect("inbix" in box.machine.journal(), "the journal does not name the wrong key")
        box.drop(1)
        box.machine.path(CONFIG).write_text(good, encoding="utf-8")
        box.systemctl("start")
        box.finish(result)


_HARDER: Final = "[Service]\nMemoryDenyWriteExecute=yes\n"


def _write_execute(bench: Bench, result: Result) -> None:
    with bench.box() as box:
        box.until_active()
        shipped = box.machine.path(CONFIG).read_text(encoding="utf-8")
        box.override("harder", _HARDER)
        box.systemctl("restart")
        chosen = [line for line in box.machine.journal().splitlines() if '"event": "model"' in line][-1]
        reason = str(json.loads(chosen)["reason"])
        result.expect("not openvino" in reason, f"engine auto under MemoryDenyWriteExecute says: {reason}")
        result.figure("engine auto under MemoryDenyWriteExecute", reason)
        box.drop(1)
        box.until_delivered(1)
        box.machine.run("rm", f"/etc/systemd/system/{UNIT}.d/harder.conf")
        box.configure(f"engine: {{name: opencv}}\n{shipped}")
        box.systemctl("restart")
        shown = box.machine.shows(UNIT, "MemoryDenyWriteExecute")["MemoryDenyWriteExecute"]
        result.expect(shown == "yes", f"engine opencv has MemoryDenyWriteExecute={shown}")
        box.drop(2)
        box.finish(result)


SCENARIOS: Final = (
    Scenario(
        "boot", "Booted, it is ready by itself: no network, its own user, nothing writable but its own.", _boot, True
    ),
    Scenario(
        "configuration",
        "A wrong configuration is refused at a reload, and at a start it is not restarted.",
        _configuration,
        True,
    ),
    Scenario(
        "write-execute", "Without writable code the engine that needs it is passed over, and said so.", _write_execute
    ),
)
