"""The settings of one training run, read from ``configs/NAME.yaml``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that decides the result of a run, besides the data."""

    name: str
    architecture: str
    scale: int
    profile: str = "clean"
    """``clean`` or ``photo``: which small pictures it learns from, see ``srtrain.damage``."""
    arguments: dict[str, Any] = field(default_factory=dict)
    steps: int
    batch: int
    patch: int
    optimiser: str = "soap"
    rate: float = 3e-3
    warm_up: int = 200
    final_rate: float = 0.01
    """Learning rate at the last step, as a share of ``rate``; cosine in between."""
    loss: str = "l1"
    """``l1`` or ``psnr``; see ``srtrain.train.loss_of``."""
    psnr_from: int | None = None
    """From this step on the loss is ``psnr``, whatever ``loss`` says."""
    luma_weight: float = 0.0
    """Weight of an additional loss on luma, for colour networks."""
    average: float = 0.999
    """Decay of the running average of weights, which is what is validated and shipped."""
    half_precision: bool = True
    start_from: str | None = None
    """Name of a finished run whose fitting weights are taken over."""
    seed: int = 20240601

    @property
    def channels(self) -> int:
        """One for luma networks, three for colour ones."""
        return 3 if self.architecture == "edsr" else 1

    @property
    def data(self) -> str:
        """What the names of the data files end in."""
        return data_stem(self.scale, self.profile)


def data_stem(scale: int, profile: str) -> str:
    """Return ``x2``, or ``x2_photo`` for the profile of that name."""
    return f"x{scale}" if profile == "clean" else f"x{scale}_{profile}"


def read_settings(path: Path) -> Settings:
    """Read a configuration; an unknown key is a ``TypeError``."""
    return Settings(**yaml.safe_load(path.read_text(encoding="utf-8")))
