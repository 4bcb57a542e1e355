"""What intake needs to know of a hot folder's configuration.

A structural type: the configuration's own ``Folder`` fulfils it, and a test needs no configuration file.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["HotFolder", "SelectedNames"]


class SelectedNames(Protocol):
    """Which names in a folder are pictures to take."""

    @property
    def include(self) -> tuple[str, ...]:
        """Patterns of which one must match; empty for all names."""

    @property
    def exclude(self) -> tuple[str, ...]:
        """Patterns of which none may match."""

    @property
    def recursive(self) -> bool:
        """Whether sub folders count."""

    @property
    def ready(self) -> str:
        """``settled``, or ``done_file`` when the writer leaves ``<name>.done`` beside a complete file."""


class HotFolder(SelectedNames, Protocol):
    """The settings of one hot folder that decide when a file is taken; seconds and bytes."""

    @property
    def watch_mode(self) -> str:
        """``auto``, ``inotify`` or ``poll``."""

    @property
    def rescan_interval(self) -> float:
        """The longest time between two scans, and between two looks at a file that cannot be read."""

    @property
    def settle(self) -> float | None:
        """How long a file must stay unchanged; None for what its mount calls for."""

    @property
    def grace(self) -> float | None:
        """How long an incomplete file may stay unchanged before it is given up; None for what its mount calls for."""

    @property
    def max_hold(self) -> float:
        """How long a writer may keep a file open without writing to it."""

    @property
    def min_size(self) -> int:
        """Smaller files are refused."""

    @property
    def max_size(self) -> int:
        """Larger files are refused."""

    @property
    def order(self) -> str:
        """``oldest``, ``newest``, ``name`` or ``smallest`` first."""
