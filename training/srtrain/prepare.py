"""Make the low-resolution twins of all listed pictures once, before training.

    python -m srtrain.prepare --pictures ../../shared/train --out $SCRATCH --scale 3

Writes ``train_x3.npz`` and ``validate_x3.npz``: 8-bit BGR arrays ``lr_0000``, ``hr_0000``, ...
With ``--profile photo`` the small ones are damaged (``srtrain.damage``) and the files are called
``train_x3_photo.npz`` and ``validate_x3_photo.npz``; each picture's number is its random seed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from srtrain.damage import PROFILES, compress, damaged, random_damage
from srtrain.pages import render_page
from srtrain.pictures import load_picture, read_list
from srtrain.resize import crop_to_multiple, resize_bicubic
from srtrain.settings import data_stem

Treatment = Callable[[NDArray[np.uint8], int], NDArray[np.uint8]]
HERE = Path(__file__).resolve().parent.parent
PAGES = 40
DAMAGE_SEED = 20240602
JUDGED_QUALITIES = (75, 85)
"""JPEG qualities of the photo profile's validation pictures, in turn; no other damage is done."""
LARGEST_SIDE = 1024
"""Larger pictures (a few screenshots) are cut into tiles of this side."""


def tiles(picture: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Cut a picture into tiles of at most ``LARGEST_SIDE`` and at least 96 pixels."""
    for y in range(0, picture.shape[0], LARGEST_SIDE):
        for x in range(0, picture.shape[1], LARGEST_SIDE):
            tile = picture[y : y + LARGEST_SIDE, x : x + LARGEST_SIDE]
            if min(tile.shape[:2]) >= 96:
                yield tile


def training_pictures(root: Path, shrink: float) -> Iterator[NDArray[np.uint8]]:
    """Yield high-resolution pictures: as they are, shrunk (sharper detail), and text pages."""
    for listed in read_list(HERE / "data" / "pictures.tsv"):
        if listed.role != "train":
            continue
        for tile in tiles(load_picture(root, listed)):
            yield tile
            if shrink < 1.0 and listed.name.startswith("photos/"):
                yield resize_bicubic(tile, shrink)
    for seed in range(PAGES):
        yield render_page(seed)


def validation_pictures(root: Path, extra: Path | None) -> Iterator[NDArray[np.uint8]]:
    """Yield the CID22 validation pictures, then every PNG of the folder ``extra``."""
    for listed in read_list(HERE / "data" / "pictures.tsv"):
        if listed.role == "validate":
            yield load_picture(root, listed)
    for path in sorted(extra.glob("*.png")) if extra else ():
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture is not None:
            yield picture.astype(np.uint8, copy=False)


def for_training(low: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """Damage the small picture of that number at random, but always in the same way."""
    random = np.random.default_rng((DAMAGE_SEED, number))
    return damaged(low, random_damage(random), random)


def for_validation(low: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """Compress the small picture of that number."""
    return compress(low, JUDGED_QUALITIES[number % len(JUDGED_QUALITIES)])


def write_pairs(
    pictures: Iterator[NDArray[np.uint8]], scale: int, out: Path, treat: Treatment | None
) -> int:
    """Write all pairs into one uncompressed ``.npz``; return how many there are."""
    arrays: dict[str, NDArray[np.uint8]] = {}
    for number, picture in enumerate(pictures):
        high = crop_to_multiple(picture, scale)
        low = resize_bicubic(high, 1.0 / scale)
        arrays[f"hr_{number:04d}"] = high
        arrays[f"lr_{number:04d}"] = treat(low, number) if treat else low
    np.savez(out, allow_pickle=False, **arrays)
    return len(arrays) // 2


def main() -> None:
    """Prepare training and validation pairs of one scale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--kodak", type=Path, help="folder of Kodak PNGs, added to validation")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scale", type=int, required=True)
    parser.add_argument("--profile", choices=PROFILES, default="clean")
    parser.add_argument("--shrink", type=float, default=0.6)
    options = parser.parse_args()
    if not options.pictures.is_dir():
        parser.error(f"the training pictures are not at {options.pictures}")
    options.out.mkdir(parents=True, exist_ok=True)
    scale, photo = options.scale, options.profile == "photo"
    stem = data_stem(scale, options.profile)
    validation = validation_pictures(options.pictures, options.kodak)
    out = options.out / f"validate_{stem}.npz"
    count = write_pairs(validation, scale, out, for_validation if photo else None)
    print(f"{stem}: {count} validation pairs", flush=True)
    training = training_pictures(options.pictures, options.shrink)
    out = options.out / f"train_{stem}.npz"
    count = write_pairs(training, scale, out, for_training if photo else None)
    print(f"{stem}: {count} training pairs", flush=True)


if __name__ == "__main__":
    main()
