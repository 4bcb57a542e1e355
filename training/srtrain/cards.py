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
from srtrain.others import BICUBIC, INTER_CUBIC, read_others
from srtrain.pictures import read_list

HERE = Path(__file__).resolve().parent.parent
PAPERS = {
    "FSRCNN paper": {2: 37.00, 3: 33.16, 4: 30.71},
    "EDSR-baseline paper": {2: 37.99, 3: 34.37, 4: 32.09},
}
"""Set5 PSNR as published."""
COMPARED = {
    "fsrcnn": ("public FSRCNN", "FSRCNN paper"),
    "espcn": ("public ESPCN",),
    "lapsrn": ("public LapSRN",),
    "edsr": ("EDSR-baseline paper",),
}
PHOTOGRAPHS = ("Kodak JPEG 85", "Kodak JPEG 75")


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
    """Return a table of Set5: our clean weights and others'."""
    scales = sorted({entry["scale"] for entry in entries})
    rows = {"these weights": {e["scale"]: _set5(e) for e in entries if e["profile"] == "clean"}}
    for name in (BICUBIC, INTER_CUBIC, *COMPARED[architecture]):
        of_others = {o["scale"]: _set5(o) for o in read_others() if o["name"] == name}
        rows[name] = PAPERS.get(name) or of_others
    lines = [
        f"| Set5 PSNR | {' | '.join(f'x{scale}' for scale in scales)} |",
        f"|---{'|---' * len(scales)}|",
    ]
    for name, values in rows.items():
        cells = " | ".join(f"{values[s]:.2f}" if s in values else "-" for s in scales)
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


def _set5(entry: dict[str, Any]) -> float:
    return float(entry["scores"]["Set5"]["psnr"])


def photograph_table(entries: list[dict[str, Any]]) -> str:
    """Return the scores on compressed pictures: a family's files and INTER_CUBIC."""
    scales = {entry["scale"] for entry in entries}
    rows = [(e["scale"], e["file"], e) for e in entries]
    rows += [
        (o["scale"], f"INTER_CUBIC x{o['scale']}", o)
        for o in read_others()
        if o["name"] == INTER_CUBIC and o["scale"] in scales
    ]
    lines = [f"| | {' | '.join(PHOTOGRAPHS)} |", "|---|---|---|"]
    for _, name, entry in sorted(rows, key=lambda row: row[:2]):
        lines.append(f"| {name} | {' | '.join(_scores(entry, each) for each in PHOTOGRAPHS)} |")
    return "\n".join(lines)


def cards(models: Path) -> dict[str, str]:
    """Return the text of one card for each family in the manifest, by file name."""
    manifest = read_manifest(models)
    common = (HERE / "cards" / "common.md").read_text(encoding="utf-8")
    texts = {}
    for architecture, family in FILE_NAMES.items():
        entries = [e for e in manifest["models"] if e["architecture"] == architecture]
        if not entries:
            continue
        shared = common.format(
            data=data_table(),
            licence=entries[0]["licence"],
            table=score_table(entries),
            compare=comparison(architecture, entries),
            photographs=photograph_table(entries),
        )
        text = (HERE / "cards" / f"{architecture}.md").read_text(encoding="utf-8")
        texts[f"{family}.md"] = text.replace("{common}", shared.strip())
    return texts


def main() -> None:
    """Write the cards and copy the runs' logs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=MODEL_FOLDER)
    parser.add_argument("--runs", type=Path, help="also copy the logs of these runs to logs/")
    options = parser.parse_args()
    for name, text in cards(options.models).items():
        (options.models / name).write_text(text, encoding="utf-8")
    for log in sorted(options.runs.glob("*/log.jsonl")) if options.runs else ():
        if (HERE / "configs" / f"{log.parent.name}.yaml").exists():
            (HERE / "logs" / f"{log.parent.name}.jsonl").write_bytes(log.read_bytes())


if __name__ == "__main__":
    main()
