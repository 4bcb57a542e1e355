"""The contract of an engine and of a network that it has opened; ``tests/contracts/test_engine.py`` holds all to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from srwatchd.config.models import ModelSpec

__all__ = ["PRECISIONS", "PROBE", "Engine", "Network", "Samples", "plane_count"]

PRECISIONS: Final = ("f32", "bf16", "f16")
"""What a network may compute in."""

PROBE: Final = 32
"""The edge in pixels of a tile that shows what a network is like, and takes next to no memory."""

Samples = NDArray[Any]
"""Pixels: uint8 or uint16, H x W x C, full range; C is 1 (grey) or 3 (RGB) for a network."""


class Network(Protocol):
    """A model, loaded and ready on one device. Used by one thread at a time."""

    @property
    def spec(self) -> ModelSpec:
        """What was opened."""
        ...

    @property
    def engine(self) -> str:
        """The engine's name."""
        ...

    @property
    def device(self) -> str:
        """Where it runs: ``cpu``, ``gpu``, ``npu`` or ``cuda``."""
        ...

    @property
    def precision(self) -> str:
        """What it really computes in: ``f32``, ``bf16`` or ``f16``; never less precise than was allowed."""
        ...

    @property
    def bytes_per_input_pixel(self) -> int:
        """Memory for each pixel of a tile's input while it is inferred, an upper bound from measurements."""
        ...

    def upscale(self, tile: Samples) -> Samples:
        """A new array of ``scale`` times the height and width, of the same dtype and channels.

        Deterministic; ``tile`` is not written to. The outermost ``receptive_radius`` input pixels suffer from the
        network's zero padding: the caller gives them as halo and crops. Raises ``TransientError("out_of_memory")``,
        and ``ModelError("model_unusable")`` when the network does not do what its manifest says.
        """
        ...

    def release(self) -> None:
        """Give back the memory that the last tiles took and the network keeps for the next; that one takes it anew."""
        ...


class Engine(Protocol):
    """A way to run networks."""

    @property
    def name(self) -> str:
        """As the configuration has it."""
        ...

    def available(self) -> str | None:
        """Why this engine cannot be used on this machine, or None when it can."""
        ...

    def installed(self) -> bool:
        """Whether its library is here at all; ``auto`` passes over an engine that nobody has installed."""
        ...

    def reads(self, spec: ModelSpec) -> bool:
        """Whether it takes a file of this kind at all; ``auto`` passes over an engine that does not."""
        ...

    def devices(self) -> tuple[str, ...]:
        """The devices that are present, ``cpu`` first; none when the engine is not available."""
        ...

    def lacks(self, device: str) -> str | None:
        """Why an available engine cannot compute on ``device`` here, or None when it can."""
        ...

    def open(self, spec: ModelSpec, *, device: str = "auto", precision: str = "f32", threads: int = 0) -> Network:
        """The model of ``spec``, loaded.

        ``device`` is ``cpu``, ``gpu``, ``npu``, ``cuda`` or ``auto``; ``precision`` is the least that is allowed, an
        engine that has only a better one uses that; ``threads`` 0 leaves the number to the engine. Call it in the
        process's main thread. Raises ``ModelError("engine_unavailable")`` when engine or device is missing, and
        ``ModelError("model_missing" | "model_unusable")`` when the file is missing, of another kind or cannot be
        loaded.
        """
        ...


def plane_count(tile: Samples) -> int:
    """The channels of ``tile``; raises :class:`ValueError` unless it is what :meth:`Network.upscale` takes."""
    grey_or_rgb = (1, 3)
    if tile.ndim != len("HWC") or tile.shape[2] not in grey_or_rgb or tile.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"a tile is H x W x 1 or 3 of uint8 or uint16, not {tile.shape} of {tile.dtype}")
    return int(tile.shape[2])
