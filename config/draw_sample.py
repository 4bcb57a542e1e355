"""Draw ``config/sample.png``, the picture that ``srwatchd demo`` drops into its own inbox.

From the top of a checkout::

    python config/draw_sample.py config/sample.png

A lighthouse at dusk, made of what enlarging is judged by: lettering, thin straight lines at every slope, circles and
waves, fine texture beside smooth gradients. Everything is drawn at four times the size and averaged down, so every
edge is as a camera would see it. Only numpy and the standard library: the same picture everywhere.
"""

from __future__ import annotations

import itertools
import struct
import sys
import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["draw", "main", "png"]

Plane = NDArray[Any]
Points = list[tuple[float, float]]

WIDTH: Final = 480
HEIGHT: Final = 320
FINE: Final = 4
"""Samples per pixel and side."""
HORIZON: Final = 206.0
SUN: Final = (352.0, 172.0)

# Strokes of the letters in a box 4 wide and 6 high, y downwards.
LETTERS: Final[dict[str, list[Points]]] = {
    "A": [[(0, 6), (2, 0), (4, 6)], [(0.8, 4), (3.2, 4)]],
    "C": [[(4, 1), (3, 0), (1, 0), (0, 1), (0, 5), (1, 6), (3, 6), (4, 5)]],
    "D": [[(0, 0), (2.6, 0), (4, 1.6), (4, 4.4), (2.6, 6), (0, 6), (0, 0)]],
    "H": [[(0, 0), (0, 6)], [(4, 0), (4, 6)], [(0, 3), (4, 3)]],
    "G": [[(4, 1), (3, 0), (1, 0), (0, 1), (0, 5), (1, 6), (3, 6), (4, 5), (4, 3), (2.2, 3)]],
    "I": [[(2, 0), (2, 6)]],
    "L": [[(0, 0), (0, 6), (4, 6)]],
    "N": [[(0, 6), (0, 0), (4, 6), (4, 0)]],
    "O": [[(1, 0), (3, 0), (4, 1), (4, 5), (3, 6), (1, 6), (0, 5), (0, 1), (1, 0)]],
    "R": [[(0, 6), (0, 0), (3, 0), (4, 0.9), (4, 2.1), (3, 3), (0, 3)], [(2, 3), (4, 6)]],
    "S": [[(4, 1), (3, 0), (1, 0), (0, 1), (0, 2), (1, 3), (3, 3), (4, 4), (4, 5), (3, 6), (1, 6), (0, 5)]],
    "T": [[(0, 0), (4, 0)], [(2, 0), (2, 6)]],
    "W": [[(0, 0), (0.9, 6), (2, 2), (3.1, 6), (4, 0)]],
    "x": [[(0.4, 2.4), (3.6, 6)], [(3.6, 2.4), (0.4, 6)]],
    "2": [[(0, 1.2), (1, 0), (3, 0), (4, 1.2), (4, 2.2), (0, 6), (4, 6)]],
    "3": [[(0, 0), (4, 0), (2, 2.4), (3, 2.4), (4, 3.4), (4, 5), (3, 6), (1, 6), (0, 5)]],
    "4": [[(3, 6), (3, 0), (0, 4.2), (4, 4.2)]],
}


