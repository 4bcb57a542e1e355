"""What is done to the pixels, seen from the supervising process: each step is one call of one worker process.

A raster is a nameless scratch file (:mod:`srwatchd.pipeline.scratch`); workers get descriptors, never paths.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from srwatchd.codec.formats import FORMATS
from srwatchd.codec.picture import pages_of
from srwatchd.errors import HostError, PermanentError
from srwatchd.pipeline.footprint import (
    check_memory,
    check_scratch,
    decoding,
    raster_bytes,
    resampled_bytes,
    writing,
)
from srwatchd.pipeline.memory import Allotment
from srwatchd.pipeline.result import plan_form
from srwatchd.pipeline.scratch import put_away

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from srwatchd.codec.picture import Page
    from srwatchd.config import Folder
    from srwatchd.config.models import ModelSpec
    from srwatchd.pipeline.memory import MemoryPlan
    from srwatchd.pipeline.result import ResultPlan
    from srwatchd.pipeline.scratch import Scratch

__all__ = ["Choice", "Picture", "Stages", "Upscaled", "WorkerPool", "WorkerProcess"]

_CODEC_SECONDS: Final = 60.0
_CODEC_SECONDS_PER_MEGAPIXEL: Final = 2.0
_SILENT: Final = frozenset({"avif", "gif"})
_SILENT_SECONDS_PER_MEGAPIXEL: Final = 10.0
"""For encoders that say nothing while they are at a picture or frame: 3 s measured on a busy machine."""
_LARGE_FILE: Final = 4 << 20
"""Bytes of a source from which on its header is looked at before it is decoded."""
_TILE_SECONDS: Final = 30.0
_TILE_MARGIN: Final = 40.0
"""A tile may take this many times what the smoke test took for its area before its worker counts as hung."""


class WorkerProcess(Protocol):
    """One worker, lent."""

    async def call(
        self,
        op: str,
        params: dict[str, Any],
        fds: Sequence[int] = (),
        *,
        deadline: float,
        on_progress: Callable[[dict[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """The operation's result; ``deadline`` seconds start again with each sign of progress."""
        ...


class WorkerPool(Protocol):
    """Where workers are lent."""

    def worker(self) -> AbstractAsyncContextManager[WorkerProcess]:
        """Wait for a free worker."""
        ...


@dataclass(frozen=True, slots=True)
class Choice:
    """What the inference workers use for one model on this machine."""

    model: str
    engine: str
    others: tuple[str, ...]
    reason: str
    seconds_per_megapixel: float
    tile: int
    warnings: tuple[str, ...] = ()
    """What is here and could not be used, with the remedy."""


@dataclass(slots=True)
class Picture:
    """A decoded source: its facts (``PictureInfo.to_dict()``), its raster and what it carries (EXIF, ICC ...)."""

    info: dict[str, Any]
    raster: int
    carry: int
    _open: bool = field(default=True)

    @property
    def width(self) -> int:
        """Pixels across, after orientation."""
        return int(self.info["width"])

    @property
    def height(self) -> int:
        """Pixels down, after orientation."""
        return int(self.info["height"])

    @property
    def pages(self) -> list[Page]:
        """Its pages or frames, of most pictures one."""
        return pages_of(self.info)

    def close(self) -> None:
        """Give the scratch files back."""
        if self._open:
            self._open = False
            put_away(self.raster)
            put_away(self.carry)


@dataclass(slots=True)
class Upscaled:
    """A result raster: a scratch file of ``height`` x ``width`` pixels."""

    raster: int
    width: int
    height: int
    _open: bool = field(default=True)

    def close(self) -> None:
        """Give the scratch file back."""
        if self._open:
            self._open = False
            put_away(self.raster)


