"""The present moment: one picture of it, made at most once a second however many pages ask."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from srwatchd.config import find_models
from srwatchd.console.attention import attention
from srwatchd.console.jobs import jobs_of
from srwatchd.console.shapes import Daemon, Folder, Hold, Live, Minute, Queue, Running, Space, Throughput, WaitingFile
from srwatchd.control.socket import ask
from srwatchd.errors import SrwatchdError
from srwatchd.intake.names import display

if TYPE_CHECKING:
    from srwatchd.config import Config
    from srwatchd.config import Folder as FolderConfig
    from srwatchd.console.desk import Desk
    from srwatchd.console.history import Minutes

__all__ = ["Moment", "Pulse", "folders_of"]

_INTERVAL: Final = 1.0
_DAEMON_SECONDS: Final = 4.0
_RECENT: Final = 12
_HOUR: Final = 60
_MEAN_OVER: Final = 5
_ROUNDED: Final = 16 << 20
_MODELS_SECONDS: Final = 10.0
_ENDINGS: Final = ["jpg", "jpeg", "png", "tif", "tiff", "webp", "bmp", "gif", "jp2", "avif", "ppm", "pgm"]
_STATES: Final = frozenset({"active", "held", "not answering", "outside active hours"})


@dataclass(frozen=True, slots=True)
class Moment:
    """What was found: the daemon's report (None without an answer), and the whole as bytes with their tag."""

    report: dict[str, Any] | None
    live: Live
    body: bytes
    etag: str


