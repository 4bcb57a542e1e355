"""A folder of pictures through the real daemon, once for each engine, and its results as the tests look at them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from srwatchd.codec.vips import pyvips

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cases import Case, Document
    from numpy.typing import NDArray

ROOT = Path(__file__).parents[2]
FOLDERS = {"same": {}, "srgb": {"icc": "srgb"}, "strip": {"metadata": "strip"}, "nogps": {"metadata": "gps-stripped"}}
FOLDERS |= {name: {"format": name} for name in ("jpeg", "png", "webp", "tiff", "avif", "gif")}


@dataclass(frozen=True)
class Result:
    """A file in a done folder, opened by libvips; ``pixels`` as (height, width, channels)."""

    path: Path
    image: Any
    pixels: NDArray[Any]

    @property
    def profile(self) -> bytes:
        return bytes(self.image.get("icc-profile-data")) if self.image.get_typeof("icc-profile-data") else b""

    @property
    def dpi(self) -> float:
        return float(self.image.xres * 25.4)

    @property
    def orientation(self) -> int:
        return int(self.image.get("orientation")) if self.image.get_typeof("orientation") else 1


@dataclass
class Served:
    """What one run of the daemon left behind."""

    root: Path
    status: int
    log: str
    model: str
    scale: int
    opened: dict[tuple[str, str], Result] = field(default_factory=dict)

    def result(self, name: str, folder: str = "same") -> Result:
        """The result of a source; fails with the reason when there is none."""
        if (folder, name) not in self.opened:
            stem = name.rpartition(".")[0] or name
            done = self.root / folder / "done"
            found = [path for path in done.iterdir() if path.stem == f"{stem}@{self.scale}"] if done.is_dir() else []
            assert len(found) == 1, self.why(name, folder)
            self.opened[folder, name] = opened(found[0])
        return self.opened[folder, name]

    def why(self, name: str, folder: str = "same") -> dict[str, Any]:
        """The sidecar of a source in the error folder."""
        path = self.root / folder / "error" / f"{name}.error.json"
        return (
            json.loads(path.read_text()) if path.exists() else {"message": f"nothing about {name}\n{self.log[-3000:]}"}
        )


def pages(path: Path) -> list[Any]:
    """The pages or frames of a result, each opened by itself, as libvips finds them."""
    count = pyvips().Image.new_from_file(str(path)).get("n-pages")
    return [pyvips().Image.new_from_file(str(path), page=number, fail_on="warning") for number in range(count)]


def opened(path: Path) -> Result:
    """A result as libvips shows it."""
    image = pyvips().Image.new_from_file(str(path))
    return Result(path, image, image.numpy().reshape(image.height, image.width, image.bands))


def served(root: Path, sources: dict[str, Iterable[Case | Document]], *, engine: str, model: str, scale: int) -> Served:
    """Drop ``sources`` (cases by folder) into folders below ``root``, run the daemon once, and return what it did."""
    folders = []
    for name, cases in sources.items():
        inbox = root / name / "in"
        inbox.mkdir(parents=True)
        for case in cases:
            (inbox / case.name).write_bytes(case.content)
        output = {"filename": "{stem}@{scale}", "background": [10, 200, 30], **FOLDERS[name]}
        folders.append({"id": name, "inbox": f"{name}/in", "done": f"{name}/done", "error": f"{name}/error",
                        "model": model, "output": output, "min_free": 1, "settle": 0.1, "grace": 1})  # fmt: skip
    config = {"version": 1, "engine": {"name": engine}, "folders": folders}
    (root / "srwatchd.yaml").write_text(json.dumps(config))
    run = subprocess.run(
        [sys.executable, "-P", "-m", "srwatchd", "once", "--config", str(root / "srwatchd.yaml")],
        cwd=ROOT, capture_output=True, text=True, timeout=280, check=False, env={**os.environ, "PYTHONWARNINGS": ""},
    )  # fmt: skip
    return Served(root, run.returncode, run.stderr + run.stdout, model, scale)


def reduced(pixels: NDArray[Any], scale: int) -> NDArray[np.float64]:
    """Each block of ``scale`` x ``scale`` pixels averaged, in levels of 255; colours premultiplied by alpha."""
    values = pixels.astype(np.float64) / (257 if pixels.dtype == np.uint16 else 1)
    if values.shape[2] in (2, 4):
        values[:, :, :-1] *= values[:, :, -1:] / 255
    height, width, channels = values.shape
    return values.reshape(height // scale, scale, width // scale, scale, channels).mean(axis=(1, 3))