class Canvas:
    """A picture of floats, FINE samples per pixel; shapes are masks of 0 to 1, coordinates are pixels of the result."""

    def __init__(self) -> None:
        rows, columns = HEIGHT * FINE, WIDTH * FINE
        self.y, self.x = np.meshgrid(
            (np.arange(rows, dtype=np.float32) + 0.5) / FINE,
            (np.arange(columns, dtype=np.float32) + 0.5) / FINE,
            indexing="ij",
        )
        self.rgb = np.zeros((rows, columns, 3), np.float32)
        self._random = np.random.Generator(np.random.PCG64(1440960))

    def paint(self, mask: Plane, colour: tuple[float, ...] | Plane) -> None:
        """Lay ``colour`` over the picture where ``mask`` is; a mask between 0 and 1 is transparent."""
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if rows.size == 0:
            return
        window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        cover = mask[window].astype(np.float32)[..., None]
        values = np.asarray(colour, np.float32)
        self.rgb[window] += cover * ((values if values.ndim == 1 else values[window]) - self.rgb[window])

    def polygon(self, points: Points) -> NDArray[np.bool_]:
        """Inside by the even-odd rule."""
        inside = np.zeros(self.x.shape, bool)
        for (ax, ay), (bx, by) in zip(points, points[1:] + points[:1], strict=True):
            if ay != by:
                crosses = (self.y >= min(ay, by)) & (self.y < max(ay, by))
                inside ^= crosses & (self.x < ax + (self.y - ay) * (bx - ax) / (by - ay))
        return inside

    def stroke(self, points: Points, width: float) -> Plane:
        """A line with round ends through ``points``."""
        mask = np.zeros(self.x.shape, bool)
        window = self._around(points, width)
        mask[window] = self._near(points, width, window)
        return mask

    def line(self, points: Points, width: float, colour: tuple[float, float, float]) -> None:
        """Paint a stroke; quick, as only its surroundings are looked at."""
        window = self._around(points, width)
        self.rgb[window][self._near(points, width, window)] = colour

    def text(self, words: str, x: float, y: float, *, size: float, width: float) -> NDArray[np.bool_]:
        """``words`` with their top left corner at ``x``, ``y``, ``size`` pixels high."""
        mask = np.zeros(self.x.shape, bool)
        unit = size / 6
        for place, letter in enumerate(words):
            for line in LETTERS.get(letter, []):
                mask |= self.stroke([(x + (place * 5.4 + px) * unit, y + py * unit) for px, py in line], width)
        return mask

    def disc(self, x: float, y: float, radius: float) -> NDArray[np.bool_]:
        """A filled circle."""
        return (self.x - x) ** 2 + (self.y - y) ** 2 <= radius * radius

    def noise(self, cell_x: float, cell_y: float) -> Plane:
        """Smooth noise of -1 to 1 with grains of about ``cell_x`` by ``cell_y`` pixels."""
        rows, columns = int(HEIGHT / cell_y) + 3, int(WIDTH / cell_x) + 3
        grid = self._random.uniform(-1, 1, (rows, columns)).astype(np.float32)
        gy, gx = self.y / cell_y, self.x / cell_x
        row, column = gy.astype(int), gx.astype(int)
        fy, fx = gy - row, gx - column
        fy, fx = fy * fy * (3 - 2 * fy), fx * fx * (3 - 2 * fx)
        top = grid[row, column] * (1 - fx) + grid[row, column + 1] * fx
        bottom = grid[row + 1, column] * (1 - fx) + grid[row + 1, column + 1] * fx
        return np.asarray(top * (1 - fy) + bottom * fy, np.float32)

    def uniform(self, low: float, high: float) -> float:
        """A number, the next of always the same series."""
        return float(self._random.uniform(low, high))

    def _near(self, points: Points, width: float, window: tuple[slice, slice]) -> Plane:
        near = np.zeros(self.x[window].shape, bool)
        for (ax, ay), (bx, by) in itertools.pairwise(points):
            dx, dy, px, py = bx - ax, by - ay, self.x[window] - ax, self.y[window] - ay
            along = np.clip((px * dx + py * dy) / max(dx * dx + dy * dy, 1e-9), 0, 1)
            near |= (px - along * dx) ** 2 + (py - along * dy) ** 2 <= (width / 2) ** 2
        return near

    def _around(self, points: Points, width: float) -> tuple[slice, slice]:
        xs, ys = zip(*points, strict=True)
        rows = slice(max(0, int((min(ys) - width) * FINE) - 1), max(0, int((max(ys) + width) * FINE) + 2))
        return rows, slice(max(0, int((min(xs) - width) * FINE) - 1), max(0, int((max(xs) + width) * FINE) + 2))


