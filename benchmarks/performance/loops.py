"""The plain loop that somebody would write instead: read, enlarge, write, one picture after another.

``python -m benchmarks.performance.loops superres|ours MODEL`` answers ``{"sources": [...], "target": DIR}`` with the
seconds from the first read to the last written file. Nothing is verified, recorded or sent to the disk.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from benchmarks.performance.child import peak_bytes, serve
from benchmarks.performance.networks import opened, plain
from srwatchd.config import find_models

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.performance.networks import Enlarge

__all__ = ["main"]

_CV: Final[Any] = cv2


def main(words: list[str]) -> int:
    """Serve one kind of loop."""
    kind, model = words
    spec = find_models(None)[model]

    def start() -> Callable[[dict[str, Any]], dict[str, Any]]:
        enlarge = plain("superres", spec) if kind == "superres" else opened("openvino", spec, precision="f32")
        enlarge(np.zeros((64, 64, 3), np.uint8))
        return lambda order: _looped(enlarge, order["sources"], Path(order["target"]))

    serve(start)
    return 0


def _looped(enlarge: Enlarge, sources: list[str], target: Path) -> dict[str, Any]:
    begin = time.perf_counter()
    for source in sources:
        picture = _CV.imread(source)
        _CV.imwrite(str(target / Path(source).name), enlarge(picture))
    return {"seconds": time.perf_counter() - begin, "peak": peak_bytes()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
