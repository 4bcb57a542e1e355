"""Score a shipped file by the papers' protocol, through ``cv2.dnn_superres``.

    python -m srtrain.evaluate ../models/FSRCNN_x3.pb
    python -m srtrain.evaluate --write

The first prints the scores of files; the second scores every shipped file again, into the manifest.
High-resolution pictures are cropped to the scale and shrunk with antialiased bicubic; the network
upscales 8-bit BGR to 8-bit BGR; PSNR and SSIM (Z. Wang et al., "Image quality assessment: from
error visibility to structural similarity", 2004) are taken on studio-range luma without a border of
``scale`` pixels. Kodak and CID22 validation decide between models; Set5 and Set14 are reported.
``Kodak JPEG 75`` and ``85`` are Kodak with the shrunk picture compressed before it is enlarged, as
it happens to photographs.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from srtrain.colour import studio_luma
from srtrain.damage import compress
from srtrain.manifest import FILE_NAMES, MODEL_FOLDER, put_entry, read_manifest
from srtrain.resize import crop_to_multiple, resize_bicubic

HERE = Path(__file__).resolve().parent.parent
BENCHES = HERE.parent.parent / "shared" / "bench"
SETS = ("Set5", "Set14", "Kodak", "Kodak JPEG 75", "Kodak JPEG 85")
"""Folders of ``bench``; ``JPEG Q`` compresses the small picture with that quality, 4:2:0."""
Upscaler = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
Scores = dict[str, dict[str, float]]


def load_superres(path: Path, architecture: str, scale: int) -> Upscaler:
    """Return ``upsample`` of OpenCV's ``DnnSuperResImpl`` with the file loaded."""
    network = cv2.dnn_superres.DnnSuperResImpl_create()  # type: ignore[attr-defined]
    network.readModel(str(path))
    network.setModel(architecture, scale)
    upsample: Upscaler = network.upsample
    return upsample


def psnr(reference: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the peak signal-to-noise ratio in dB for a peak of 255."""
    error = float(np.mean((reference - other) ** 2))
    return 100.0 if error == 0.0 else 10.0 * float(np.log10(255.0**2 / error))


def ssim(reference: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return structural similarity: 11x11 Gaussian window (1.5), valid area, L = 255."""
    window = cv2.getGaussianKernel(11, 1.5)

    def blur(plane: NDArray[np.float64]) -> NDArray[Any]:
        return np.asarray(cv2.sepFilter2D(plane, cv2.CV_64F, window, window))[5:-5, 5:-5]

    mean_a, mean_b = blur(reference), blur(other)
    variance_a = blur(reference * reference) - mean_a**2
    variance_b = blur(other * other) - mean_b**2
    covariance = blur(reference * other) - mean_a * mean_b
    c1, c2 = (0.01 * 255.0) ** 2, (0.03 * 255.0) ** 2
    top = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    bottom = (mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2)
    return float((top / bottom).mean())


def score_picture(
    path: Path, upscale: Upscaler, scale: int, *, quality: int = 0
) -> tuple[float, float]:
    """Return PSNR and SSIM of one picture; grey files are scored on their grey values.

    ``quality`` is that of the small picture's JPEG compression; 0 is none.
    """
    stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if stored is None or picture is None:
        raise FileNotFoundError(path)
    high = crop_to_multiple(picture.astype(np.uint8, copy=False), scale)
    low = resize_bicubic(high, 1.0 / scale)
    result = upscale(compress(low, quality) if quality else low)
    if stored.ndim == 2:
        luma = [high[..., 1].astype(np.float64), result[..., 1].astype(np.float64)]
    else:
        luma = [studio_luma(high), studio_luma(result)]
    reference, other = (plane[scale:-scale, scale:-scale] for plane in luma)
    return psnr(reference, other), ssim(reference, other)


def score_sets(upscale: Upscaler, scale: int, bench: Path = BENCHES) -> Scores:
    """Return mean PSNR and SSIM of every benchmark set that is present."""
    scores: Scores = {}
    for name in SETS:
        folder, _, quality = name.partition(" JPEG ")
        files = sorted((bench / folder).glob("*.png"))
        if files:
            values = [score_picture(f, upscale, scale, quality=int(quality or 0)) for f in files]
            means = np.mean(values, axis=0)
            scores[name] = {"psnr": round(float(means[0]), 3), "ssim": round(float(means[1]), 4)}
    return scores


def score_shipped(models: Path, bench: Path) -> None:
    """Score every file of the manifest and write the scores there, one after another."""
    for entry in read_manifest(models)["models"]:
        path, scale = models / entry["file"], entry["scale"]
        upscale = load_superres(path, entry["architecture"], scale)
        entry["scores"] = score_sets(upscale, scale, bench)
        put_entry(models, entry)
        print(json.dumps({"file": entry["file"], **entry["scores"]}), flush=True)


def main() -> None:
    """Score the named files, or all shipped ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="*", help="NAME_xS.pb")
    parser.add_argument("--bench", type=Path, default=BENCHES, help="folder with Set5, Set14, ...")
    parser.add_argument("--write", action="store_true", help="score the manifest's files into it")
    options = parser.parse_args()
    if options.write:
        score_shipped(MODEL_FOLDER, options.bench)
    algorithms = {name: algorithm for algorithm, name in FILE_NAMES.items()}
    for file in options.files:
        match = re.fullmatch(r"([A-Za-z]+)\S*_x(\d)(_\w+)?", file.stem)
        if not match:
            parser.error(f"{file}: not named NAME_xS.pb")
        upscale = load_superres(file, algorithms[match[1]], int(match[2]))
        scores = score_sets(upscale, int(match[2]), options.bench)
        print(json.dumps({"file": file.name, **scores}))


if __name__ == "__main__":
    main()