class Stages:
    """Decode, upscale, encode and verify through the worker pools."""

    def __init__(
        self,
        *,
        codec: WorkerPool,
        inference: WorkerPool,
        scratch: Scratch,
        choices: dict[str, Choice],
        machine: dict[str, Any],
        memory: MemoryPlan,
    ) -> None:
        self._codec = codec
        self._inference = inference
        self._scratch = scratch
        self._choices = choices
        self._machine = machine
        self._memory = memory
        self._lendable = Allotment(memory.codec)

    def choice(self, model: str) -> Choice:
        """The engine and tile for ``model``."""
        return self._choices[model]

    async def decode(self, source: int, folder: Folder, spec: ModelSpec) -> Picture:
        """The picture behind the descriptor ``source``. Raises what the codec raises; the scratch files go then.

        Of a large file, or one that takes more memory than a worker's usual share, the header is looked at first.
        Before it is inferred, and if possible before it is decoded, a picture is refused whose result memory or format
        cannot hold (``too_large_for_memory``, ``format_limit``), and the folder held if scratch is too small for it.
        """
        limits, output = folder.limits, folder.output
        profiled = output.format == "same" or FORMATS[output.format].profile
        params = {
            "max_pixels": min(limits.max_input_pixels, limits.max_output_pixels // spec.scale**2),
            "icc": output.icc if profiled else "srgb",
        }
        planned = None
        if os.fstat(source).st_size >= _LARGE_FILE:
            planned = await self._looked_at(source, params, folder, spec)
        try:
            picture = await self._decoded(source, params, planned)
        except PermanentError as error:
            if error.code != "too_large_for_memory" or planned is not None:
                raise
            planned = await self._looked_at(source, params, folder, spec)
            picture = await self._decoded(source, params, planned)
        try:
            self._admit(picture.info, folder, spec, decoded=True)
        except BaseException:
            picture.close()
            raise
        return picture

    async def _looked_at(self, source: int, params: dict[str, Any], folder: Folder, spec: ModelSpec) -> dict[str, Any]:
        """What the header says, if the picture may be decoded and its result made."""
        async with self._codec_worker(self._memory.codec_share) as worker:
            with _places(source=_path_of(source)):
                info = await worker.call(
                    "inspect", {**params, "memory": self._memory.codec_share}, [source], deadline=_CODEC_SECONDS
                )
        self._admit(info, folder, spec)
        return info

    async def _decoded(self, source: int, params: dict[str, Any], planned: dict[str, Any] | None) -> Picture:
        """The picture, within a worker's usual share of memory or what ``planned`` (its header) asks for."""
        memory = max(self._memory.codec_share, 0 if planned is None else decoding(planned).memory)
        deadline = _CODEC_SECONDS if planned is None else _codec_seconds(sum(page.pixels for page in pages_of(planned)))
        picture = Picture(info={}, raster=self._scratch.open(), carry=self._scratch.open())
        try:
            async with self._codec_worker(memory) as worker:
                fds = [source, picture.raster, picture.carry]
                with _places(source=_path_of(source), scratch=str(self._scratch.directory)):
                    params = {**params, "memory": memory, "write_behind": self._memory.write_behind}
                    picture.info = await worker.call("decode", params, fds, deadline=deadline)
        except BaseException:
            picture.close()
            raise
        return picture

    def _admit(self, info: dict[str, Any], folder: Folder, spec: ModelSpec, *, decoded: bool = False) -> None:
        """Raise unless the memory, the scratch folder and the result's format can do all of the picture."""
        form = plan_form(folder.output, spec, info)
        steps = writing(info, form)
        check_memory(steps if decoded else [decoding(info), *steps], self._memory.alone)
        rasters = raster_bytes(info, spec.scale) + resampled_bytes(info, form)
        rasters += 0 if decoded else raster_bytes(info)
        check_scratch(rasters, self._scratch.free(), place=str(self._scratch.directory))

    @contextlib.asynccontextmanager
    async def _codec_worker(self, memory: int) -> AsyncIterator[WorkerProcess]:
        """A codec worker that may take ``memory`` bytes, however long that takes to be free.

        More than all codec workers have together is what the inference workers have, too: they put their networks away
        and wait.
        """
        async with contextlib.AsyncExitStack() as held:
            await held.enter_async_context(self._lendable.lent(min(memory, self._lendable.total)))
            if memory > self._lendable.total:
                for _ in range(self._memory.inference_workers):
                    resting = await held.enter_async_context(self._inference.worker())
                    await resting.call("rest", {}, deadline=_CODEC_SECONDS)
            yield await held.enter_async_context(self._codec.worker())

    async def upscale(
        self,
        picture: Picture,
        spec: ModelSpec,
        *,
        engine: str,
        tile: int,
        deadline: float | None,
        on_tile: Callable[[int, int], None],
    ) -> Upscaled:
        """The result raster of ``picture`` by ``spec`` on ``engine``.

        ``tile`` is a tile's edge in input pixels, ``deadline`` seconds per megapixel of input (None: from the smoke
        test), ``on_tile`` is called with the tiles done and their number.
        """
        width, height = picture.width * spec.scale, picture.height * spec.scale
        megapixels = tile * tile / 1e6
        expected = _TILE_MARGIN * self._choices[spec.name].seconds_per_megapixel * megapixels
        params = {
            **self._machine,
            **spec.reference,
            "engine": engine,
            "tile": tile,
            "info": picture.info,
            "write_behind": self._memory.write_behind,
        }
        async with self._inference.worker() as worker:  # first, for a raster that waits for its turn takes disk
            raster = await self._scratch.reserved(raster_bytes(picture.info, spec.scale))
            result = Upscaled(raster, width, height)
            try:
                await worker.call(
                    "upscale",
                    params,
                    [picture.raster, result.raster],
                    deadline=max(_TILE_SECONDS, deadline * megapixels if deadline else expected),
                    on_progress=lambda message: on_tile(int(message["done"]), int(message["total"])),
                )
            except BaseException:
                result.close()
                raise
        return result

    async def encode(self, picture: Picture, result: Upscaled, staged: int, *, plan: ResultPlan) -> None:
        """Write the result raster into the descriptor ``staged`` as ``plan`` says."""
        memory = writing(picture.info, plan.form)[0].memory
        params = {
            "info": picture.info,
            "width": result.width,
            "height": result.height,
            "output": plan.options,
            "memory": memory,
            "write_behind": self._memory.write_behind,
        }
        with _places(staging=os.path.dirname(_path_of(staged)), scratch=str(self._scratch.directory)):
            async with self._codec_worker(memory) as worker:
                fds = [result.raster, picture.carry, staged]
                deadline = _codec_seconds(plan.form.raster_pixels(picture.pages), silent=plan.form.format in _SILENT)
                await worker.call("encode", params, fds, deadline=deadline)

    async def verify(self, picture: Picture, plan: ResultPlan, staged: int) -> None:
        """Raise unless the staged file decodes to the planned size and looks like the source."""
        memory = writing(picture.info, plan.form)[1].memory
        params = {
            "info": picture.info,
            "width": plan.width,
            "height": plan.height,
            "output": plan.options,
            "memory": memory,
        }
        async with self._codec_worker(memory) as worker:
            fds = [staged, picture.raster, picture.carry]
            await worker.call("verify", params, fds, deadline=_codec_seconds(plan.form.pixels(picture.pages)))


def _codec_seconds(pixels: int, *, silent: bool = False) -> float:
    pace = _SILENT_SECONDS_PER_MEGAPIXEL if silent else _CODEC_SECONDS_PER_MEGAPIXEL
    return _CODEC_SECONDS + pace * pixels / 1e6


@contextlib.contextmanager
def _places(**places: str) -> Iterator[None]:
    """A worker has only descriptors and calls them by their role: say which file or folder it could not use."""
    try:
        yield
    except HostError as error:
        place = places.get(error.path)
        if place is None:
            raise
        message = error.message.replace(repr(error.path), repr(place))
        raise HostError(error.code, message, hint=error.hint, path=place) from error


def _path_of(descriptor: int) -> str:
    """Where an open file is, as the kernel knows it."""
    return os.readlink(f"/proc/self/fd/{descriptor}")
