"""The operations of an inference worker. Imported in worker processes only."""

from __future__ import annotations

import mmap
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from srwatchd.codec.picture import pages_of, places, total_bytes
from srwatchd.engine.budget import tile_bytes, tile_for
from srwatchd.engine.memory import private, room, trim
from srwatchd.engine.picture import upscale_rasters
from srwatchd.engine.select import check_equipment, choose
from srwatchd.errors import ModelError
from srwatchd.modelspec import ModelSpec, verify_file
from srwatchd.storage import WriteBehind

if TYPE_CHECKING:
    from collections.abc import Callable

    from srwatchd.codec.picture import Page
    from srwatchd.engine.base import Network, Samples

__all__ = ["TASKS", "Inference"]


@dataclass(frozen=True, slots=True)
class _Settings:
    """How to open a network: what the configuration's ``engine`` says."""

    name: str
    device: str
    precision: str
    threads: int


class Inference:
    """The networks that this worker has opened, one for each model and engine."""

    def __init__(self) -> None:
        self._networks: dict[tuple[str, _Settings], Network] = {}
        self._bare = 0

    def equipment(
        self, params: dict[str, Any], _descriptors: list[int], _progress: Callable[[dict[str, Any]], None]
    ) -> dict[str, Any]:
        """Whether the engine and the device that the configuration names are here."""
        check_equipment(_settings(params))
        return {}

    def choose(
        self, params: dict[str, Any], _descriptors: list[int], _progress: Callable[[dict[str, Any]], None]
    ) -> dict[str, Any]:
        """Load, test and time a model; which engine will be used, which others may be, and the tile that fits."""
        spec = _verified(ModelSpec.of(params))
        settings = _settings(params)
        others = self._held()
        network, choice = choose(settings, spec, timed=bool(params["timed"]))
        self._networks[spec.sha256, replace(settings, name=choice.engine)] = network
        trim()
        return {
            "model": spec.name,
            "engine": choice.engine,
            "others": list(choice.others),
            "reason": choice.reason,
            "warnings": list(choice.warnings),
            "seconds_per_megapixel": choice.seconds_per_megapixel,
            "tile": tile_for(spec, choice.engine, room(int(params["memory"]) + others)),
        }

    def upscale(
        self, params: dict[str, Any], descriptors: list[int], progress: Callable[[dict[str, Any]], None]
    ) -> dict[str, Any]:
        """Upscale the raster behind the first descriptor into the second, which has its final size."""
        source_fd, target_fd = descriptors
        network = self._network(params)
        behind = WriteBehind(target_fd, int(params["write_behind"]))
        pages = pages_of(params["info"])
        source = _mapped(source_fd, pages, write=False)
        target = _mapped(target_fd, [page.enlarged(network.spec.scale) for page in pages], write=True)
        size = sum(each.nbytes for each in target)

        def on_tile(done: int, total: int) -> None:
            """Tell of a tile, and let the disk keep up."""
            behind.wrote(size // total)
            progress({"done": done, "total": total})

        upscale_rasters(network, list(zip(source, target, strict=True)), tile=int(params["tile"]), on_tile=on_tile)
        return {"engine": network.engine, "device": network.device, "precision": network.precision}

    def rest(
        self, _params: dict[str, Any], _descriptors: list[int], _progress: Callable[[dict[str, Any]], None]
    ) -> dict[str, Any]:
        """Put every network away: another worker needs the memory. The next picture opens its own again."""
        self._networks.clear()
        trim()
        return {"private": private()}

    def _network(self, params: dict[str, Any]) -> Network:
        """The network for ``params``; the others are put away when there is no room for it and its tiles besides."""
        settings = _settings(params)
        network = self._networks.get((params["model"]["sha256"], settings))
        if network is not None and len(self._networks) == 1:
            return network
        spec = ModelSpec.of(params) if network is None else network.spec
        key = (spec.sha256, settings)
        if self._crowded(spec, params):
            self._networks = {key: self._networks[key]} if key in self._networks else {}
            trim()
        if key not in self._networks:
            self._networks[key], _ = choose(settings, _verified(spec))
        return self._networks[key]

    def _crowded(self, spec: ModelSpec, params: dict[str, Any]) -> bool:
        """Whether there is no room for a tile of ``spec`` beside the networks, even when they keep no tiles' memory."""
        needed = tile_bytes(spec, params["engine"], int(params["tile"]))
        if room(int(params["memory"])) >= needed:
            return False
        for network in self._networks.values():
            network.release()
        trim()
        return bool(self._networks) and room(int(params["memory"])) < needed

    def _held(self) -> int:
        """The bytes that the networks opened so far take."""
        if not self._networks:
            self._bare = private()
        return max(0, private() - self._bare)


def _settings(params: dict[str, Any]) -> _Settings:
    return _Settings(params["engine"], params["device"], params["precision"], int(params["threads"]))


def _verified(spec: ModelSpec) -> ModelSpec:
    """The model, if its files are those that it speaks of; ModelError otherwise."""
    try:
        verify_file(spec)
    except ModelError as error:
        if error.code != "model_altered":
            raise
        text = f"{spec.name} is another file than when the configuration took effect: {error.message}"
        raise ModelError("model_altered", text, hint="Reload the daemon: `kill -HUP`, or restart it.") from error
    return spec


def _mapped(descriptor: int, pages: list[Page], *, write: bool) -> list[Samples]:
    """The raster of each page as an array over the shared map of their file; unmapped when all are forgotten."""
    protection = mmap.PROT_READ | (mmap.PROT_WRITE if write else 0)
    mapped = mmap.mmap(descriptor, total_bytes(pages), prot=protection)
    arrays = []
    for page, at in zip(pages, places(pages), strict=True):
        sample = np.dtype(np.uint16 if page.depth == 16 else np.uint8)  # noqa: PLR2004 - bits
        flat = np.frombuffer(mapped, sample, page.pixels * page.channels, at)
        arrays.append(flat.reshape(page.shape))
    return arrays


_inference: Final = Inference()
TASKS: Final = {
    "choose": _inference.choose,
    "equipment": _inference.equipment,
    "rest": _inference.rest,
    "upscale": _inference.upscale,
}
