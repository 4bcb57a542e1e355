"""The configuration: every key, its kind, its default and its limits.

Frozen. Sizes are bytes, durations seconds, pixel counts plain numbers, paths absolute. The table in
docs/configuration and the JSON Schema are made from these classes.
"""

import os
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, PrivateAttr, ValidationInfo, field_validator

from srwatchd.config.console import Console
from srwatchd.config.context import Context
from srwatchd.config.document import KeyPath
from srwatchd.config.kinds import (
    Colour,
    DirectoryMode,
    Duration,
    FileMode,
    Group,
    Hours,
    Identifier,
    ModelName,
    OptionalDuration,
    OptionalPlacePath,
    OptionalSize,
    Patterns,
    Pixels,
    PlacePath,
    Program,
    Size,
    Template,
)
from srwatchd.config.section import Section
from srwatchd.terms import EngineName, ResultFormat

__all__ = [
    "MINIMUM_MEMORY",
    "PER_WORKER_MEMORY",
    "Audit",
    "Config",
    "Defaults",
    "Engine",
    "Folder",
    "FolderSettings",
    "Hooks",
    "Keep",
    "Limits",
    "Log",
    "Metrics",
    "Output",
    "Retention",
    "Retry",
    "Source",
    "memory_floor",
]

_MIB: Final = 1 << 20
MINIMUM_MEMORY: Final = 384 * _MIB
"""Bytes that the supervisor, one codec worker and one inference worker with a small tile need at the least."""
PER_WORKER_MEMORY: Final = 192 * _MIB
"""Bytes that every further worker adds to :data:`MINIMUM_MEMORY`."""


def memory_floor(workers: int) -> int:
    """The smallest ``memory_limit`` in bytes with which a service of ``workers`` workers can do anything."""
    return MINIMUM_MEMORY + PER_WORKER_MEMORY * (workers - 1)


def _mode(octal: str) -> Any:
    """Default permission bits as the file would have them, so that the JSON Schema shows what one writes."""
    return Field(default=octal)


class Engine(Section):
    """What computes."""

    name: EngineName = "auto"
    device: Literal["auto", "cpu", "gpu", "npu", "cuda"] = "auto"
    precision: Literal["f32", "bf16", "f16"] = "f32"
    threads: int = Field(default=0, ge=0, le=1024)
    """Threads per inference worker; 0 shares the processors out."""


class Audit(Section):
    """The ledger."""

    path: PlacePath = Field(default=Path("var/audit/audit.jsonl"))
    """Default: audit/audit.jsonl in state_dir. Segments are the other *.jsonl beside it."""
    key_file: PlacePath | None = None
    """A file whose content keys the chain (HMAC)."""
    segment_size: Size = Field(default=64 * _MIB, ge=64 * 1024)
    max_age: OptionalDuration = None
    """Older closed segments are removed; each leaves a tombstone."""
    max_size: OptionalSize = None
    """All segments together; at least two of them."""

    @field_validator("max_size")
    @classmethod
    def _room(cls, value: int | None, info: ValidationInfo) -> int | None:
        segment = info.data.get("segment_size", 0)
        if value is not None and value < 2 * segment:
            raise ValueError(f"is less than two segments ({2 * segment} bytes); raise it or lower segment_size")
        return value


class Metrics(Section):
    """Figures for Prometheus, as a file that node_exporter's textfile collector reads."""

    path: OptionalPlacePath = Field(default=Path("var/metrics/srwatchd.prom"))
    """Default: metrics/srwatchd.prom in state_dir. off writes none."""
    interval: Duration = Field(default=30.0, ge=1)


