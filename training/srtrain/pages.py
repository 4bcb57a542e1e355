"""Rendered text pages: dropped scans and screenshots are common, photographs teach no glyphs.

The words are drawn at random from letters, so nothing here quotes anybody; fonts are whatever
free TrueType fonts the machine has (DejaVu on Debian).
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

FONT_FOLDER = Path("/usr/share/fonts/truetype/dejavu")
ALPHABET = "etaoinshrdlcumwfgypbvkETAOINSHRDLUMBC0123456789"
SIDE = 512


def _word(random_: random.Random) -> str:
    return "".join(random_.choice(ALPHABET) for _ in range(random_.randint(1, 10)))


def render_page(seed: int, font_folder: Path = FONT_FOLDER) -> NDArray[np.uint8]:
    """Return one 512x512 BGR page of text, rules and boxes; the same seed gives the same page."""
    random_ = random.Random(seed)
    fonts = sorted(font_folder.glob("*.ttf"))
    dark = random_.random() < 0.25
    paper = tuple(random_.randint(0, 60) if dark else random_.randint(215, 255) for _ in range(3))
    page = Image.new("RGB", (SIDE, SIDE), paper)
    draw = ImageDraw.Draw(page)
    y = random_.randint(4, 20)
    while y < SIDE:
        size = random_.choice((9, 11, 13, 15, 18, 22, 28, 40))
        font = ImageFont.truetype(str(random_.choice(fonts)), size)
        base = 255 if dark else 0
        ink = tuple(abs(base - random_.randint(0, 90)) for _ in range(3))
        line = " ".join(_word(random_) for _ in range(2 + 600 // (size * 5)))
        draw.text((random_.randint(2, 40), y), line, font=font, fill=ink)
        y += int(size * random_.uniform(1.15, 1.6))
        if random_.random() < 0.15:
            draw.line((8, y, random_.randint(60, SIDE), y + random_.choice((0, 0, 30))), fill=ink)
            y += 6
        if random_.random() < 0.1:
            box = (random_.randint(4, 300), y, random_.randint(310, SIDE - 4), y + 40)
            draw.rectangle(box, outline=ink, width=random_.randint(1, 3))
    return np.asarray(page)[..., ::-1].copy()
