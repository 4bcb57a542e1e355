"""The picture that people have: 12 megapixels, rotated, Display P3, progressive, as a phone makes it.

``python -m benchmarks.phone`` makes one (drawn, not photographed), sends it the whole way through ``srwatchd once`` in
a folder of its own, checks what came out, and prints the seconds of each stage as the ledger has them. ``--json`` for
scripts, ``--model NAME`` for another model.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyvips

__all__ = ["check", "deliver", "main", "make_picture"]

_WIDTH, _HEIGHT = 4032, 3024
_QUARTER_TURN: Final = 6
"""EXIF 2.3, tag 274: the first row as stored is the right edge as shown."""
_TOLERANCE: Final = 2.0
"""Mean difference in levels: JPEG noise on both sides takes one; a wrong profile or swapped channels take ten."""


def make_picture(path: Path) -> None:
    """Write 4032 x 3024 stored pixels that show 3024 x 4032: sky, hills, text, saturated patches, noise; seeded."""
    rng = np.random.default_rng(20261122)
    down, across = np.mgrid[0:_HEIGHT, 0:_WIDTH].astype(np.float32)
    hills = 1600 + 420 * np.sin(across / 610) + 130 * np.sin(across / 97 + 1) + 40 * np.sin(across / 23)
    land = (down > hills)[:, :, np.newaxis]
    sky = np.stack((90 + down / 24, 140 + down / 20, 235 - down / 40), axis=2)
    grass = np.stack((70 + 40 * np.sin(across / 5) * np.cos(down / 7), 150 - down / 60, 60 + 0 * down), axis=2)
    pixels = np.where(land, grass, sky) + rng.normal(0, 5, (_HEIGHT, _WIDTH, 1))
    for place, colour in enumerate(((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0))):
        pixels[200:500, 300 + 500 * place : 700 + 500 * place] = colour
    image = pyvips.Image.new_from_array(np.clip(pixels, 0, 255).astype(np.uint8)).copy(interpretation="srgb")
    words = pyvips.Image.text("srwatchd 0123456789", font="sans", dpi=600)
    black = image.new_from_image([12, 12, 12]).crop(0, 0, words.width, words.height)
    image = image.insert(words.ifthenelse(black, image.crop(300, 700, words.width, words.height), blend=True), 300, 700)
    wide = image.icc_transform("p3", input_profile="srgb", intent="relative").copy()
    wide.set_type(pyvips.GValue.gint_type, "orientation", _QUARTER_TURN)
    wide.set_type(pyvips.GValue.gstr_type, "exif-ifd0-Make", "Phone")
    wide.jpegsave(str(path), Q=90, interlace=True, keep="all")


def deliver(root: Path, *, model: str) -> tuple[Path, dict[str, Any]]:
    """Send the picture through ``srwatchd once`` below ``root``; the result's path and its ledger entry."""
    config = root / "srwatchd.yaml"
    config.write_text(
        f"folders: [{{id: phone, inbox: in, done: done, error: error, model: {model}}}]\n", encoding="utf-8"
    )
    command = [sys.executable, "-P", "-m", "srwatchd"]
    subprocess.run([*command, "init", str(root)], check=True, stdout=subprocess.DEVNULL)
    make_picture(root / "in" / "IMG_0001.jpg")
    subprocess.run([*command, "once", "--config", str(config)], check=True)
    lines = (root / "var" / "audit" / "audit.jsonl").read_text(encoding="ascii").splitlines()
    outcome = next(entry for entry in map(json.loads, lines) if entry["event.action"] == "job.completed")
    return Path(outcome["srwatchd.result.path"]), outcome


def check(source: Path, result: Path, *, scale: int) -> list[str]:
    """What is wrong with the result: size, orientation, profile, EXIF, and colours reduced to the source's size."""
    before = pyvips.Image.new_from_file(str(source)).autorot()
    after = pyvips.Image.new_from_file(str(result))
    problems = []
    if (after.width, after.height) != (before.width * scale, before.height * scale):
        problems.append(f"it is {after.width} x {after.height}")
    if after.get_typeof("orientation") and after.get("orientation") != 1:
        problems.append(f"orientation {after.get('orientation')} is left")
    if after.get("icc-profile-data") != before.get("icc-profile-data"):
        problems.append("the profile is another one")
    if "Phone" not in str(after.get("exif-ifd0-Make")):
        problems.append("EXIF is lost")
    difference = (after.shrink(scale, scale) - before).abs().avg()
    if difference > _TOLERANCE:
        problems.append(f"it differs by {difference:.2f} levels")
    return problems


def main(words: list[str]) -> int:
    """Run it; 0 when the result is right."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.phone", description=__doc__)
    parser.add_argument("--model", default="fsrcnn_x2")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        root = Path(folder)
        result, outcome = deliver(root, model=options.model)
        problems = check(root / "archive" / "IMG_0001.jpg", result, scale=int(outcome["srwatchd.model.scale"]))
    prefix = "srwatchd.duration."
    seconds = {key.removeprefix(prefix): value / 1e9 for key, value in outcome.items() if key.startswith(prefix)}
    facts = {"engine": outcome["srwatchd.engine.name"], "seconds": seconds, "problems": problems}
    if options.json:
        print(json.dumps(facts))
    else:
        print(f"{options.model} on {facts['engine']}: {sum(seconds.values()):.1f} s")
        print("".join(f"  {stage:8} {spent:6.2f} s\n" for stage, spent in seconds.items()), end="")
        print("\n".join(problems) or "size, orientation, profile, EXIF and colours are right")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