class Log(Section):
    """The operators' log."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class Output(Section):
    """What the result is like."""

    format: ResultFormat = "same"
    filename: Template = "{stem}_x{scale}"
    """The result's name without its extension."""
    quality: int | None = Field(default=None, ge=1, le=100)
    compression: int | None = Field(default=None, ge=0, le=9)
    metadata: Literal["keep", "strip", "gps-stripped"] = "keep"
    icc: Literal["keep", "srgb"] = "keep"
    longest_edge: int | None = Field(default=None, ge=1, le=1_000_000)
    factor: float | None = Field(default=None, gt=0, le=16)
    file_mode: FileMode = _mode("0664")
    dir_mode: DirectoryMode = _mode("2775")
    group: Group = None
    """Default: the group of the destination folder."""
    on_conflict: Literal["rename", "error"] = "rename"
    on_format_limit: Literal["error", "scale_down", "png", "tiff", "jpeg"] = "error"
    background: Colour = (255, 255, 255)
    """What shows through where the format has no transparency."""

    @field_validator("factor")
    @classmethod
    def _one_size(cls, value: float | None, info: ValidationInfo) -> float | None:
        if value is not None and info.data.get("longest_edge") is not None:
            raise ValueError("cannot be combined with longest_edge; keep one of them")
        return value

    @field_validator("on_format_limit")
    @classmethod
    def _another_format(cls, value: str, info: ValidationInfo) -> str:
        if value == info.data.get("format"):
            raise ValueError(f"{value} is the format whose limit is meant; choose another, error or scale_down")
        return value


class Limits(Section):
    """What one picture may take."""

    max_input_pixels: Pixels = 250_000_000
    max_output_pixels: Pixels = 2_000_000_000
    seconds_per_megapixel: float | None = Field(default=None, gt=0)
    """Without progress for longer than this, a worker is killed. Default: by model."""


class Retry(Section):
    """How often and when a failed attempt is repeated."""

    max_attempts: int = Field(default=3, ge=1, le=100)
    initial_delay: Duration = 10.0
    max_delay: Duration = 600.0

    @field_validator("max_delay")
    @classmethod
    def _ordered(cls, value: float, info: ValidationInfo) -> float:
        return _at_least(value, info, "initial_delay")


class Keep(Section):
    """How long and how much one kind of folder keeps; null or off is without limit."""

    max_age: OptionalDuration = None
    max_size: OptionalSize = None


class Retention(Section):
    """What is removed by itself."""

    archive: Keep = Field(default_factory=Keep)
    done: Keep = Field(default_factory=Keep)
    error: Keep = Field(default_factory=Keep)
    make_room: tuple[Literal["archive", "done", "error"], ...] = ()
    """Whose oldest files may go before their time when less than min_free is free. Empty: none."""


class Hooks(Section):
    """Commands that are run when something has happened, without a shell. Empty: none."""

    on_success: Program = ()
    on_failure: Program = ()
    on_hold: Program = ()
    timeout: Duration = Field(default=30.0, gt=0, le=3600)
    """Then the command and everything that it started are killed."""


class Source(Section):
    """Who dropped a picture."""

    samba_audit_log: PlacePath | None = None
    """The file that Samba's full_audit writes."""


class FolderSettings(Section):
    """The keys of a folder that have defaults."""

    on_success: Literal["archive", "delete"] = "archive"
    watch_mode: Literal["auto", "inotify", "poll"] = "auto"
    rescan_interval: Duration = Field(default=60.0, ge=1)
    settle: OptionalDuration = None
    """Default: by mount."""
    grace: OptionalDuration = None
    """Default: by mount."""
    max_hold: Duration = Field(default=900.0, gt=0)
    ready: Literal["settled", "done_file"] = "settled"
    recursive: bool = True
    include: Patterns = ()
    """Empty: all."""
    exclude: Patterns = ()
    """On top of the built-in list of junk, which always applies."""
    min_size: Size = 1
    max_size: Size = 1 << 30
    order: Literal["oldest", "newest", "name", "smallest"] = "oldest"
    weight: int = Field(default=1, ge=1, le=1000)
    active_hours: Hours = ()
    """Empty: always."""
    output: Output = Field(default_factory=Output)
    limits: Limits = Field(default_factory=Limits)
    retry: Retry = Field(default_factory=Retry)
    retention: Retention = Field(default_factory=Retention)
    min_free: Size = 1 << 30
    hooks: Hooks = Field(default_factory=Hooks)
    source: Source = Field(default_factory=Source)

    @field_validator("grace")
    @classmethod
    def _after_settle(cls, value: float | None, info: ValidationInfo) -> float | None:
        return value if value is None else _at_least(value, info, "settle")

    @field_validator("max_size")
    @classmethod
    def _ordered(cls, value: int, info: ValidationInfo) -> int:
        return int(_at_least(value, info, "min_size"))


