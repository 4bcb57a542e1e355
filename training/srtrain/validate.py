"""Quick validation inside the trainer: luma PSNR of the float network on CID22 and Kodak.

Close to, but not, the published protocol (no 8-bit rounding of the output, chroma untouched for
luma networks); ``srtrain.evaluate`` scores the shipped file through ``cv2.dnn_superres``.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from srtrain.colour import EDSR_RANGE, STUDIO_BGR, STUDIO_GAIN
from srtrain.patches import as_planes, load_pairs, to_network

CID22_PICTURES = 41
"""The first pictures of ``validate_xS.npz`` are CID22's, the rest Kodak's."""


class Validation:
    """Holds the validation pairs of one scale."""

    def __init__(self, path: Path, *, channels: int, scale: int) -> None:
        self._scale = scale
        self._pairs: list[tuple[Tensor, Tensor]] = []
        for low, high in load_pairs(path):
            planes = [
                to_network(torch.from_numpy(as_planes(picture, channels).astype("float32"))[None])
                for picture in (low, high)
            ]
            self._pairs.append((planes[0], planes[1]))

    def score(self, network: nn.Module) -> dict[str, float]:
        """Return the mean PSNR in dB of each set and of both (``mean``)."""
        values = [self._psnr(network, low, high) for low, high in self._pairs]
        sets = {"cid22": values[:CID22_PICTURES], "kodak": values[CID22_PICTURES:]}
        scores = {name: sum(v) / len(v) for name, v in sets.items() if v}
        scores["mean"] = sum(scores.values()) / len(scores)
        return {name: round(value, 4) for name, value in scores.items()}

    def _psnr(self, network: nn.Module, low: Tensor, high: Tensor) -> float:
        with torch.inference_mode():
            low = low.contiguous(memory_format=torch.channels_last)
            error = network(low).float() - high
        if error.shape[1] == 1:
            error = error[:, 0] * (STUDIO_GAIN * 255.0)
        else:
            error = torch.einsum("nchw,c->nhw", error * EDSR_RANGE, torch.tensor(STUDIO_BGR))
        border = self._scale
        error = error[:, border:-border, border:-border]
        return 10.0 * math.log10(255.0**2 / max(float((error**2).mean()), 1e-9))
