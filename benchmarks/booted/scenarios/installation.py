"""The archive for boxes without a network: upgrade, an upgrade that fails, rollback, removal that keeps data."""

from __future__ import annotations

import hashlib
import re
import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.booted.bench import STICK, Scenario
from benchmarks.booted.box import CONFIG, UNIT, Box
from benchmarks.booted.machine import Machine, booted
from benchmarks.endurance.scenario import run_tool

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.booted.bench import Bench
    from benchmarks.endurance.scenario import Result

__all__ = ["SCENARIOS"]

_BROKEN: Final = '\nraise RuntimeError("this version cannot start")\n'


def _installation(bench: Bench, result: Result) -> None:
    stick = bench.archive().parent
    newer = _repacked(bench, "9.0.1", lambda _name, text: text)
    broken = _repacked(
        bench, "9.0.2", lambda name, text: text + _BROKEN if name == "srwatchd/daemon/service.py" else text
    )
    machine = Machine(bench.installed(), binds=((stick, STICK),))
    with booted(machine):
        box = Box(machine, bench.random())
        box.until_active()
        box.override("mine", "[Service]\nNice=7\n")
        box.drop(4, width=400)
        first = _current(box)
        box.until_delivered(1)

        said = _install(box, newer)
        result.expect(_current(box).startswith("9.0.1"), f"after the upgrade: {_current(box)}; {said}")
        result.expect(box.state() == ("active", "running"), f"after the upgrade: {box.state()}")
        result.expect(machine.shows(UNIT, "Nice")["Nice"] == "7", "the administrator's drop-in was lost")
        box.drop(2)

        said = _install(box, broken, ends_well=False)
        result.expect(_current(box).startswith("9.0.1"), f"after an upgrade that cannot start: {_current(box)}; {said}")
        result.expect(box.state() == ("active", "running"), f"after an upgrade that cannot start: {box.state()}")
        box.drop(2)
        box.until_delivered(len(box.dropped))

        machine.run("/opt/srwatchd/install.sh", "rollback")
        result.expect(_current(box) == first, f"after the rollback: {_current(box)}")
        result.expect(box.state() == ("active", "running"), f"after the rollback: {box.state()}")
        box.drop(2)
        box.until_delivered(len(box.dropped))

        machine.run("/opt/srwatchd/install.sh", "remove")
        kept = [CONFIG, "/var/lib/srwatchd/audit/audit.jsonl", f"/etc/systemd/system/{UNIT}.d/mine.conf"]
        result.expect(all(machine.path(path).exists() for path in kept), "the removal took data")
        result.expect(box.delivered() == len(box.dropped), "the removal took pictures")
        gone = machine.run(
            "sh", "-c", "ls -d /opt/srwatchd /usr/local/lib/systemd/system/srwatchd* 2>/dev/null", check=False
        )
        result.expect(not gone, f"left after the removal: {gone}")

        _install(box, bench.archive().name.removesuffix(".tar"))
        box.until_active()
        result.expect(not box.hold(), f"installed again, the folder is held: {box.hold()}")
        box.drop(2)
        box.finish(result)
        result.figure(
            "without a network",
            "installed, upgraded, upgraded to a version that does not start, rolled back, removed, installed again",
        )


def _current(box: Box) -> str:
    return box.machine.run("readlink", "/opt/srwatchd/current").removeprefix("versions/")


def _install(box: Box, name: str, *, ends_well: bool = True) -> str:
    """Unpack the archive of that name on the machine and run its installer."""
    script = f"cd /root && tar -xf {STICK}/{name}.tar && {name}/install.sh; s=$?; rm -rf /root/{name}; echo status $s"
    said = box.machine.run("sh", "-c", script, seconds=300)
    if said.endswith("status 0") != ends_well:
        raise AssertionError(f"install.sh of {name}: {said[-2000:]}")
    return said


def _unpacked(bench: Bench) -> Path:
    place = bench.work / "unpacked"
    if not place.exists():
        place.mkdir()
        run_tool("tar", "-xf", bench.archive(), "-C", place)
    return place


def _repacked(bench: Bench, version: str, change: Callable[[str, str], str]) -> str:
    """An archive of the same with another version of srwatchd in it; its name."""
    source = next(path for path in _unpacked(bench).iterdir() if path.is_dir())
    old = re.match(r"srwatchd-([^-]+)-", source.name)[1]
    name = source.name.replace(f"-{old}-", f"-{version}-")
    target = bench.work / "repacked" / name
    shutil.copytree(source, target, copy_function=_linked)
    wheel = next((target / "wheelhouse").glob("srwatchd-*.whl"))
    with (
        zipfile.ZipFile(wheel) as before,
        zipfile.ZipFile(wheel.with_name(wheel.name.replace(old, version)), "w", zipfile.ZIP_DEFLATED) as after,
    ):
        for entry in before.infolist():
            data = before.read(entry)
            plain = entry.filename.replace(f"srwatchd-{old}.dist-info", f"srwatchd-{version}.dist-info")
            if plain.endswith((".py", "METADATA", "RECORD")):
                text = change(plain, data.decode()).replace(f"srwatchd-{old}.", f"srwatchd-{version}.")
                text = re.sub(rf'(?m)^(__version__ = "|Version: ){re.escape(old)}', rf"\g<1>{version}", text)
                data = text.encode()
            after.writestr(plain, data)
    wheel.unlink()
    (target / "target").write_text((target / "target").read_text().replace(f"version={old}", f"version={version}"))
    sums = target / "SHA256SUMS"
    sums.unlink()
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(target)}\n"
        for path in sorted(target.rglob("*"))
        if path.is_file()
    ]
    sums.write_text("".join(lines))
    archive = bench.archive().parent / f"{name}.tar"
    run_tool("tar", "-cf", archive, "-C", target.parent, name)
    return name


def _linked(source: str, target: str) -> None:
    shutil.copyfile(source, target) if not source.endswith(".whl") else Path(target).hardlink_to(source)
    shutil.copymode(source, target)


SCENARIOS: Final = (
    Scenario(
        "installation",
        "Upgrade, a failing upgrade, rollback and removal keep data, settings and service.",
        _installation,
    ),
)