def sky(canvas: Canvas) -> None:
    """A gradient with a low sun, its rays, thin clouds and a few stars."""
    high, low = np.array([0.09, 0.15, 0.33], np.float32), np.array([0.98, 0.63, 0.38], np.float32)
    height = np.clip(canvas.y / HORIZON, 0, 1)[..., None] ** 1.5
    canvas.paint(np.ones(canvas.x.shape, bool), high + (low - high) * height)
    for _ in range(70):
        x, y = canvas.uniform(0, WIDTH), canvas.uniform(0, 95)
        canvas.paint(canvas.disc(x, y, canvas.uniform(0.3, 0.75)) * np.float32(1 - y / 130), (1.0, 0.97, 0.88))
    dx, dy = canvas.x - SUN[0], canvas.y - SUN[1]
    distance = np.hypot(dx, dy)
    rays = (np.sin(np.arctan2(dy, dx) * 48) > 0) * np.clip(1 - distance / 150, 0, 1) ** 1.5
    canvas.paint(rays * np.float32(0.22), (1.0, 0.86, 0.55))
    canvas.paint(np.exp(-((distance / 62) ** 2)) * np.float32(0.75), (1.0, 0.80, 0.46))
    canvas.paint(distance < 27, (1.0, 0.93, 0.72))
    streaks = canvas.noise(58, 5) + 0.5 * canvas.noise(19, 2.6)
    clouds = np.clip(streaks - 0.42, 0, 1) * np.clip((canvas.y - 60) / 80, 0, 1)
    canvas.paint(np.clip(clouds * 1.5, 0, 0.8), (0.74, 0.40, 0.42))


def land(canvas: Canvas) -> None:
    """Two ranges of hills behind the sea."""
    for base, height, cell, colour in (
        (188.0, 26.0, 62.0, (0.45, 0.34, 0.46)),
        (199.0, 15.0, 31.0, (0.28, 0.25, 0.38)),
    ):
        ridge = canvas.noise(cell, 400.0)[:1] + 0.25 * canvas.noise(cell / 7, 400.0)[:1]
        canvas.paint((canvas.y > base - height * (ridge * 0.5 + 0.35)) & (canvas.y < HORIZON + 1), colour)


def sea(canvas: Canvas) -> None:
    """Water whose waves grow towards the viewer, with the sun's road on it."""
    depth = np.clip((canvas.y - HORIZON) / (HEIGHT - HORIZON), 1e-3, 1)
    far, near = np.array([0.55, 0.45, 0.47], np.float32), np.array([0.04, 0.15, 0.24], np.float32)
    water = canvas.y > HORIZON
    canvas.paint(water, far + (near - far) * depth[..., None] ** 0.7)
    phase = 26 * np.log(depth + 0.05) + 0.8 * np.sin(canvas.x / (7 + 30 * depth)) + 1.6 * canvas.noise(24, 6)
    crest = np.clip(np.sin(phase * 2.3), 0, 1) ** 6
    canvas.paint(water * crest * np.float32(0.45), (0.78, 0.70, 0.66))
    road = np.exp(-(((canvas.x - SUN[0]) / (13 + 42 * depth)) ** 2)) * np.clip(np.sin(phase * 4.1 + canvas.x / 9), 0, 1)
    canvas.paint(water * road * np.float32(0.85), (1.0, 0.84, 0.52))


