"""A share that is absent at boot, comes, goes and comes again under the running unit.

The share is a folder ``/export/share`` of the machine that is bound to ``/mnt/share`` by an entry of its fstab. While
the folder is away and a file in its place, the mount fails, as that of a server that does not answer.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from benchmarks.booted.bench import Scenario
from benchmarks.booted.box import UNIT, Layout
from benchmarks.endurance.service import until

if TYPE_CHECKING:
    from benchmarks.booted.bench import Bench
    from benchmarks.booted.box import Box
    from benchmarks.endurance.scenario import Result

__all__ = ["SCENARIOS"]

_LAYOUT: Final = Layout("/mnt/share/pictures")
_MOUNT: Final = "mnt-share.mount"
_PREPARE: Final = """set -e
mkdir -p /export/share/pictures /mnt/share
chgrp srwatchd /export/share/pictures && chmod 2775 /export/share/pictures
echo '/export/share /mnt/share none bind,nofail 0 0' >> /etc/fstab
systemctl daemon-reload && systemctl start mnt-share.mount
"""


def _absent(bench: Bench, result: Result) -> None:
    with bench.box(layout=_LAYOUT, config=_LAYOUT.config()) as box:
        _prepared(box, result)
        box.drop(1)
        box.until_delivered(1)
        machine = box.machine
        box.systemctl("stop")
        machine.run("systemctl", "stop", _MOUNT)
        machine.run("sh", "-c", "mv /export/share /export/away && touch /export/share")  # systemd would make a folder
        machine.shutdown()
        machine.boot()
        box.until_active()
        result.expect(machine.shows(_MOUNT, "ActiveState")["ActiveState"] != "active", "the share was mounted at boot")
        until(lambda: box.hold().startswith("folder_"), 30.0, f"held; {box.hold()!r}")
        result.figure("booted without the share: the service is", f"active, the folder held ({box.hold()})")
        made = os.listdir(machine.path("/mnt/share"))
        result.expect(not made, f"made below the empty mount point: {made}")
        machine.run("sh", "-c", "rm /export/share && mv /export/away /export/share")
        machine.run("systemctl", "start", _MOUNT)
        until(lambda: not box.hold(), 60.0, "the share is taken up")
        result.expect(box.restarts() == 0, f"restarts: {box.restarts()}")
        box.drop(3)
        box.finish(result)


def _remounted(bench: Bench, result: Result) -> None:
    with bench.box(layout=_LAYOUT, config=_LAYOUT.config()) as box:
        _prepared(box, result)
        machine = box.machine
        for number in range(3):
            box.drop(4, width=500)
            box.until_delivered(4 * number + 1)
            answer = machine.run("umount", "/mnt/share", check=False)
            result.expect("busy" in answer, f"umount of a share in use: {answer!r}")
            machine.run("umount", "--lazy", "/mnt/share")
            until(lambda: box.hold().startswith("folder_"), 60.0, f"held; {box.hold()!r}")
            seen = _seen(box)
            result.expect(not seen, f"unmounted, and the service still sees {seen}")
            made = os.listdir(machine.path("/mnt/share"))
            result.expect(not made, f"made below the empty mount point: {made}")
            machine.run("systemctl", "start", _MOUNT)
            until(lambda: not box.hold(), 60.0, "the share is taken up")
            box.until_delivered(4 * (number + 1))
        result.figure(
            "unmounted and mounted again under the running unit", "3 times; the old mount was let go each time"
        )
        result.expect(box.restarts() == 0, f"restarts: {box.restarts()}")
        box.finish(result)
        _pinned(box, result)


def _pinned(box: Box, result: Result) -> None:
    """What would be if the folder in the mount were granted, and not the mount: why the drop-in does what it does."""
    box.override("wrong", "[Service]\nReadWritePaths=\nReadWritePaths=/mnt/share/pictures\n")
    box.systemctl("start")
    box.machine.run("umount", "--lazy", "/mnt/share")
    seen = _seen(box)
    result.figure(
        "the same with ReadWritePaths= on a folder in the share", "the old mount stays" if seen else "no difference"
    )
    box.systemctl("stop")


def _prepared(box: Box, result: Result) -> None:
    """The share is there, the service is configured for it and has marked its inbox."""
    box.machine.run("sh", "-c", _PREPARE)
    box.configure(_LAYOUT.config())
    box.systemctl("restart")
    shown = box.machine.shows(UNIT, "After", "Wants", "Requires", "RequiresMountsFor", "ReadWritePaths")
    result.expect(_MOUNT in shown["After"] and _MOUNT in shown["Wants"], f"not ordered after the mount: {shown}")
    result.expect(_MOUNT not in shown["Requires"], f"it requires the mount: {shown}")
    result.expect("-/mnt/share" in shown["ReadWritePaths"].split(), f"ReadWritePaths: {shown['ReadWritePaths']}")
    result.expect(not box.hold(), f"held: {box.hold()}")


def _seen(box: Box) -> list[str]:
    """The mounts at and below the share that the service has."""
    lines = box.machine.run("cat", f"/proc/{box.pid()}/mountinfo").splitlines()
    return [line.split()[4] for line in lines if line.split()[4].startswith("/mnt/share")]


SCENARIOS: Final = (
    Scenario(
        "absent", "Booted without its share the service runs, holds the folder and takes it up when it comes.", _absent
    ),
    Scenario("remounted", "The share goes and comes under the running unit, which pins nothing.", _remounted),
)
