"""What the result of a picture will be: name, format and size, decided before any inference. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from srwatchd.codec.formats import (
    FORMATS,
    check_holds,
    check_limits,
    extension,
    final_size,
    fit_limits,
    holds,
    target_format,
)
from srwatchd.codec.picture import Page, pages_of
from srwatchd.delivery.names import result_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from srwatchd.config import Output
    from srwatchd.config.models import ModelSpec

__all__ = ["Form", "ResultPlan", "plan_form", "plan_result"]


@dataclass(frozen=True, slots=True)
class Form:
    """A result's format, and the final width and height of each kind of page, which is enlarged by ``scale`` first."""

    format: str
    scale: int
    sizes: dict[Page, tuple[int, int]]

    def pixels(self, pages: Iterable[Page]) -> int:
        """Pixels of the result of ``pages``."""
        return sum(width * height for width, height in (self.sizes[page] for page in pages))

    def raster_pixels(self, pages: Iterable[Page]) -> int:
        """Pixels of its raster."""
        return sum(page.pixels for page in pages) * self.scale**2


@dataclass(frozen=True, slots=True)
class ResultPlan:
    """``path`` is relative to the done folder; ``options`` is what the codec's ``EncodeOptions.from_dict`` takes.

    ``width`` and ``height`` are those of the first page, ``form`` has all of them.
    """

    path: str
    format: str
    width: int
    height: int
    options: dict[str, Any]
    form: Form


def plan_result(
    name: str, output: Output, spec: ModelSpec, info: dict[str, Any], *, folder: str, date: str
) -> ResultPlan:
    """The plan for the source ``name`` (relative path) with the facts ``info`` of ``PictureInfo.to_dict``.

    ``folder`` and ``date`` (YYYY-MM-DD) are what a file name template may name. Raises PermanentError
    ``format_limit`` when the format cannot hold the result and the configuration allows nothing else.
    """
    pages = pages_of(info)
    form = plan_form(output, spec, info)
    size = form.sizes[pages[0]]
    shown = spec.scale if output.factor is None else output.factor
    fields = {
        "scale": f"{shown:g}",
        "model": spec.name,
        "folder": folder,
        "width": str(size[0]),
        "height": str(size[1]),
        "date": date,
    }
    path = result_name(output.filename, name, fields=fields, extension=extension(form.format).removeprefix("."))
    raster = pages[0].enlarged(spec.scale)
    options = {
        "format": form.format,
        "quality": output.quality,
        "compression": output.compression,
        "metadata": output.metadata,
        "background": list(output.background),
        "size": list(size) if size != (raster.width, raster.height) else None,
        "sizes": [list(form.sizes[page]) for page in pages] if len(form.sizes) > 1 else None,
    }
    return ResultPlan(path=path, format=form.format, width=size[0], height=size[1], options=options, form=form)


def plan_form(output: Output, spec: ModelSpec, info: dict[str, Any]) -> Form:
    """The result's format, and the size of each page. Raises PermanentError ``format_limit``."""
    pages, source = pages_of(info), str(info["format"])
    factor = 1.0 if output.factor is None else output.factor / spec.scale
    sizes = {}
    for page in dict.fromkeys(pages):
        raster = page.enlarged(spec.scale)
        sizes[page] = final_size(raster.width, raster.height, longest_edge=output.longest_edge, factor=factor)
    form = target_format(output.format, source, count=len(pages))
    limit = FORMATS[form].max_edge
    cut = not holds(form, source, count=len(pages))
    large = limit is not None and max(map(max, sizes.values())) > limit
    if large and output.on_format_limit == "scale_down":
        sizes = {page: fit_limits(form, *size) for page, size in sizes.items()}
    elif (large or cut) and output.on_format_limit not in ("error", "scale_down"):
        form = output.on_format_limit
    check_holds(form, source, count=len(pages))
    for size in sizes.values():
        check_limits(form, *size)
    return Form(form, spec.scale, sizes)
