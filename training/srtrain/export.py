"""Export a run's best weights to ``models/``: GraphDef, ONNX twin, manifest entry with scores.

    python -m srtrain.export configs/fsrcnn_x3.yaml --runs $SCRATCH/runs --models ../models

Refuses to replace a shipped file by one whose validation is worse, unless ``--force``. The run's
log and best weights are copied to ``logs/`` and ``checkpoints/``.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from srtrain.architectures import Network, build
from srtrain.evaluate import BENCHES, load_superres, score_sets
from srtrain.graphdef import graphdef_bytes
from srtrain.manifest import entry_for, file_stem, put_entry, read_manifest
from srtrain.onnxfile import onnx_bytes
from srtrain.settings import Settings, read_settings

HERE = Path(__file__).resolve().parent.parent


def load_best(settings: Settings, runs: Path) -> Network:
    """Return the network of a run with its best averaged weights."""
    network = build(settings.architecture, settings.scale, settings.arguments)
    best = torch.load(runs / settings.name / "best.pt", weights_only=True)
    network.load_state_dict(best["weights"])
    return network.eval()


def current_commit() -> str:
    """Return the commit of the training code, or ``uncommitted`` when the code differs from it."""
    git = ["git", "-C", str(HERE)]
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    status = subprocess.run(
        [*git, "status", "--porcelain", "--", "srtrain", "configs", "data"],
        capture_output=True,
        text=True,
        check=False,
    )
    return "uncommitted" if head.returncode or status.stdout else head.stdout.strip()


def keep(run: Path) -> None:
    """Copy a run's log and best weights to where they are committed."""
    shutil.copyfile(run / "log.jsonl", HERE / "logs" / f"{run.name}.jsonl")
    kept = HERE / "checkpoints" / run.name
    kept.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(run / "best.pt", kept / "best.pt")


def main() -> None:
    """Write, score, compare, and put in place."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("settings", type=Path)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=HERE.parent / "models")
    parser.add_argument("--bench", type=Path, default=BENCHES)
    parser.add_argument("--force", action="store_true", help="replace even a better model")
    options = parser.parse_args()
    settings = read_settings(options.settings)
    plan = load_best(settings, options.runs).plan()
    stem = file_stem(settings)
    options.models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.models, prefix=".export-") as staging:
        staged = Path(staging)
        (staged / f"{stem}.pb").write_bytes(graphdef_bytes(plan))
        (staged / f"{stem}.onnx").write_bytes(onnx_bytes(plan))
        entry = entry_for(settings, plan, staged, current_commit())
        upscale = load_superres(staged / f"{stem}.pb", settings.architecture, settings.scale)
        entry["scores"] = score_sets(upscale, settings.scale, options.bench)
        shipped = [e for e in read_manifest(options.models)["models"] if e["name"] == entry["name"]]
        decisive = "Kodak" if settings.profile == "clean" else "Kodak JPEG 75"
        new = entry["scores"].get(decisive, {}).get("psnr", 0.0)
        old = shipped[0]["scores"].get(decisive, {}).get("psnr", 0.0) if shipped else 0.0
        if new < old and not options.force:
            sys.exit(f"{stem}: {decisive} {new} is below the shipped {old}; nothing replaced")
        for suffix in (".pb", ".onnx"):
            (staged / f"{stem}{suffix}").replace(options.models / f"{stem}{suffix}")
        put_entry(options.models, entry)
    keep(options.runs / settings.name)
    print(f"{stem}: {entry['scores']}")


if __name__ == "__main__":
    main()
