"""Write ``data/pictures.tsv`` from the manifest that came with the pictures.

    python -m srtrain.listing ../../shared/train/manifest.tsv data/pictures.tsv

The list is committed; the pictures are not part of the project.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

COLLECTIONS = {
    "cid22": "CID22, Cloudinary Image Dataset 2022 (J. Sneyers and others, Cloudinary)",
    "gb82": "GB82 image set, CC0",
    "aosc": "AOSC OS wallpapers, and the photographer in the file name",
    "budgie-backgrounds_4.2-1": "Budgie backgrounds, Buddies of Budgie and contributors",
    "fedora": "Fedora supplemental wallpapers and their photographers",
    "gnome-backgrounds_3.38.0-1": "GNOME backgrounds and their photographers",
    "lomiri-wallpapers-16.04": "Lomiri wallpapers, and the photographer in the file name",
    "lomiri-wallpapers-20.04": "Lomiri wallpapers, and the photographer in the file name",
    "nthnca": "nthnca wallpapers",
    "opensuse": "openSUSE wallpapers and their photographers",
    "umate": "Ubuntu MATE wallpapers, and the photographer in the file name",
}
COLUMNS = ("name", "role", "sha256", "source", "licence", "original", "credit")


def credit_of(name: str, source: str) -> str:
    """Name whom to thank for the picture."""
    folder = name.split("/", 1)[0]
    return COLLECTIONS.get(folder) or COLLECTIONS.get(source) or source


def role_of(name: str) -> str:
    """Return ``validate`` for CID22's validation pictures and ``train`` for the rest."""
    return "validate" if name.startswith("cid22/validation-") else "train"


def main() -> None:
    """Rewrite the list."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    with options.manifest.open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle, delimiter="\t"))
    with options.out.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, delimiter="\t", lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows:
            name, source = row["file"], row["source"]
            writer.writerow(
                (
                    name,
                    role_of(name),
                    row["sha256"],
                    source,
                    row["licence"],
                    row["original"],
                    credit_of(name, source),
                )
            )


if __name__ == "__main__":
    main()