class Pulse:
    """Takes moments for a desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._taken: Moment | None = None
        self._at = float("-inf")
        self._lock = asyncio.Lock()
        self._scales: dict[str, int] = {}
        self._scales_at = float("-inf")

    async def moment(self) -> Moment:
        """The latest moment, at most a second old."""
        async with self._lock:
            if self._taken is None or time.monotonic() - self._at >= _INTERVAL:
                self._at = time.monotonic()  # before the look: what is forgotten meanwhile stays so
                self._taken = await self._look()
            return self._taken

    def forget(self) -> None:
        """The next question is answered anew: something was changed just now."""
        self._at = float("-inf")

    async def scale(self, model: str) -> int | None:
        """A model's scale; None for one that there is not."""
        now = time.monotonic()
        if now - self._scales_at > _MODELS_SECONDS:
            self._scales_at = now
            try:
                found = await self._desk.disks.run("models", lambda: find_models(self._desk.config.models_dir))
                self._scales = {name: spec.scale for name, spec in found.items()}
            except (SrwatchdError, OSError, TimeoutError):
                pass
        return self._scales.get(model)

    async def _look(self) -> Moment:
        desk = self._desk
        report, daemon = None, Daemon(running=False)
        try:
            report = await ask(desk.config.state_dir / "control.sock", "status", timeout=_DAEMON_SECONDS)
            daemon = Daemon(running=True, version=report["version"], since=report.get("since"), pid=report["pid"])
        except SrwatchdError as error:
            daemon = Daemon(running=False, code=error.code, message=display(error.message), hint=display(error.hint))
        folders = await folders_of(desk, report)
        live = Live(
            daemon=daemon,
            attention=await attention(desk, daemon, folders),
            queue=_queue(folders, report),
            running=[_running(each) for each in report["jobs"]["running"]] if report else [],
            throughput=await self._throughput(),
            folders=folders,
            recent=await jobs_of(desk, await desk.history.recent(_RECENT)),
        )
        body = live.model_dump_json().encode("utf-8")
        return Moment(report, live, body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')

    async def _throughput(self) -> Throughput:
        now = datetime.now(UTC)
        since = now - timedelta(minutes=_HOUR - 1)
        found = await self._desk.history.minutes(since.strftime("%Y-%m-%dT%H:%M"))
        minutes = [_minute(since + timedelta(minutes=number), found) for number in range(_HOUR)]
        latest = minutes[-_MEAN_OVER:]
        return Throughput(
            pictures_per_minute=round(sum(each.delivered for each in latest) / _MEAN_OVER, 2),
            megapixels_per_minute=round(sum(each.megapixels for each in latest) / _MEAN_OVER, 2),
            minutes=minutes,
        )


async def folders_of(desk: Desk, report: dict[str, Any] | None) -> list[Folder]:
    """All folders, with what the daemon's report says of each."""
    config = desk.config
    told = {each["id"]: each for each in report["folders"]} if report else {}
    spaces = await desk.spaces.of(config)
    return [
        _folder(config, each, told.get(each.id), spaces.get(each.id), await desk.pulse.scale(each.model))
        for each in config.folders
    ]


class Spaces:
    """Free space under the folders; each is asked for at most every few seconds."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._known: dict[str, Space] = {}
        self._at = float("-inf")

    async def of(self, config: Config) -> dict[str, Space]:
        """The room under each folder; absent where a disk does not answer."""
        now = time.monotonic()
        if now - self._at > _MODELS_SECONDS:
            self._at = now
            found = await asyncio.gather(*(self._space(each) for each in config.folders))
            self._known = {each.id: space for each, space in zip(config.folders, found, strict=True) if space}
        return self._known

    async def _space(self, folder: FolderConfig) -> Space | None:
        try:
            return await self._desk.disks.run(folder.id, lambda: _space(folder))
        except TimeoutError:
            return None


def _space(folder: FolderConfig) -> Space:
    least: tuple[int, int] | None = None
    for place in (folder.done, folder.error, folder.archive, folder.inbox):
        try:
            found = os.statvfs(place)
        except OSError:
            continue
        here = (found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)
        least = here if least is None else min(least, here)
    free, total = least or (0, 0)
    return Space(free=free // _ROUNDED * _ROUNDED, total=total, min_free=folder.min_free)


def _folder(
    config: Config, folder: FolderConfig, told: dict[str, Any] | None, space: Space | None, scale: int | None
) -> Folder:
    told = told or {}
    hold = told.get("hold")
    return Folder(
        id=folder.id,
        state=told["state"] if told.get("state") in _STATES else "unknown",
        paused=bool(told.get("paused")),
        waiting=told.get("waiting"),
        in_work=told.get("in_work"),
        retrying=told.get("retrying"),
        delivered=told.get("delivered"),
        quarantined=told.get("quarantined"),
        model=folder.model,
        scale=scale,
        engine=told.get("engine") or None,
        hold=Hold(**{key: display(str(hold[key])) for key in ("code", "message", "hint", "since")}) if hold else None,
        space=space,
        inbox=display(str(folder.inbox)),
        done=display(str(folder.done)),
        max_size=min(folder.max_size, config.console.upload.max_size),
        formats=_ENDINGS,
        files=[
            WaitingFile(**{**each, "name": display(each["name"]), "detail": display(each["detail"])})
            for each in told.get("files", [])
        ],
        warnings=[display(each) for each in told.get("warnings", [])],
        upscale=config.state_dir / "console" / "upscale" in folder.inbox.parents,
    )


def _queue(folders: list[Folder], report: dict[str, Any] | None) -> Queue:
    return Queue(
        waiting=sum(each.waiting or 0 for each in folders),
        in_work=report["jobs"]["in_work"] if report else 0,
        retrying=sum(each.retrying or 0 for each in folders),
    )


def _running(told: dict[str, Any]) -> Running:
    return Running(
        job=told["job"] or None,
        folder=told["folder"],
        name=display(told["name"]),
        stage=told["stage"],
        done=told["done"],
        total=told["total"],
        seconds=told.get("seconds", 0.0),
        width=told.get("width", 0),
        height=told.get("height", 0),
    )


def _minute(moment: datetime, found: Minutes) -> Minute:
    key = moment.strftime("%Y-%m-%dT%H:%M")
    delivered, failed, pixels = found.get(key, (0, 0, 0))
    return Minute(at=f"{key}:00Z", delivered=delivered, failed=failed, megapixels=round(pixels / 1e6, 2))
