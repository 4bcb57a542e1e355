"""What the result of a picture will be: name, format and size, decided before any inference. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from srwatchd.codec.formats import (
    FORMATS,
    check_limits,
    extension,
    final_size,
    fit_limits,
    target_format,
)
from srwatchd.delivery.names import result_name

if TYPE_CHECKING:
    from srwatchd.config import Output
    from srwatchd.config.models import ModelSpec

__all__ = ["ResultPlan", "plan_form", "plan_result"]


@dataclass(frozen=True, slots=True)
class ResultPlan:
    """``path`` is relative to the done folder; ``options`` is what the codec's ``EncodeOptions.from_dict`` takes."""

    path: str
    format: str
    width: int
    height: int
    options: dict[str, Any]


def plan_result(
    name: str, output: Output, spec: ModelSpec, info: dict[str, Any], *, folder: str, date: str
) -> ResultPlan:
    """The plan for the source ``name`` (relative path) with the facts ``info`` of ``PictureInfo.to_dict``.

    ``folder`` and ``date`` (YYYY-MM-DD) are what a file name template may name. Raises PermanentError
    ``format_limit`` when the format cannot hold the result and the configuration allows nothing else.
    """
    form, size = plan_form(output, spec, info)
    shown = spec.scale if output.factor is None else output.factor
    fields = {
        "scale": f"{shown:g}",
        "model": spec.name,
        "folder": folder,
        "width": str(size[0]),
        "height": str(size[1]),
        "date": date,
    }
    path = result_name(output.filename, name, fields=fields, extension=extension(form).removeprefix("."))
    raster = (int(info["width"]) * spec.scale, int(info["height"]) * spec.scale)
    options = {
        "format": form,
        "quality": output.quality,
        "compression": output.compression,
        "metadata": output.metadata,
        "background": list(output.background),
        "size": list(size) if size != raster else None,
    }
    return ResultPlan(path=path, format=form, width=size[0], height=size[1], options=options)


def plan_form(output: Output, spec: ModelSpec, info: dict[str, Any]) -> tuple[str, tuple[int, int]]:
    """The result's format, and its width and height. Raises PermanentError ``format_limit``."""
    width, height = int(info["width"]), int(info["height"])
    factor = 1.0 if output.factor is None else output.factor / spec.scale
    size = final_size(width * spec.scale, height * spec.scale, longest_edge=output.longest_edge, factor=factor)
    form = target_format(output.format, str(info["format"]))
    limit = FORMATS[form].max_edge
    if limit is not None and max(size) > limit:
        if output.on_format_limit == "scale_down":
            size = fit_limits(form, *size)
        elif output.on_format_limit != "error":
            form = output.on_format_limit
    check_limits(form, *size)
    return form, size