def boat(canvas: Canvas) -> None:
    """A sailing boat: rigging of half a pixel, a sail with seams."""
    for x, y, size in ((268.0, 232.0, 1.0), (436.0, 219.0, 0.55)):
        hull = [(-26, 0), (25, -2), (18, 9), (-19, 9)]
        canvas.paint(canvas.polygon([(x + px * size, y + py * size) for px, py in hull]), (0.33, 0.12, 0.12))
        canvas.line([(x - 25 * size, y + 2 * size), (x + 23 * size, y)], 0.8 * size, (0.95, 0.90, 0.80))
        main, fore = [(-1, -62), (-1, -6), (-24, -6)], [(2, -56), (24, -5), (2, -7)]
        for sail, colour in ((main, (0.97, 0.93, 0.85)), (fore, (0.86, 0.76, 0.68))):
            canvas.paint(canvas.polygon([(x + px * size, y + py * size) for px, py in sail]), colour)
        for step in range(1, 6):
            top = -62 + step * 9.3
            left = -1 - 23 * (step * 9.3) / 56
            seam = [(x + left * size, y + top * size), (x - size, y + top * size)]
            canvas.line(seam, 0.4, (0.62, 0.52, 0.50))
        for ax, ay, bx, by in ((0.5, -66, 0.5, 0), (0.5, -65, 26, -2), (0.5, -65, -26, 0), (-24, -5.5, 0.5, -5.5)):
            line = [(x + ax * size, y + ay * size), (x + bx * size, y + by * size)]
            canvas.line(line, 1.1 if ax == bx else 0.5, (0.16, 0.12, 0.14))


def lighthouse(canvas: Canvas) -> None:
    """A striped tower with masonry, a railing, a lantern of fine bars and its beam."""
    x, top, foot = 118.0, 74.0, 262.0
    for angle in (-0.10, 0.055):
        beam = [(x, 58.0), (x + 380, 58 + 380 * (angle - 0.035)), (x + 380, 58 + 380 * (angle + 0.035))]
        fade = np.clip(1 - (canvas.x - x) / 370, 0, 1) * np.float32(0.28)
        canvas.paint(canvas.polygon(beam) * fade, (1.0, 0.95, 0.72))
    half = 15 + 10 * (canvas.y - top) / (foot - top)
    tower = (np.abs(canvas.x - x) < half) & (canvas.y > top) & (canvas.y < foot)
    band = np.floor((canvas.y - top) / 27) % 2 < 1
    canvas.paint(tower & band, (0.94, 0.91, 0.86))
    canvas.paint(tower & ~band, (0.74, 0.16, 0.15))
    row = np.floor((canvas.y - top) / 4.5)
    joint = ((canvas.y - top) % 4.5 < 0.5) | ((canvas.x + (row % 2) * 4.5) % 9 < 0.5)
    canvas.paint((tower & joint) * np.float32(0.3), (0.30, 0.18, 0.20))
    side = np.clip((canvas.x - x) / half, -1, 1)
    canvas.paint(tower * np.clip(-side * 0.55, 0, 1), (0.10, 0.08, 0.20))
    canvas.paint(tower * np.clip(side - 0.55, 0, 1) * np.float32(0.9), (1.0, 0.80, 0.55))
    for y in (104.0, 158.0, 212.0):
        canvas.paint(
            canvas.disc(x, y, 4.2) | canvas.polygon([(x - 4.2, y), (x + 4.2, y), (x + 4.2, y + 9), (x - 4.2, y + 9)]),
            (0.13, 0.12, 0.20),
        )
        canvas.paint(
            canvas.stroke([(x, y - 4), (x, y + 9)], 0.6) | canvas.stroke([(x - 4, y + 2), (x + 4, y + 2)], 0.6),
            (0.94, 0.76, 0.45),
        )
    canvas.paint(canvas.polygon([(x - 22, 70), (x + 22, 70), (x + 18, 77), (x - 18, 77)]), (0.16, 0.14, 0.22))
    canvas.paint(canvas.polygon([(x - 11, 46), (x + 11, 46), (x + 11, 70), (x - 11, 70)]), (1.0, 0.92, 0.62))
    canvas.paint(np.exp(-(((canvas.x - x) / 5) ** 2) - ((canvas.y - 58) / 7) ** 2), (1.0, 1.0, 0.95))
    for place in range(-10, 11, 4):
        canvas.line([(x + place, 46), (x + place + 4, 70)], 0.45, (0.20, 0.16, 0.20))
        canvas.line([(x + place + 4, 46), (x + place, 70)], 0.45, (0.20, 0.16, 0.20))
    canvas.paint(canvas.polygon([(x - 14, 47), (x, 30), (x + 14, 47)]) | canvas.disc(x, 30, 2.4), (0.62, 0.13, 0.14))
    canvas.line([(x, 30), (x, 16)], 0.8, (0.13, 0.11, 0.16))
    for place in range(-21, 22, 3):
        canvas.line([(x + place, 62), (x + place, 70)], 0.5, (0.10, 0.09, 0.14))
    for y in (62.0, 66.0):
        canvas.line([(x - 21.5, y), (x + 21.5, y)], 0.6, (0.10, 0.09, 0.14))


