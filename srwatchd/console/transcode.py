"""A result in another format, for a client of ``POST /api/v1/upscale`` that asks for one."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from srwatchd.codec.formats import FORMATS
from srwatchd.config import find_models
from srwatchd.console.refusals import DeclinedError
from srwatchd.errors import PermanentError, TransientError
from srwatchd.pipeline.footprint import check_memory, check_scratch, decoding, raster_bytes, writing
from srwatchd.pipeline.result import plan_result
from srwatchd.storage import host_errors

if TYPE_CHECKING:
    from pathlib import Path

    from srwatchd.config import Config, Folder
    from srwatchd.console.pictureworkers import PictureWorkers

__all__ = ["transcoded"]

_SECONDS: Final = 120.0
_WRITE_BEHIND: Final = 8 << 20
_HINT: Final = "Ask for the picture without a format, or raise console.memory_limit."


async def transcoded(
    workers: PictureWorkers, config: Config, folder: Folder, result: int, *, wanted: str, place: Path
) -> int:
    """The picture behind ``result``, which stays the caller's, in the format ``wanted``: a descriptor of its own.

    ``place`` is where its pixels lie meanwhile, without a name. Raises PermanentError (``format_limit``,
    ``too_large_for_memory`` ...), HostError, and DeclinedError 503 when workers fail.
    """
    spec = (await asyncio.to_thread(find_models, config.models_dir))[folder.model]
    changes = {"format": wanted, "filename": "{stem}", "longest_edge": None, "factor": None}
    output = folder.output.model_copy(update=changes)
    opened: list[int] = []
    try:
        with host_errors(place, "making a scratch file in"):
            flags = os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC
            opened += [os.open(place, flags, 0o600) for _ in range(3)]
        raster, carry, target = opened
        known = {
            "max_pixels": folder.limits.max_output_pixels,
            "icc": output.icc if FORMATS[wanted].profile else "srgb",
            "write_behind": _WRITE_BEHIND,
        }
        try:
            info = await _asked(workers, "inspect", known, [result], workers.share)
            plan = plan_result("result", output, replace(spec, scale=1), info, folder=folder.id, date="")
            write = writing(info, plan.form)[0]
            check_memory([decoding(info), write], workers.all)
            check_scratch(raster_bytes(info), _free(place), place=str(place))
            info = await _asked(workers, "decode", known, [result, raster, carry], decoding(info).memory)
            facts = {"info": info, "width": info["width"], "height": info["height"], "output": plan.options}
            memory = max(write.memory, writing(info, plan.form)[0].memory)
            await _asked(workers, "encode", known | facts, [raster, carry, target], memory)
        except PermanentError as error:
            if error.code != "too_large_for_memory":
                raise
            raise PermanentError(error.code, error.message, hint=_HINT) from error
        except TransientError as error:
            raise DeclinedError(503, error.code, error.message, headers={"Retry-After": "2"}) from error
        return os.dup(target)
    finally:
        for each in opened:
            os.close(each)


async def _asked(
    workers: PictureWorkers, op: str, params: dict[str, Any], descriptors: list[int], memory: int
) -> dict[str, Any]:
    memory = min(max(memory, workers.share), workers.all)
    async with workers.lent(memory) as worker:
        return await worker.call(op, {**params, "memory": memory}, descriptors, deadline=_SECONDS)


def _free(place: Path) -> int:
    space = os.statvfs(place)
    return space.f_bavail * space.f_frsize
