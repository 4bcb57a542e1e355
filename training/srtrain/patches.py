"""Random training patches, reproducible step by step."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srtrain.colour import EDSR_MEAN_BGR, EDSR_RANGE, full_range_luma

FLAT_SHARE = 0.3
"""The share of patch positions, the flattest ones, that are never drawn."""
LUMA_STEPS = 65535


def load_pairs(path: Path) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Return ``(low, high)`` 8-bit BGR pairs in stored order."""
    with np.load(path) as stored:
        count = len(stored.files) // 2
        return [(stored[f"lr_{i:04d}"], stored[f"hr_{i:04d}"]) for i in range(count)]


def as_planes(bgr: NDArray[np.uint8], channels: int) -> NDArray[np.uint16] | NDArray[np.uint8]:
    """Return ``(C, H, W)``: 16-bit luma for one channel, the 8-bit BGR planes for three."""
    if channels == 1:
        return np.round(full_range_luma(bgr) * LUMA_STEPS).astype(np.uint16)[None]
    return np.ascontiguousarray(bgr.transpose(2, 0, 1))


def to_network(planes: Tensor) -> Tensor:
    """Scale stored planes ``(N, C, H, W)`` to the range that networks are trained in."""
    if planes.shape[1] == 1:
        return planes / LUMA_STEPS
    return (planes - torch.tensor(EDSR_MEAN_BGR).view(1, 3, 1, 1)) / EDSR_RANGE


class PatchSource:
    """Draws batches of ``(low, high)`` patches, turned and mirrored at random.

    The batch of a step depends on ``seed`` and the step alone, so a resumed run sees exactly what
    an uninterrupted one would have seen.
    """

    def __init__(self, path: Path, *, channels: int, scale: int, patch: int, seed: int) -> None:
        self._scale, self._patch, self._seed, self._channels = scale, patch, seed, channels
        self._pairs = [
            (as_planes(low, channels), as_planes(high, channels))
            for low, high in load_pairs(path)
            if min(low.shape[:2]) >= patch
        ]
        places, energies = [], []
        for number, (low, _) in enumerate(self._pairs):
            grey = low.astype(np.float32).mean(axis=0) / np.iinfo(low.dtype).max
            slope = np.abs(cv2.Laplacian(grey, cv2.CV_32F))
            energy = cv2.boxFilter(slope, -1, (patch, patch), anchor=(0, 0))
            height, width = grey.shape
            ys, xs = np.mgrid[0 : height - patch + 1 : 4, 0 : width - patch + 1 : 4]
            numbers = np.full(ys.size, number)
            places.append(np.stack([numbers, ys.ravel(), xs.ravel()], axis=1))
            energies.append(energy[ys, xs].ravel())
        energy = np.concatenate(energies)
        detailed = energy > np.quantile(energy, FLAT_SHARE)
        self._places = np.concatenate(places)[detailed]

    def batch(self, step: int, size: int) -> tuple[Tensor, Tensor]:
        """Return the batch of ``step`` as float32 in network range."""
        random = np.random.default_rng((self._seed, step))
        chosen = self._places[random.integers(len(self._places), size=size)]
        turns = random.integers(8, size=size)
        patch, scale = self._patch, self._scale
        low = np.empty((size, self._channels, patch, patch), np.float32)
        high = np.empty((size, self._channels, patch * scale, patch * scale), np.float32)
        for row, ((number, y, x), turn) in enumerate(zip(chosen, turns, strict=True)):
            whole_low, whole_high = self._pairs[number]
            small = whole_low[:, y : y + patch, x : x + patch]
            large = whole_high[:, y * scale : (y + patch) * scale, x * scale : (x + patch) * scale]
            if turn & 1:
                small, large = small[:, ::-1], large[:, ::-1]
            if turn & 2:
                small, large = small[:, :, ::-1], large[:, :, ::-1]
            if turn & 4:
                small, large = small.swapaxes(1, 2), large.swapaxes(1, 2)
            low[row], high[row] = small, large
        return to_network(torch.from_numpy(low)), to_network(torch.from_numpy(high))
