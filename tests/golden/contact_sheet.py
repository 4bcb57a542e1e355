"""Source and results side by side, for looking at: ``python tests/golden/contact_sheet.py FILE.png [NAME ...]``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]
import cases  # noqa: E402 - the path has to be there first
import daemon  # noqa: E402 - likewise

if TYPE_CHECKING:
    from numpy.typing import NDArray

ENGINES = ("opencv", "openvino")
ACROSS = 4
LABEL = 16


def main(target: str, names: list[str], *, model: str = "fsrcnn_x3", scale: int = 3) -> None:
    """Write a sheet: for each case the source (nearest neighbour), then the result of each engine; on a chequer."""
    chosen = [case for case in cases.cases() if not names or any(name in case.name for name in names)]
    runs = [
        daemon.served(Path(tempfile.mkdtemp()), {"same": chosen}, engine=engine, model=model, scale=scale)
        for engine in ENGINES
    ]
    strips = []
    for case in chosen:
        source = np.repeat(np.repeat(case.pixels, scale, 0), scale, 1)
        parts = [shown(source), *(shown(run.result(case.name).pixels) for run in runs)]
        strip = np.concatenate(parts, 1)
        label = np.full((LABEL, strip.shape[1], 3), 255, np.uint8)
        cv2.putText(label, case.name, (2, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
        strips.append(np.concatenate([label, strip], 0))
    strips += [np.full_like(strips[0], 255)] * (-len(strips) % ACROSS)
    rows = [np.concatenate(strips[at : at + ACROSS], 1) for at in range(0, len(strips), ACROSS)]
    cv2.imwrite(target, np.concatenate(rows, 0))


def shown(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Any pixels as BGR on a chequer."""
    values = pixels.astype(np.float64) / (65535 if pixels.dtype == np.uint16 else 255)
    colour = values[:, :, :-1] if values.shape[2] in (2, 4) else values
    colour = np.repeat(colour, 3, 2) if colour.shape[2] == 1 else colour
    if values.shape[2] in (2, 4):
        rows, columns = np.mgrid[0 : values.shape[0], 0 : values.shape[1]]
        chequer = np.where((rows // 12 + columns // 12) % 2, 0.9, 0.1)[:, :, None]
        colour = colour * values[:, :, -1:] + chequer * (1 - values[:, :, -1:])
    return (colour[:, :, ::-1] * 255).round().astype(np.uint8)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
