"""Draw the pictures of the documents: training curves, and quality against time.

    python -m srtrain.plots --images ../docs/images

Curves come from ``logs/``, scores from the manifest and ``data/others.json``, times from
``docs/models-speed.json`` (``python -m benchmarks.models``); what is absent is left out, and said.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from srtrain.evaluate import HERE
from srtrain.manifest import FILE_NAMES, MODEL_FOLDER, read_manifest
from srtrain.others import INTER_CUBIC, read_others
from srtrain.report import SPEED
from srtrain.settings import read_settings

IMAGES = HERE.parent / "docs" / "images"
QUALITY = "Kodak JPEG 75"
COLOURS = {"fsrcnn": "tab:blue", "espcn": "tab:green", "lapsrn": "tab:purple", "edsr": "tab:red"}
ENGINE_MARKS = {"openvino": "o", "opencv": "s"}
DPI = 110


@dataclass(frozen=True, slots=True)
class Curve:
    """What a run's log says: ``(step, value)`` of the validation in decibels and of both losses."""

    name: str
    column: tuple[int, str]
    """Scale and profile; others have other validation pictures."""
    begin: int
    """Steps of the runs of the same column that this one goes on from."""
    validation: list[tuple[int, float]]
    l1: list[tuple[int, float]]
    log_mse: list[tuple[int, float]]


def family_curves(family: str) -> list[Curve]:
    """Return the curves of all runs of a family that left a log, in the order of their names."""
    curves: dict[str, Curve] = {}
    for path in sorted((HERE / "configs").glob("*.yaml")):
        settings = read_settings(path)
        log = HERE / "logs" / f"{settings.name}.jsonl"
        if settings.architecture != family or not log.exists():
            continue
        records = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        before = curves.get(settings.start_from or "")
        begin, column = 0, (settings.scale, settings.profile)
        if before and before.column == column:
            begin = before.begin + before.validation[-1][0]
        lost = [(begin + r["step"], r["loss"]) for r in records if "loss" in r]
        curves[settings.name] = Curve(
            settings.name,
            column,
            begin,
            [(begin + r["step"], r["validation"]["mean"]) for r in records if "validation" in r],
            [point for point in lost if point[1] > 0.0],
            [point for point in lost if point[1] <= 0.0],
        )
    return list(curves.values())


def draw_curves(family: str, out: Path) -> None:
    """Draw validation and training losses of a family's runs: a column per scale and profile."""
    curves = family_curves(family)
    if not curves:
        print(f"{family}: no logs")
        return
    kinds = sorted({curve.column for curve in curves})
    rows = {"validation": "validation PSNR, dB", "l1": "loss: L1", "log_mse": "loss: log of MSE"}
    rows = {key: title for key, title in rows.items() if any(getattr(c, key) for c in curves)}
    size = (1.5 + 3.6 * len(kinds), 2.4 * len(rows) + 0.4)
    figure, panels = plt.subplots(len(rows), len(kinds), figsize=size, squeeze=False)
    for column, kind in enumerate(kinds):
        mine = [curve for curve in curves if curve.column == kind]
        for row, (key, title) in enumerate(rows.items()):
            axes = panels[row][column]
            for number, curve in enumerate(mine):
                points = getattr(curve, key)
                mark = "." if key == "validation" else ""
                style = {"color": f"C{number}", "marker": mark, "linewidth": 0.9}
                if points:
                    axes.plot(*zip(*points, strict=True), label=curve.name, **style)
            axes.set_visible(bool(axes.lines))
            axes.grid(alpha=0.3)
            axes.tick_params(labelsize=7)
            axes.set_ylabel(title, fontsize=8)
        about = f"{FILE_NAMES[family]} x{kind[0]}" + (", photo" if kind[1] == "photo" else "")
        panels[0][column].set_title(about, fontsize=9)
        panels[0][column].legend(fontsize=7, loc="lower right")
        panels[-1][column].set_xlabel("step", fontsize=8)
    _save(figure, out)


def shipped_scores() -> dict[tuple[str, int], dict[str, Any]]:
    """Return the scores of shipped and other models by name and scale."""
    entries = read_manifest(MODEL_FOLDER)["models"]
    found = {(e["name"], e["scale"]): e["scores"] for e in entries}
    for other in read_others():
        name = "INTER_CUBIC" if other["name"] == INTER_CUBIC else other["name"]
        found[name, other["scale"]] = other["scores"]
    return found


def draw_speed(out: Path, speed: Path = SPEED) -> None:
    """Draw quality on photographs against the seconds that a picture takes, a panel per scale."""
    measured = json.loads(speed.read_text(encoding="utf-8"))
    scores = shipped_scores()
    scales = (2, 3, 4, 8)
    figure, panels = plt.subplots(2, 2, figsize=(12, 9))
    for scale, axes in zip(scales, panels.flat, strict=True):
        draw_panel(axes, [run for run in measured["runs"] if run["scale"] == scale], scores, scale)
    width, height = measured["picture"]
    figure.suptitle(
        f"Kodak after JPEG 75, against the time of a {width}x{height} picture "
        "on one processor\ncircles: OpenVINO, squares: OpenCV, "
        "filled: shipped, hollow: public"
    )
    _save(figure, out)


def draw_panel(
    axes: Axes, runs: Iterable[dict[str, Any]], scores: dict[tuple[str, int], Any], scale: int
) -> None:
    """Draw one scale; a model's two engines are joined by a line."""
    by_model: dict[str, list[tuple[str, float]]] = {}
    for run in runs:
        by_model.setdefault(run["name"], []).append((run["engine"], run["seconds"]))
    for name, timed in by_model.items():
        score = scores.get((name, scale), {}).get(QUALITY)
        if score is None:
            continue
        family = name.removeprefix("public ").split("_")[0].split("-")[0].lower()
        colour = COLOURS.get(family, "black")
        height = score["psnr"]
        seconds = [spent for _, spent in timed]
        axes.plot(seconds, [height] * len(seconds), color=colour, linewidth=0.6)
        for engine, spent in timed:
            face = "none" if name.startswith("public") else colour
            axes.plot(spent, height, ENGINE_MARKS[engine], color=colour, markerfacecolor=face)
        offset = (4, 4)
        axes.annotate(
            name, (min(seconds), height), xytext=offset, textcoords="offset points", fontsize=8
        )
    axes.set_xscale("log")
    axes.margins(x=0.25, y=0.12)
    axes.set_title(f"x{scale}")
    axes.set_xlabel("processor seconds, one thread")
    axes.set_ylabel("PSNR of luma, dB")
    axes.grid(alpha=0.3)


def _save(figure: Any, out: Path) -> None:
    figure.tight_layout()
    figure.savefig(out, dpi=DPI, metadata={"Software": None})
    plt.close(figure)
    print(out)


def main() -> None:
    """Draw everything that there are figures for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, default=IMAGES)
    options = parser.parse_args()
    mpl.use("Agg")
    options.images.mkdir(parents=True, exist_ok=True)
    for family in FILE_NAMES:
        draw_curves(family, options.images / f"training-{family}.png")
    if SPEED.exists():
        draw_speed(options.images / "quality-and-time.png")
    else:
        print(f"{SPEED} is not here; python -m benchmarks.models writes it")


if __name__ == "__main__":
    main()
