"""Write the tables of ``docs/model-comparison.md`` between their marks.

    python -m srtrain.report

Figures come from the manifest, ``data/others.json`` and ``docs/models-speed.json`` alone.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable
from typing import Any

from srtrain.evaluate import HERE
from srtrain.manifest import MODEL_FOLDER, read_manifest
from srtrain.others import SCALES, read_others

DOCUMENT = HERE.parent / "docs" / "model-comparison.md"
SPEED = HERE.parent / "docs" / "models-speed.json"
PART = re.compile(r"(<!-- report: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
CLEAN = ("Set5", "Set14", "Kodak")
DAMAGED = ("Kodak", "Kodak JPEG 85", "Kodak JPEG 75")
TARGETS = {
    "fsrcnn": {2: 36.7, 3: 32.7, 4: 30.4},
    "espcn": {2: 36.5, 3: 32.5, 4: 30.2},
    "lapsrn": {2: 37.2, 4: 31.2, 8: 25.9},
    "edsr": {2: 37.5, 3: 33.6, 4: 31.5},
}
"""Set5 PSNR that was asked for before training began; LapSRN x4 and x8 with a GPU, EDSR without."""


def _table(heading: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    columns = list(heading)
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(scores: dict[str, Any], name: str) -> str:
    return f"{scores[name]['psnr']:.2f} / {scores[name]['ssim']:.4f}" if name in scores else "-"


def _everything(scale: int) -> list[tuple[str, dict[str, Any]]]:
    """Return name and scores of all ways to enlarge by ``scale``, worst Kodak first."""
    others = [(o["name"], o["scores"]) for o in read_others() if o["scale"] == scale]
    shipped = [e for e in read_manifest(MODEL_FOLDER)["models"] if e["scale"] == scale]
    ours = [(f"**`{e['name']}`**", e["scores"]) for e in shipped]
    return sorted(others + ours, key=lambda row: row[1].get("Kodak", {}).get("psnr", 0.0))


def _scores(sets: tuple[str, ...], order: str) -> str:
    parts = []
    for scale in SCALES:
        rows = sorted(_everything(scale), key=lambda row: row[1].get(order, {}).get("psnr", 0.0))
        lines = [(name, *(_cell(scores, each) for each in sets)) for name, scores in rows]
        parts.append(_table((f"x{scale}", *sets), lines))
    return "\n\n".join(parts)


def clean() -> str:
    """Return the scores on clean reductions, a table per scale, best last."""
    return _scores(CLEAN, "Kodak")


def photographs() -> str:
    """Return the scores on compressed reductions, a table per scale, best last."""
    return _scores(DAMAGED, "Kodak JPEG 75")


def targets() -> str:
    """Return what was asked for and what was reached on Set5, and the gain over the public file."""
    public = {(o["name"], o["scale"]): o["scores"] for o in read_others()}
    rows = []
    for entry in read_manifest(MODEL_FOLDER)["models"]:
        wanted = TARGETS[entry["architecture"]].get(entry["scale"])
        if entry["profile"] != "clean" or wanted is None:
            continue
        reached = entry["scores"]["Set5"]["psnr"]
        family = entry["file"].split("_")[0]
        other = public.get((f"public {family}", entry["scale"]))
        gain = f"{reached - other['Set5']['psnr']:+.2f}" if other else "-"
        missing = wanted - reached
        verdict = "met" if missing <= 0 else f"{missing:.2f} dB short"
        rows.append((f"`{entry['name']}`", f"{wanted:.1f}", f"{reached:.2f}", verdict, gain))
    return _table(("model", "target", "reached", "", "against the public file"), rows)


def speed() -> str:
    """Return the seconds of every model and engine for the measured picture."""
    measured = json.loads(SPEED.read_text(encoding="utf-8"))
    by_model: dict[tuple[int, str], dict[str, float]] = {}
    for run in measured["runs"]:
        by_model.setdefault((run["scale"], run["name"]), {})[run["engine"]] = run["seconds"]
    rows = [
        (name, f"x{scale}", *(f"{times[e]:.3f}" if e in times else "-" for e in ENGINES))
        for (scale, name), times in sorted(by_model.items())
    ]
    about = (
        f"{measured['picture'][0]} x {measured['picture'][1]} pixels in, colour; processor seconds "
        f"of one thread, median; {measured['processor']}, OpenCV {measured['opencv']}, "
        f"OpenVINO {measured['openvino']}."
    )
    return about + "\n\n" + _table(("model", "scale", "OpenVINO", "OpenCV"), rows)


ENGINES = ("openvino", "opencv")
MAKERS = {each.__name__: each for each in (clean, photographs, targets, speed)}


def rendered(text: str) -> str:
    """Return the document with every table as it should be."""
    return PART.sub(lambda part: f"{part[1]}{MAKERS[part[2]]()}\n{part[3]}", text)


def main() -> None:
    """Write the tables."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    text = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(rendered(text), encoding="utf-8")


if __name__ == "__main__":
    main()