class Defaults(FolderSettings):
    """What every folder has unless it says otherwise. Already merged into :attr:`Config.folders`."""

    model: ModelName | None = None
    done: PlacePath | None = None
    error: PlacePath | None = None
    archive: PlacePath | None = None


class Folder(FolderSettings):
    """One hot folder."""

    id: Identifier
    inbox: PlacePath
    done: PlacePath
    error: PlacePath
    archive: PlacePath = Field(default=Path("archive"))
    """Default: archive beside done."""
    model: ModelName

    @classmethod
    def derived(cls, data: dict[str, Any]) -> dict[str, Any]:
        """The archive lies beside done."""
        if "archive" not in data and isinstance(done := data.get("done"), str | Path):
            return {**data, "archive": Path(done).parent / "archive"}
        return data


class Config(Section):
    """A whole configuration. ``source`` is the file it was loaded from."""

    version: Literal[1] = 1
    state_dir: PlacePath = Field(default=Path("var"))
    models_dir: PlacePath = Field(default=Path("var/models"))
    """Default: models in state_dir."""
    engine: Engine = Field(default_factory=Engine)
    workers: int = Field(default=1, ge=1, le=64)
    memory_limit: Size = 1 << 30
    """For the whole service: supervisor and all workers."""
    audit: Audit = Field(default_factory=Audit)
    log: Log = Field(default_factory=Log)
    metrics: Metrics = Field(default_factory=Metrics)
    console: Console = Field(default_factory=Console)
    defaults: Defaults = Field(default_factory=Defaults)
    folders: tuple[Folder, ...] = Field(json_schema_extra={"minItems": 1})

    _context: Context = PrivateAttr(default_factory=lambda: Context(Path(os.devnull)))

    @classmethod
    def derived(cls, data: dict[str, Any]) -> dict[str, Any]:
        """What lies in state_dir unless it is said otherwise."""
        if not isinstance(state := data.get("state_dir", "var"), str | Path):
            return data
        audit = {} if data.get("audit") is None else data["audit"]
        if isinstance(audit, dict):
            audit = {"path": Path(state) / "audit" / "audit.jsonl", **audit}
        metrics = {} if data.get("metrics") is None else data["metrics"]
        if isinstance(metrics, dict):
            metrics = {"path": Path(state) / "metrics" / "srwatchd.prom", **metrics}
        return {"models_dir": Path(state) / "models", **data, "audit": audit, "metrics": metrics}

    def model_post_init(self, context: Any, /) -> None:
        """Keep what is known about the file."""
        if isinstance(context, Context):
            self._context = context

    @property
    def source(self) -> Path:
        """The file that this was loaded from; the null device for one made in memory."""
        return self._context.file

    def where(self, *path: str | int) -> tuple[KeyPath, int]:
        """The key path and the line at which the value of ``path`` is written, for a problem found later."""
        return self._context.where(path)

    def folder(self, folder_id: str) -> Folder:
        """The folder of that id; raises :class:`KeyError` when there is none."""
        for folder in self.folders:
            if folder.id == folder_id:
                return folder
        raise KeyError(folder_id)

    @field_validator("folders", mode="before")
    @classmethod
    def _any(cls, value: Any) -> Any:
        if value in (None, ()):
            raise ValueError("is empty; write at least one folder, beginning with a dash")
        return value

    @field_validator("memory_limit")
    @classmethod
    def _enough(cls, value: int, info: ValidationInfo) -> int:
        workers = info.data.get("workers", 1)
        if value < (floor := memory_floor(workers)):
            raise ValueError(f"is too small for {workers} worker(s); write at least {floor // _MIB} MiB")
        return value


def _at_least(value: float, info: ValidationInfo, other: str) -> float:
    least = info.data.get(other)
    if least is not None and value < least:
        raise ValueError(f"is less than {other} ({least:g}); raise it or lower {other}")
    return value
