"""``models/manifest.yaml``: written here, read by the daemon's model registry."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import yaml

from srtrain.colour import EDSR_MEAN_BGR
from srtrain.graphdef import OUTPUT_NODE
from srtrain.plan import Plan
from srtrain.settings import Settings

MODEL_FOLDER = Path(__file__).resolve().parent.parent.parent / "models"
VERSION = 1
LICENCE = "CC-BY-SA-4.0"
TRAINING_DATA = ["CID22", "GB82", "free desktop wallpapers", "rendered text pages"]
FILE_NAMES = {"fsrcnn": "FSRCNN", "espcn": "ESPCN", "lapsrn": "LapSRN", "edsr": "EDSR"}
HEADER = (
    "# Written by training/srtrain/export.py and evaluate.py; do not edit by hand."
    " memory_per_pixel is from benchmarks.memory.\n"
)


def file_stem(settings: Settings) -> str:
    """Return the file name without suffix, as the public ``dnn_superres`` zoo has it."""
    return f"{FILE_NAMES[settings.architecture]}_{settings.data}"


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest in ``folder``, or an empty one."""
    path = folder / "manifest.yaml"
    if not path.exists():
        return {"version": VERSION, "models": []}
    manifest: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return manifest


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Replace the manifest in one step."""
    manifest["models"].sort(key=lambda e: (e["architecture"], e["scale"], e["name"]))
    text = yaml.safe_dump(manifest, sort_keys=False, width=100, allow_unicode=True)
    staged = folder / "manifest.yaml.new"
    staged.write_text(HEADER + text, encoding="utf-8")
    staged.replace(folder / "manifest.yaml")


def size_of(settings: Settings) -> str:
    """Describe the network's size the way its paper does."""
    given = settings.arguments
    if settings.architecture == "fsrcnn":
        return f"d{given.get('d', 56)} s{given.get('s', 12)} m{given.get('m', 4)}"
    if settings.architecture == "espcn":
        return f"{given.get('first', 64)}-{given.get('second', 32)}"
    if settings.architecture == "lapsrn":
        return " + ".join(f"{blocks}x{width}" for blocks, width in given["levels"])
    return f"{given.get('blocks', 8)}x{given.get('width', 32)}"


def entry_for(settings: Settings, plan: Plan, folder: Path, commit: str) -> dict[str, Any]:
    """Describe the files of one model that already lie in ``folder``; scores are empty."""
    stem = file_stem(settings)
    colour = plan.channels == 3
    return {
        "name": f"{settings.architecture}_{settings.data}",
        "architecture": settings.architecture,
        "scale": settings.scale,
        "profile": settings.profile,
        "file": f"{stem}.pb",
        "sha256": checksum(folder / f"{stem}.pb"),
        "onnx": f"{stem}.onnx",
        "onnx_sha256": checksum(folder / f"{stem}.onnx"),
        "input_colour": "bgr" if colour else "y",
        "input_range": [0.0, 255.0] if colour else [0.0, 1.0],
        "mean": list(EDSR_MEAN_BGR) if colour else [],
        "output_node": OUTPUT_NODE,
        "receptive_radius": plan.receptive_radius(),
        "parameters": plan.parameters(),
        "macs_per_input_pixel": plan.macs_per_input_pixel(),
        "size": size_of(settings),
        "licence": LICENCE,
        "training_data": TRAINING_DATA,
        "scores": {},
        "trained_at_commit": commit,
    }


def put_entry(folder: Path, entry: dict[str, Any]) -> None:
    """Add or replace the entry of the same name; what was measured of its size stays known."""
    models = read_manifest(folder)["models"]
    for other in models:
        if (other["name"], other["size"]) == (entry["name"], entry["size"]):
            known = {key: other[key] for key in ("memory_per_pixel",) if key in other}
            entry = {**entry, **known}
    kept = [other for other in models if other["name"] != entry["name"]]
    write_manifest(folder, {"version": VERSION, "models": [*kept, entry]})
