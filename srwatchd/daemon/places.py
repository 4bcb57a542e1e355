"""Where the destinations lie: a folder that used to be a mounted disk or share is not written to while it is not.

An inbox carries an id; done, error and archive carry nothing, so the mount point that each lay on is remembered in the
state directory. A delivery into the bare mount point of an absent share would be invisible once it is back.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Final

from srwatchd.errors import HostError
from srwatchd.intake.mounts import mount_of
from srwatchd.storage import host_errors

if TYPE_CHECKING:
    from pathlib import Path

    from srwatchd.daemon.state import StateDirectory

__all__ = ["Places"]

_NAME: Final = "places.json"


class Places:
    """The mount point of every destination; used from any thread."""

    def __init__(self, state: StateDirectory) -> None:
        self._state = state
        self._lock = threading.Lock()
        kept = state.read(_NAME)
        self._points = {str(path): str(point) for path, point in kept.items()} if isinstance(kept, dict) else {}
        self._devices: dict[str, int] = {}

    def learn(self, place: Path) -> None:
        """Remember where ``place`` lies now, whatever was remembered before."""
        with host_errors(place, "looking at"):
            point = mount_of(place).point
        with self._lock:
            if self._points.get(str(place)) != point:
                self._points[str(place)] = point
                self._state.write(_NAME, self._points)

    def check(self, place: Path) -> None:
        """Raise HostError ``folder_missing`` when ``place`` is not there or lies on another mount than it used to.

        Cheap as long as its device number is the one seen last.
        """
        with host_errors(place, "looking at"):
            device = os.stat(place).st_dev
            if self._devices.get(str(place)) == device:
                return
            point = mount_of(place).point
        known = self._points.get(str(place))
        if known is None:
            self.learn(place)
        elif point != known:
            message = f"{str(place)!r} used to lie on the mount {known!r}, which is not there"
            hint = "Mount it again. If it is meant to be so now, run `srwatchd init` for this configuration."
            raise HostError("folder_missing", message, hint=hint, path=str(place))
        self._devices[str(place)] = device
