"""Figures in Prometheus' text format, and the file that node_exporter's textfile collector reads.

The format is "Text-based format" 0.0.4 of the Prometheus documentation. Node_exporter refuses timestamps in such files,
so none are written; when a file was written shows in ``node_textfile_mtime_seconds``.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from srwatchd.storage import STAGING_PREFIX, host_errors, open_directory, set_mode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["Family", "render", "write_figures"]

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_MODE: Final = 0o644
_DIRECTORY_MODE: Final = 0o755
_INEXACT: Final = 1 << 53


@dataclass(slots=True)
class Family:
    """All samples of one name. A counter's name ends in ``_total``; units are seconds, bytes and pixels.

    ``samples`` maps label values, in the order of ``labels``, to figures.
    """

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    labels: tuple[str, ...] = ()
    samples: dict[tuple[str, ...], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not all(map(_NAME.fullmatch, (self.name, *self.labels))):
            raise ValueError(f"{self.name!r} with {self.labels!r} is no name of a metric")
        if (self.kind == "counter") != self.name.endswith("_total"):
            raise ValueError(f"{self.name!r}: a counter ends in _total, and nothing else does")

    def put(self, value: float, *values: str) -> None:
        """Set the sample with these label values. Raises ValueError unless there is one for each label."""
        if len(values) != len(self.labels):
            raise ValueError(f"{self.name} has the labels {self.labels}, not {values}")
        self.samples[values] = value


def render(families: Iterable[Family]) -> bytes:
    """The text of ``families``; one without a sample is left out. What is no text comes as question marks."""
    lines = []
    for family in families:
        if family.samples:
            lines.append(f"# HELP {family.name} {_escaped(family.help, quotes=False)}")
            lines.append(f"# TYPE {family.name} {family.kind}")
        for values, figure in sorted(family.samples.items()):
            lines.append(f"{family.name}{_labels(dict(zip(family.labels, values, strict=True)))} {_number(figure)}")
    return ("\n".join(lines) + "\n").encode("utf-8", "replace") if lines else b""


def write_figures(path: Path, text: bytes) -> None:
    """Replace the file at ``path`` by ``text``, readable for all; a reader sees the old text or the new one.

    Its folder is made when missing (not the one above). Nothing is made durable: after a power cut the figures are
    stale in any case. A link at ``path`` is replaced, not followed. Raises HostError.
    """
    staged = f"{STAGING_PREFIX}{path.name}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with host_errors(path, "writing the figures to"):
        with contextlib.suppress(FileExistsError):
            os.mkdir(path.parent, _DIRECTORY_MODE)
        directory = open_directory(path.parent)
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(staged, dir_fd=directory)
            with open(os.open(staged, flags, _MODE, dir_fd=directory), "wb") as file:
                set_mode(file.fileno(), _MODE)
                file.write(text)
            os.rename(staged, path.name, src_dir_fd=directory, dst_dir_fd=directory)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(staged, dir_fd=directory)
            raise
        finally:
            os.close(directory)


def _labels(labels: Mapping[str, str]) -> str:
    inner = ",".join(f'{name}="{_escaped(value, quotes=True)}"' for name, value in labels.items())
    return f"{{{inner}}}" if inner else ""


def _escaped(text: str, *, quotes: bool) -> str:
    escaped = text.replace("\\", r"\\").replace("\n", r"\n")
    return escaped.replace('"', r"\"") if quotes else escaped


def _number(figure: float) -> str:
    if math.isinf(figure):
        return "+Inf" if figure > 0 else "-Inf"
    if math.isnan(figure):
        return "NaN"
    whole = isinstance(figure, int) or (figure.is_integer() and abs(figure) < _INEXACT)
    return str(int(figure)) if whole else repr(figure)
