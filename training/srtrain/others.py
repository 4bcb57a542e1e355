"""Score what the shipped weights are compared with: interpolation and the public networks.

    python -m srtrain.others --public ../../shared/models/upstream

Writes ``data/others.json``, so that tables can be made again without those files. A public file
that is absent is left out, and said.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from srtrain.evaluate import BENCHES, HERE, Upscaler, load_superres, score_sets
from srtrain.resize import resize_bicubic

SCORES = HERE / "data" / "others.json"
SCALES = (2, 3, 4, 8)
PUBLIC = HERE.parent.parent / "shared" / "models" / "upstream"
BICUBIC, INTER_CUBIC = "bicubic (MATLAB)", "cv2 INTER_CUBIC"
FILES = ("FSRCNN", "FSRCNN-small", "ESPCN", "LapSRN")


def matlab_bicubic(scale: int) -> Upscaler:
    """Return enlargement by the same kernel that the papers shrink with (a = -0.5)."""
    return lambda low: resize_bicubic(low, float(scale))


def inter_cubic(scale: int) -> Upscaler:
    """Return ``cv2.resize`` with INTER_CUBIC (a = -0.75)."""

    def enlarge(low: NDArray[np.uint8]) -> NDArray[np.uint8]:
        size = (low.shape[1] * scale, low.shape[0] * scale)
        return cv2.resize(low, size, interpolation=cv2.INTER_CUBIC).astype(np.uint8, copy=False)

    return enlarge


def public_files(folder: Path) -> dict[str, Path]:
    """Return the public files that are there, by ``NAME_xS``."""
    found = {path.stem: path for path in sorted(folder.glob("*_x[0-9].pb"))}
    return {stem: path for stem, path in found.items() if stem.split("_")[0] in FILES}


def algorithm_of(stem: str) -> tuple[str, int]:
    """Return the ``dnn_superres`` name and the scale of a public file."""
    match = re.fullmatch(r"([A-Za-z]+)(-small)?_x(\d)", stem)
    assert match
    return match[1].lower(), int(match[3])


def read_others() -> list[dict[str, Any]]:
    """Return ``name``, ``scale`` and ``scores`` of everything that was scored."""
    entries: list[dict[str, Any]] = json.loads(SCORES.read_text(encoding="utf-8"))
    return entries


def main() -> None:
    """Score all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--public", type=Path, default=PUBLIC)
    parser.add_argument("--bench", type=Path, default=BENCHES)
    options = parser.parse_args()
    entries = []
    for scale in SCALES:
        for name, upscale in ((BICUBIC, matlab_bicubic(scale)), (INTER_CUBIC, inter_cubic(scale))):
            scores = score_sets(upscale, scale, options.bench)
            entries.append({"name": name, "scale": scale, "scores": scores})
    public = public_files(options.public)
    if not public:
        print(f"the public files are not at {options.public}; left out")
    for stem, path in public.items():
        algorithm, scale = algorithm_of(stem)
        scores = score_sets(load_superres(path, algorithm, scale), scale, options.bench)
        entries.append({"name": f"public {stem.split('_')[0]}", "scale": scale, "scores": scores})
        print(json.dumps(entries[-1]), flush=True)
    text = "[\n" + ",\n".join(json.dumps(entry) for entry in entries) + "\n]\n"
    SCORES.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
