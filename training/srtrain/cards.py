"""Write the model cards, the score tables in them and the logs, from what is on disk.

    python -m srtrain.cards --runs $SCRATCH/runs

Texts are in ``cards/``; figures come from ``models/manifest.yaml`` and ``data/pictures.tsv``.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from srtrain.manifest import FILE_NAMES, MODEL_FOLDER, read_manifest
from srtrain.pictures import read_list

HERE = Path(__file__).resolve().parent.parent
SCALES = (2, 3, 4)
OTHERS = {
    "bicubic": (33.64, 30.39, 28.42),
    "public FSRCNN": (34.81, 30.57, 28.39),
    "public ESPCN": (34.72, 30.51, 28.36),
    "FSRCNN paper": (37.00, 33.16, 30.71),
    "EDSR-baseline paper": (37.99, 34.37, 32.09),
}
"""Set5 PSNR of others by the same protocol; the papers' rows are as published."""
COMPARED = {
    "fsrcnn": ("bicubic", "public FSRCNN", "FSRCNN paper"),
    "espcn": ("bicubic", "public ESPCN"),
    "edsr": ("bicubic", "EDSR-baseline paper"),
}


def data_table() -> str:
    """Return the collections that were trained on, with counts, licences and credits."""
    rows: Counter[tuple[str, str, str]] = Counter()
    for listed in read_list(HERE / "data" / "pictures.tsv"):
        if listed.role == "train":
            rows[listed.source, listed.licence, listed.credit] += 1
    lines = ["| pictures | source | licence as stated there | credit |", "|---|---|---|---|"]
    lines += [
        f"| {count} | {source} | {licence} | {credit} |"
        for (source, licence, credit), count in sorted(rows.items(), key=lambda row: -row[1])
    ]
    return "\n".join(
        [*lines, "| 40 | pages of random letters, rendered here | ours | DejaVu fonts |"]
    )


def _scores(entry: dict[str, Any], name: str) -> str:
    score = entry["scores"].get(name)
    return f"{score['psnr']:.2f} / {score['ssim']:.4f}" if score else ""


def score_table(entries: list[dict[str, Any]]) -> str:
    """Return one row per file of a family."""
    lines = [
        "| file | size | parameters | MACs per input pixel | radius | Set5 | Set14 | Kodak |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for entry in entries:
        sets = " | ".join(_scores(entry, name) for name in ("Set5", "Set14", "Kodak"))
        lines.append(
            f"| {entry['file']} | {entry['size']} | {entry['parameters']:,} "
            f"| {entry['macs_per_input_pixel']:,} | {entry['receptive_radius']} | {sets} |"
        )
    return "\n".join(lines)


def comparison(architecture: str, entries: list[dict[str, Any]]) -> str:
    """Return Set5 rows: ours and others'."""
    ours = {entry["scale"]: entry["scores"]["Set5"]["psnr"] for entry in entries}
    cells = " | ".join(f"**{ours[s]:.2f}**" if s in ours else "-" for s in SCALES)
    lines = [f"| these weights | {cells} |"]
    for name in COMPARED[architecture]:
        cells = " | ".join(f"{value:.2f}" for value in OTHERS[name])
        lines += [f"| {name} | {cells} |"]
    return "\n".join(lines)


def write_cards(models: Path) -> None:
    """Write one card for each family in the manifest."""
    manifest = read_manifest(models)
    common = (HERE / "cards" / "common.md").read_text(encoding="utf-8")
    for architecture, family in FILE_NAMES.items():
        entries = [e for e in manifest["models"] if e["architecture"] == architecture]
        if not entries:
            continue
        shared = common.format(
            data=data_table(),
            licence=entries[0]["licence"],
            table=score_table(entries),
            compare=comparison(architecture, entries),
        )
        text = (HERE / "cards" / f"{architecture}.md").read_text(encoding="utf-8")
        card = text.replace("{common}", shared.strip())
        (models / f"{family}.md").write_text(card, encoding="utf-8")


def main() -> None:
    """Write the cards and copy the runs' logs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=MODEL_FOLDER)
    parser.add_argument("--runs", type=Path, help="also copy the logs of these runs to logs/")
    options = parser.parse_args()
    write_cards(options.models)
    for log in sorted(options.runs.glob("*/log.jsonl")) if options.runs else ():
        if (HERE / "configs" / f"{log.parent.name}.yaml").exists():
            (HERE / "logs" / f"{log.parent.name}.jsonl").write_bytes(log.read_bytes())


if __name__ == "__main__":
    main()
