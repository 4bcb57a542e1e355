"""Cut the same places out of enlarged photographs, beside each other.

    python -m srtrain.crops --default fsrcnn_x2_photo --best edsr_x2_photo

Six Kodak pictures are shrunk, compressed as JPEG 75 (4:2:0) and enlarged again: by INTER_CUBIC, the
default model and the best one. Written is one sheet, each pixel doubled so that it can be seen.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from srtrain.damage import compress
from srtrain.evaluate import BENCHES, Upscaler, load_superres
from srtrain.manifest import MODEL_FOLDER, read_manifest
from srtrain.others import inter_cubic
from srtrain.plots import IMAGES
from srtrain.resize import crop_to_multiple, resize_bicubic

QUALITY = 75
WIDTH, HEIGHT, ZOOM = 112, 80, 2
GAP, HEADING = 4, 22


@dataclass(frozen=True, slots=True)
class Place:
    """Where to look in a Kodak picture: the upper left corner of the crop."""

    picture: str
    x: int
    y: int


PLACES = (
    Place("4", 180, 290),
    Place("8", 560, 300),
    Place("14", 518, 370),
    Place("15", 420, 118),
    Place("19", 255, 110),
    Place("20", 240, 240),
)


def enlarged(path: Path, scale: int, upscale: Upscaler) -> NDArray[np.uint8]:
    """Return the picture after it was shrunk, compressed and enlarged."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise FileNotFoundError(path)
    high = crop_to_multiple(picture.astype(np.uint8, copy=False), scale)
    return upscale(compress(resize_bicubic(high, 1.0 / scale), QUALITY))


def sheet(columns: dict[str, Upscaler | None], scale: int, kodak: Path) -> Image.Image:
    """Return one row per place and one column per way; None is the original."""
    cell = (WIDTH * ZOOM, HEIGHT * ZOOM)
    size = (len(columns) * (cell[0] + GAP) - GAP, HEADING + len(PLACES) * (cell[1] + GAP) - GAP)
    page = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(14)
    for column, (title, upscale) in enumerate(columns.items()):
        left = column * (cell[0] + GAP)
        draw.text((left + 4, 3), title, fill="black", font=font)
        for row, place in enumerate(PLACES):
            path = kodak / f"{place.picture}.png"
            if upscale is None:
                whole = np.asarray(Image.open(path).convert("RGB"))
            else:
                whole = enlarged(path, scale, upscale)[:, :, ::-1]
            part = whole[place.y : place.y + HEIGHT, place.x : place.x + WIDTH]
            shown = Image.fromarray(np.ascontiguousarray(part))
            top = HEADING + row * (cell[1] + GAP)
            page.paste(shown.resize(cell, Image.Resampling.NEAREST), (left, top))
    return page


def main() -> None:
    """Write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--default", required=True, help="name in the manifest")
    parser.add_argument("--best", required=True, help="name in the manifest, of the same scale")
    parser.add_argument("--kodak", type=Path, default=BENCHES / "Kodak")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if not options.kodak.is_dir():
        parser.error(f"the Kodak pictures are not at {options.kodak}")
    entries = {entry["name"]: entry for entry in read_manifest(MODEL_FOLDER)["models"]}
    scale = entries[options.default]["scale"]
    columns: dict[str, Upscaler | None] = {"INTER_CUBIC": inter_cubic(scale)}
    for name in (options.default, options.best):
        path = MODEL_FOLDER / entries[name]["file"]
        columns[name] = load_superres(path, entries[name]["architecture"], scale)
    columns["before shrinking"] = None
    out = options.out or IMAGES / f"photographs-x{scale}.png"
    out.parent.mkdir(parents=True, exist_ok=True)
    sheet(columns, scale, options.kodak).save(out, optimize=True)
    print(out, out.stat().st_size)


if __name__ == "__main__":
    main()
