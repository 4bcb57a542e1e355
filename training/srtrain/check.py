"""Check that every reader computes what was trained.

    python -m srtrain.check configs/fsrcnn_x3.yaml --runs $SCRATCH/runs

Compares, at odd sizes and down to one pixel: the trainer's network, the plan in NumPy, the shipped
GraphDef through ``cv2.dnn_superres``, plain ``cv2.dnn`` and OpenVINO, and the ONNX twin through
OpenVINO. Exits with 1 on any disagreement.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import openvino
import torch
from numpy.typing import NDArray

from srtrain.colour import EDSR_MEAN_BGR, EDSR_RANGE
from srtrain.evaluate import load_superres
from srtrain.export import HERE, load_best
from srtrain.graphdef import OUTPUT_NODE
from srtrain.manifest import file_stem
from srtrain.reference import run_plan
from srtrain.settings import read_settings

SIZES = ((1, 1), (1, 7), (13, 2), (17, 31), (48, 65))
TOLERANCE = 2e-4
"""Largest difference allowed, as a share of the range of pixel values."""
Reader = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def openvino_reader(path: Path) -> Reader:
    """Return a reader of NHWC input through OpenVINO in full precision."""
    model = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    wanted = {OUTPUT_NODE, f"{OUTPUT_NODE}:0"}
    (number,) = (i for i, output in enumerate(model.outputs) if wanted & set(output.names))
    return lambda nhwc: np.asarray(model(nhwc)[number])


def opencv_reader(path: Path) -> Reader:
    """Return a reader of NHWC input through plain ``cv2.dnn``.

    Older OpenCV 4 knows DepthToSpace only after ``dnn_superres`` has registered it.
    """
    cv2.dnn_superres.DnnSuperResImpl_create()  # type: ignore[attr-defined]
    net = cv2.dnn.readNetFromTensorflow(str(path))

    def read(nhwc: NDArray[np.float32]) -> NDArray[np.float32]:
        net.setInput(np.ascontiguousarray(nhwc.transpose(0, 3, 1, 2)))
        names = list(net.getUnconnectedOutLayersNames())  # OpenCV 5 wants to be asked for all
        return np.asarray(net.forward(names)[names.index(OUTPUT_NODE)])

    return read


def superres_error(
    path: Path,
    algorithm: str,
    scale: int,
    expected: Callable[[NDArray[np.uint8]], NDArray[np.float64]],
) -> int:
    """Return the largest 8-bit difference between ``dnn_superres`` and the plan on a picture."""
    random = np.random.default_rng(5)
    small = random.integers(0, 256, (9, 13), dtype=np.uint8)
    grey = cv2.resize(small, (65, 43), interpolation=cv2.INTER_CUBIC)
    picture = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR).astype(np.uint8)
    result = load_superres(path, algorithm, scale)(picture).astype(int)
    wanted = np.clip(np.round(expected(picture)), 0, 255).astype(int)
    return int(np.abs(result - wanted).max())


def main() -> None:
    """Compare all readers for one model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("settings", type=Path)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=HERE.parent / "models")
    options = parser.parse_args()
    settings = read_settings(options.settings)
    network = load_best(settings, options.runs)
    plan = network.plan()
    colour = plan.channels == 3
    peak = 255.0 if colour else 1.0
    offset = np.asarray(EDSR_MEAN_BGR if colour else (0.0,), np.float32)
    stem = options.models / file_stem(settings)
    readers = {
        "pb through cv2.dnn": opencv_reader(stem.with_suffix(".pb")),
        "pb through OpenVINO": openvino_reader(stem.with_suffix(".pb")),
        "ONNX through OpenVINO": openvino_reader(stem.with_suffix(".onnx")),
    }
    random = np.random.default_rng(7)
    worst = dict.fromkeys(("plan in NumPy", *readers), 0.0)
    for height, width in SIZES:
        pixels = random.random((1, height, width, plan.channels), np.float32) * peak - offset
        nhwc = pixels.astype(np.float32)
        tensor = torch.from_numpy(nhwc.transpose(0, 3, 1, 2).copy())
        gain = EDSR_RANGE if colour else 1.0
        with torch.inference_mode():
            trained = (network(tensor / gain) * gain).numpy()
        outputs: dict[str, NDArray[np.floating]] = {}
        outputs["plan in NumPy"] = run_plan(plan, nhwc[0].transpose(2, 0, 1))[None]
        outputs |= {name: reader(nhwc) for name, reader in readers.items()}
        for name, output in outputs.items():
            if output.shape != trained.shape:
                sys.exit(f"{name}: shape {output.shape} instead of {trained.shape}")
            worst[name] = max(worst[name], float(np.abs(output - trained).max()) / peak)

    def expected(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
        if colour:
            planes = picture.astype(np.float32).transpose(2, 0, 1) - offset[:, None, None]
            return run_plan(plan, planes).transpose(1, 2, 0) + offset
        luma = run_plan(plan, picture[None, :, :, 0] / np.float32(255.0))[0] * 255.0
        return np.repeat(luma[..., None], 3, axis=2)

    error = superres_error(stem.with_suffix(".pb"), settings.architecture, settings.scale, expected)
    for name, value in worst.items():
        print(f"{stem.name}: {name}: largest difference {value:.1e} of the range")
    print(f"{stem.name}: pb through dnn_superres: largest difference {error} of 255")
    if max(worst.values()) > TOLERANCE or error > 1:
        sys.exit(f"{stem.name}: the readers disagree")


if __name__ == "__main__":
    main()
