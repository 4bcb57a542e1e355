"""What the figures for Prometheus are: every metric, its labels and its help, made from the daemon as it is now.

The table in docs/operations.md is made from :data:`METRICS`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from srwatchd import __version__
from srwatchd.daemon.trend import Trend
from srwatchd.notify.prometheus import Family

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from srwatchd.daemon.folder import ServedFolder
    from srwatchd.daemon.tally import Tally

__all__ = ["METRICS", "Disks", "Metric", "figures"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One name that is told: ``name`` is without the ``srwatchd_`` before it."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    labels: tuple[str, ...] = ()


METRICS: Final = (
    Metric("build_info", "gauge", "Always 1; the version is in the label.", ("version",)),
    Metric("start_time_seconds", "gauge", "When the daemon began, seconds since 1970."),
    Metric("config_last_load_success_timestamp_seconds", "gauge", "When the present configuration took effect."),
    Metric("config_last_load_successful", "gauge", "0 after a newer configuration was refused."),
    Metric("ledger_sequence", "gauge", "Sequence number of the ledger's last line."),
    Metric("waiting_files", "gauge", "Files known to be in the inbox.", ("folder",)),
    Metric(
        "oldest_file_age_seconds",
        "gauge",
        "For how long the daemon has seen the oldest of them; 0 without.",
        ("folder",),
    ),
    Metric("retrying_pictures", "gauge", "Claimed pictures that wait for their next attempt.", ("folder",)),
    Metric("pictures_in_work", "gauge", "Pictures in work.", ("folder",)),
    Metric("folder_paused", "gauge", "1 while a person has paused the folder.", ("folder",)),
    Metric("folder_answering", "gauge", "0 while the folder's file system hangs.", ("folder",)),
    Metric("folder_held", "gauge", "1 while the folder is held for that code.", ("folder", "code")),
    Metric("holds_total", "counter", "How often the folder was held, by code.", ("folder", "code")),
    Metric("pictures_total", "counter", "Runs by how they ended.", ("folder", "outcome")),
    Metric("input_pixels_total", "counter", "Pixels of delivered pictures' sources.", ("folder",)),
    Metric("output_pixels_total", "counter", "Pixels of delivered results.", ("folder",)),
    Metric("stage_seconds_total", "counter", "Time spent in each stage, whatever came of it.", ("folder", "stage")),
    Metric("failures_total", "counter", "Pictures that went to the error folder, by code.", ("folder", "code")),
    Metric("failed_attempts_total", "counter", "Attempts after which another one follows.", ("folder", "code")),
    Metric("worker_restarts_total", "counter", "Worker processes that were started again.", ("role",)),
    Metric("retention_removed_files_total", "counter", "Files that retention removed.", ("folder", "place", "rule")),
    Metric("retention_removed_bytes_total", "counter", "And their bytes.", ("folder", "place", "rule")),
    Metric("hooks_total", "counter", "Hooks by event and by how they ended.", ("folder", "event", "outcome")),
    Metric("disk_free_bytes", "gauge", "Bytes that the daemon may still write there.", ("path",)),
    Metric("disk_size_bytes", "gauge", "Size of the file system there.", ("path",)),
    Metric(
        "disk_full_in_seconds",
        "gauge",
        "Until it is full by the trend of the last day; +Inf while it does not shrink, absent in the first half hour.",
        ("path",),
    ),
)


@dataclass(slots=True)
class Disks:
    """Free and whole bytes by path, as seen last, and their trends."""

    space: dict[str, tuple[int, int]] = field(default_factory=dict)
    trends: dict[str, Trend] = field(default_factory=dict)

    def update(self, space: Mapping[str, tuple[int, int]], now: float) -> None:
        """Take in what is free now; a path that is not there any more is forgotten. ``now`` is monotonic."""
        self.space = dict(space)
        self.trends = {path: self.trends.get(path) or Trend() for path in space}
        for path, (free, _) in space.items():
            self.trends[path].add(now, free)


def figures(
    folders: Iterable[ServedFolder], tally: Tally, disks: Disks, *, sequence: int, now: float | None = None
) -> list[Family]:
    """Every metric as it is now; ``sequence`` is the ledger's. Touches no disk."""
    found = {each.name: Family(f"srwatchd_{each.name}", each.kind, each.help, each.labels) for each in METRICS}
    found["build_info"].put(1, __version__)
    found["start_time_seconds"].put(tally.started)
    found["config_last_load_success_timestamp_seconds"].put(tally.loaded)
    found["config_last_load_successful"].put(int(not tally.refused))
    found["ledger_sequence"].put(sequence)
    for folder in folders:
        _folder(found, folder, time.monotonic() if now is None else now)
    _counters(found, tally)
    for path, (free, size) in disks.space.items():
        found["disk_free_bytes"].put(free, path)
        found["disk_size_bytes"].put(size, path)
        if (left := disks.trends[path].until_full(free)) is not None:
            found["disk_full_in_seconds"].put(left, path)
    return list(found.values())


def _folder(found: dict[str, Family], folder: ServedFolder, now: float) -> None:
    name = folder.config.id
    since = folder.oldest_since
    shown: dict[str, float] = {
        "waiting_files": folder.waiting,
        "oldest_file_age_seconds": 0.0 if since is None else max(0.0, now - since),
        "retrying_pictures": folder.retrying,
        "pictures_in_work": folder.in_work,
        "folder_paused": int(folder.paused),
        "folder_answering": int(not folder.stalled),
    }
    for metric, value in shown.items():
        found[metric].put(value, name)
    if folder.hold is not None:
        found["folder_held"].put(1, name, folder.hold.code)


def _counters(found: dict[str, Family], tally: Tally) -> None:
    """What was ever held is shown as 0 while it is not, so that an alert sees it end."""
    for folder, code in tally.holds:
        found["folder_held"].samples.setdefault((folder, code), 0)
    tables: dict[str, Mapping[Any, float]] = {
        "holds_total": tally.holds,
        "pictures_total": tally.pictures,
        "input_pixels_total": tally.input_pixels,
        "output_pixels_total": tally.output_pixels,
        "stage_seconds_total": tally.stage_seconds,
        "failures_total": tally.failures,
        "failed_attempts_total": tally.attempts,
        "worker_restarts_total": tally.restarts,
        "retention_removed_files_total": tally.removed_files,
        "retention_removed_bytes_total": tally.removed_bytes,
        "hooks_total": tally.hooks,
    }
    for metric, table in tables.items():
        for labels, value in table.items():
            found[metric].put(value, *((labels,) if isinstance(labels, str) else labels))
