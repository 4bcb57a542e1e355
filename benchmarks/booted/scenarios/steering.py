"""Reload and stop while there is work, and several instances beside each other."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from benchmarks.booted.bench import Scenario
from benchmarks.booted.box import COMMAND, CONFIG
from benchmarks.endurance.service import until

if TYPE_CHECKING:
    from benchmarks.booted.bench import Bench
    from benchmarks.endurance.scenario import Result

__all__ = ["SCENARIOS"]

_STOP_SECONDS: Final = 25.0


def _load(bench: Bench, result: Result) -> None:
    rng = bench.random()
    slowest = 0.0
    with bench.box() as box:
        box.until_active()
        good = box.machine.path(CONFIG).read_text(encoding="utf-8")
        box.drop(20, width=700)
        for number in range(4):
            time.sleep(rng.uniform(0.5, 2.5))
            level = "debug" if number % 2 == 0 else "info"
            box.machine.path(CONFIG).write_text(f"log: {{level: {level}}}\n{good}", encoding="utf-8")
            before = box.site.count("configuration.loaded")
            box.systemctl("reload")
            until(lambda before=before: box.site.count("configuration.loaded") > before, 60.0, "reloaded")
        for _ in range(3):
            box.drop(4, width=700)
            time.sleep(rng.uniform(0.5, 2.5))
            begin = time.monotonic()
            box.systemctl("stop")
            slowest = max(slowest, time.monotonic() - begin)
            box.systemctl("start")
        result.figure("reloads at work", 4)
        result.figure("stops at work", f"3, the slowest took {slowest:.1f} s")
        result.expect(slowest < _STOP_SECONDS, f"a stop took {slowest:.1f} s")
        result.expect("SIGKILL" not in box.machine.journal(), "systemd had to kill")
        box.finish(result)


_INSTANCE: Final = """\
state_dir: /var/lib/srwatchd-{name}
memory_limit: 512MiB
folders:
  - {{id: a, inbox: /srv/srwatchd/{name}/in, done: /srv/srwatchd/{name}/done, error: /srv/srwatchd/{name}/error,
     model: fsrcnn_x2}}
"""


def _instances(bench: Bench, result: Result) -> None:
    with bench.box() as box:
        machine = box.machine
        for name in ("north", "south"):
            config = f"/etc/srwatchd/{name}.yaml"
            machine.path(config).write_text(_INSTANCE.format(name=name), encoding="utf-8")
            machine.run(COMMAND, "systemd", "install", "--config", config, "--instance", name, "--start")
            shown = machine.shows(f"srwatchd@{name}.service", "ActiveState", "MemoryMax", "MainPID")
            result.expect(shown["ActiveState"] == "active", f"{name} is {shown}")
            result.expect(shown["MemoryMax"] == str(768 << 20), f"{name} has MemoryMax={shown['MemoryMax']}")
            other = "/var/lib/srwatchd-north" if name == "south" else "/var/lib/srwatchd"
            written = machine.run(
                "nsenter", "-t", shown["MainPID"], "-m", "sh", "-c", f"[ -w {other} ] && echo yes || echo no"
            )
            result.expect(written == "no", f"{name} may write {other}")
        source = box.drop(1)[0]
        for name in ("north", "south"):
            place = machine.path(f"/srv/srwatchd/{name}/in") / source.name
            place.write_bytes(source.picture.data)
            place.chmod(0o664)
        stem = source.name.rpartition(".")[0]
        for name in ("north", "south"):
            done = machine.path(f"/srv/srwatchd/{name}/done")
            until(
                lambda done=done: any(path.name.startswith(f"{stem}_x2") for path in done.iterdir()),
                120.0,
                f"{name}'s result",
            )
        result.figure("services beside each other", "srwatchd, srwatchd@north, srwatchd@south")
        box.finish(result)
        said = machine.run(COMMAND, "systemd", "remove")
        result.expect("srwatchd@north.service" in said, f"remove: {said}")
        left = machine.run(
            "sh",
            "-c",
            "systemctl list-units --all --plain --no-legend 'srwatchd*'; find /usr/local/lib -name 'srwatchd*'",
        )
        result.expect(not left, f"left after the removal: {left}")


SCENARIOS: Final = (
    Scenario("load", "Reload and stop while there is work: each within its time, nothing lost, nothing twice.", _load),
    Scenario(
        "instances", "Several services beside each other, each with its own state; all removed in one go.", _instances
    ),
)