def shore(canvas: Canvas) -> None:
    """A rock with grass on it, blade by blade."""
    edge = 252 + 0.0021 * (canvas.x - 95) ** 2 + 5 * canvas.noise(16, 400.0)[:1] + 2 * canvas.noise(4, 400.0)[:1]
    rock = (canvas.y > edge) & (canvas.x < 300)
    grain = 0.5 * canvas.noise(7, 3) + 0.3 * canvas.noise(2.2, 1.4) + 0.2 * canvas.noise(1, 1)
    shade = (0.23 + 0.13 * grain)[..., None] * np.array([1.0, 0.88, 0.82], np.float32)
    canvas.paint(rock, shade)
    for _ in range(620):
        x = canvas.uniform(0, 232)
        y = 254 + 0.0021 * (x - 95) ** 2 + canvas.uniform(0, 40)
        lean, height, light = canvas.uniform(-3, 5), canvas.uniform(4, 12), canvas.uniform(0.5, 1.2)
        blade = [(x, y), (x + lean * 0.3, y - height * 0.6), (x + lean, y - height)]
        canvas.line(blade, 0.6, (0.27 * light, 0.36 * light, 0.17 * light))


def board(canvas: Canvas) -> None:
    """A sign with lettering of three sizes and a fan of converging lines."""
    canvas.paint(canvas.polygon([(336, 262), (474, 262), (474, 314), (336, 314)]), (0.12, 0.10, 0.13))
    canvas.paint(canvas.polygon([(338, 264), (472, 264), (472, 312), (338, 312)]), (0.93, 0.90, 0.82))
    canvas.paint(canvas.text("SRWATCHD", 344, 270, size=13, width=2.0), (0.11, 0.12, 0.20))
    canvas.paint(canvas.text("x2 x3 x4", 344, 289, size=8, width=1.1), (0.62, 0.13, 0.14))
    canvas.paint(canvas.text("NOTHING IS LOST", 344, 302, size=5.5, width=0.7), (0.11, 0.12, 0.20))
    canvas.paint(canvas.disc(453, 292, 15.5), (0.98, 0.97, 0.94))
    turn = np.sin(np.arctan2(canvas.y - 292, canvas.x - 453) * 24)
    canvas.paint(canvas.disc(453, 292, 15) & (turn > 0), (0.10, 0.10, 0.14))


def draw() -> NDArray[np.uint8]:
    """The picture: HEIGHT x WIDTH x 3, RGB."""
    canvas = Canvas()
    for part in (sky, land, sea, boat, lighthouse, shore, board):
        part(canvas)
    means = canvas.rgb.reshape(HEIGHT, FINE, WIDTH, FINE, 3).mean(axis=(1, 3), dtype=np.float64)
    return np.asarray(np.clip(np.rint(means * 255), 0, 255), np.uint8)


def png(picture: NDArray[np.uint8]) -> bytes:
    """``picture`` as a PNG file, every row predicted from the one above (PNG specification, filter type 2)."""
    height, width, _ = picture.shape
    above = np.vstack([np.zeros((1, width, 3), np.uint8), picture[:-1]])
    rows = np.hstack([np.full((height, 1), 2, np.uint8), (picture - above).reshape(height, -1)])
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"sRGB", b"\0"),
        (b"IDAT", zlib.compress(rows.tobytes(), 9)),
        (b"IEND", b""),
    )
    framed = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def main(arguments: list[str]) -> int:
    """Write the picture to the path that is given."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python config/draw_sample.py FILE\n")
        return 2
    Path(arguments[0]).write_bytes(png(draw()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
