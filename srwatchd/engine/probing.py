"""What nobody has written down about an ONNX network: found by feeding it and looking at what comes out.

Form and scale come from the sizes of a first result, range, mean and order of colours from how well a picture of known
detail is restored under each assumption, the receptive radius from how much context a pixel needs.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from srwatchd.config.publicmodels import FAMILIES
from srwatchd.engine.colour import finish, prepare
from srwatchd.engine.failures import running
from srwatchd.engine.quality import interpolated, leaves, psnr, reduced
from srwatchd.errors import ModelError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from srwatchd.config.models import Colour, Layout, ModelSpec
    from srwatchd.engine.base import Samples

__all__ = ["Declared", "Evidence", "Fed", "enlarged", "probe", "probe_picture", "receptive_radius"]

_FIRST: Final = (24, 40)
"""Height and width of the first input: different, and multiples of 8 for networks that want that."""
_SCALES: Final = range(2, 17)
_PICTURE: Final = 64
_MEAN: Final = FAMILIES["edsr"].mean
"""Blue, green and red of the DIV2K training pictures, which the networks of the EDSR family subtract."""
_MEAN_WHITE: Final = 255.0
_RANGES: Final = ((0.0, 1.0), (0.0, 255.0), (-1.0, 1.0))
_WORST: Final = 3.0
"""Decibels below plain interpolation at which a network counts as fed wrongly; the public ones lose up to 1.2."""
_CORE: Final = 8
_LOOKS: Final = (16, 32, 64, 128)
_SURE: Final = 0.75
_SAME: Final = 1e-4
"""Part of the range by which a result may change when context is cut off: 6.5 of 65535 levels."""


class Fed(Protocol):
    """A network that gives its output as it is."""

    @property
    def spec(self) -> ModelSpec:
        """What was opened."""
        ...

    def infer(self, blob: NDArray[np.float32]) -> NDArray[np.float32]:
        """C x H x W for an input of H x W x C."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What the user says about a network; None is to be found out."""

    scale: int | None = None
    colour: Colour | None = None
    input_range: tuple[float, float] | None = None
    mean: tuple[float, ...] | None = None
    radius: int | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """One fact, how it is known (``declared``, ``found``), and by what."""

    fact: str
    value: str
    how: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Assumption:
    spec: ModelSpec
    handicap: float
    """Decibels by which a less usual assumption must be better than a usual one."""


def probe(
    opened: Callable[[ModelSpec], Fed],
    base: ModelSpec,
    sizes: tuple[int | None, ...],
    *,
    declared: Declared,
    said: Callable[[str], None],
) -> tuple[ModelSpec, tuple[Evidence, ...]]:
    """``base`` with layout, scale, colour, range, mean and radius of its network, and how each is known.

    ``sizes`` are those that the file gives for its input, ``said`` is called before each thing that takes time. Raises
    :class:`RefusedError` when it is no super-resolution network or its facts cannot be told.
    """
    said("its form")
    network, spec = _formed(opened, base, sizes, declared)
    facts = [Evidence("scale", f"x{spec.scale}", "declared" if declared.scale else "found", "sizes of a first result")]
    spec, fed = _fed(network, spec, declared, said)
    facts += fed
    if declared.radius is None:
        radius = receptive_radius(network, spec, said)
        facts.append(Evidence("receptive_radius", str(radius), "found", "the context that a pixel needs"))
    else:
        radius = declared.radius
        facts.append(Evidence("receptive_radius", str(radius), "declared"))
    return replace(spec, receptive_radius=radius), tuple(facts)


def probe_picture(scale: int) -> tuple[Samples, Samples]:
    """A small picture, and the same ``scale`` times as large with the detail that it had."""
    whole = leaves(_PICTURE * scale)
    return reduced(whole, scale), whole


def enlarged(network: Fed, spec: ModelSpec, tile: Samples) -> Samples:
    """``tile`` by ``network``, fed and read as ``spec`` says."""
    prepared = prepare(tile, spec)
    with running(spec, "probing"):
        return finish(np.array(network.infer(prepared.blob), np.float32), prepared, spec)


def receptive_radius(network: Fed, spec: ModelSpec, said: Callable[[str], None]) -> int:
    """How far from a pixel its surroundings matter, in input pixels: measured on the hardest content.

    The least radius at which cutting off what lies beyond changes no value by more than a ten-thousandth of the range.
    Raises :class:`RefusedError` for a network that looks further than 96 pixels.
    """
    rng = np.random.default_rng(7)
    span = spec.input_range[1] - spec.input_range[0]
    for look in _LOOKS:
        edge = 2 * look + _CORE
        blob = prepare(_hard(rng, edge, spec.channels), spec).blob
        wanted = _core(network, spec, blob, look)
        low, high = 0, look
        while low < high:
            middle = (low + high) // 2
            said(f"whether a pixel needs more than {middle} around it")
            inside = slice(look - middle, edge - look + middle)
            part = np.ascontiguousarray(blob[inside, inside])
            if float(np.abs(_core(network, spec, part, middle) - wanted).max()) <= _SAME * span:
                high = middle
            else:
                low = middle + 1
        if low <= look * _SURE:
            return low
    raise RefusedError(
        "model_refused",
        f"a pixel of {spec.name}'s result depends on more than {int(_LOOKS[-1] * _SURE)} pixels around it",
        hint="A network that looks at the whole picture cannot work in tiles. If it looks less far, say --radius N.",
    )


def _hard(rng: np.random.Generator, edge: int, channels: int) -> Samples:
    """Noise on a slope that grows steeper: neither near nor far surroundings of a pixel are alike."""
    slope = np.square(np.linspace(0.0, 1.0, edge))
    ground = (slope[:, np.newaxis] + slope[np.newaxis, :])[:, :, np.newaxis] / 2
    noise = rng.random((edge, edge, channels))
    picture: Samples = np.rint(255 * (0.4 * ground + 0.6 * noise)).astype(np.uint8)
    return picture


def _core(network: Fed, spec: ModelSpec, blob: NDArray[np.float32], around: int) -> NDArray[np.float32]:
    """The result's middle, that of the pixels with ``around`` others on each side."""
    with running(spec, "probing"):
        given = network.infer(blob)
    inside = slice(around * spec.scale, (around + _CORE) * spec.scale)
    return np.array(given[:, inside, inside], np.float32)


def _formed(
    opened: Callable[[ModelSpec], Fed], base: ModelSpec, sizes: tuple[int | None, ...], declared: Declared
) -> tuple[Fed, ModelSpec]:
    """The network, opened in the one form in which it takes and gives pictures, with its layouts and scale."""
    refusals = []
    for layout, channels in _forms(sizes, declared):
        plain: tuple[Colour, tuple[float, ...]] = ("y", ()) if channels == 1 else ("rgb", (0.0,) * 3)
        spec = replace(base, input_layout=layout, output_layout="nchw", input_colour=plain[0], mean=plain[1])
        blob = np.random.default_rng(3).random((*_FIRST, channels), np.float32)
        try:
            network = opened(spec)
            with running(spec, "probing"):
                shape = network.infer(blob).shape
        except ModelError as error:
            refusals.append(error.message)
            continue
        for given, planes, height, width in (("nchw", *shape), ("nhwc", shape[2], shape[0], shape[1])):
            scale = height // _FIRST[0]
            if planes == channels and (height, width) == (scale * _FIRST[0], scale * _FIRST[1]) and scale in _SCALES:
                _agrees(scale, declared, base.name)
                spec = replace(spec, output_layout=given, scale=scale)
                return (network, spec) if given == "nchw" else (opened(spec), spec)
        refusals.append(f"{_FIRST[0]} x {_FIRST[1]} x {channels} becomes {' x '.join(map(str, shape))}")
    reason = "; ".join(dict.fromkeys(refusals)) or f"its input has the sizes {sizes}"
    raise RefusedError(
        "model_refused",
        f"{base.name} is no network that takes a picture of any size and gives one that is a whole number of times as "
        f"large, with as many planes: {reason}",
        hint="Export it with free height and width, one input and one output, of 1 or 3 planes.",
    )


def _agrees(scale: int, declared: Declared, name: str) -> None:
    if declared.scale not in (None, scale):
        raise RefusedError("model_refused", f"{name} enlarges {scale} times, and --scale says {declared.scale}")


def _forms(sizes: tuple[int | None, ...], declared: Declared) -> Iterator[tuple[Layout, int]]:
    """The layouts and planes that the input's declared sizes allow, the usual first."""
    if sizes and len(sizes) != len("NCHW"):
        return
    layouts: tuple[tuple[Layout, int], ...] = (("nchw", 1), ("nhwc", 3))
    for (layout, axis), channels in itertools.product(layouts, (3, 1)):
        if declared.colour is not None and (declared.colour == "y") != (channels == 1):
            continue
        if not sizes or sizes[axis] in (None, channels):
            yield layout, channels


def _fed(
    network: Fed, spec: ModelSpec, declared: Declared, said: Callable[[str], None]
) -> tuple[ModelSpec, list[Evidence]]:
    """``spec`` with the way of feeding that restores a known picture best, and the figures."""
    small, whole = probe_picture(spec.scale)
    if spec.channels == 1:
        small, whole = (_luma(each) for each in (small, whole))
    border = spec.scale
    tried: list[tuple[float, float, ModelSpec]] = []
    for each in _assumptions(spec, declared):
        said(f"{_described(each.spec)}")
        seen = psnr(enlarged(network, each.spec, small), whole, border=border)
        tried.append((seen - each.handicap, seen, each.spec))
    tried.sort(key=lambda one: one[0], reverse=True)
    _, best, found = tried[0]
    plain = psnr(interpolated(small, spec.scale).reshape(whole.shape), whole, border=border)
    if best < plain - _WORST:
        raise RefusedError(
            "model_refused",
            f"{spec.name} gives no good picture however it is fed: {best:.1f} dB at best ({_described(found)}), plain "
            f"interpolation has {plain:.1f}",
            hint="If it wants another range, mean or order of colours, declare it with --range, --mean and --colour.",
        )
    others = "".join(f"; {_described(other)} {value:.1f}" for _, value, other in tried[1:4])
    reason = f"{best:.1f} dB, plain interpolation {plain:.1f}{others}"
    given = (("input_colour", found.input_colour, declared.colour), ("input_range", _span(found), declared.input_range))
    facts = [Evidence(fact, value, "found" if said is None else "declared", reason) for fact, value, said in given]
    if any(found.mean) or declared.mean is not None:
        text = ", ".join(f"{each:g}" for each in found.mean)
        facts.append(Evidence("mean", text, "found" if declared.mean is None else "declared", reason))
    return found, [replace(each, reason="" if each.how == "declared" else reason) for each in facts]


def _assumptions(spec: ModelSpec, declared: Declared) -> Iterator[_Assumption]:
    """Every way of feeding the network that nothing speaks against; what is less usual has to be better by more."""
    colours: tuple[Colour, ...] = ("y",) if spec.channels == 1 else ("rgb", "bgr")
    for colour, (low, high) in itertools.product(colours, _RANGES):
        if declared.colour not in (None, colour):
            continue
        means: list[tuple[float, ...]] = [() if colour == "y" else (0.0,) * 3]
        if colour != "y" and low == 0.0:
            ordered = _MEAN if colour == "bgr" else _MEAN[::-1]
            means.append(ordered if high > 1.0 else tuple(round(each / _MEAN_WHITE, 6) for each in ordered))
        for mean in means if declared.mean is None else [declared.mean]:
            superres = colour == "bgr" and high > 1.0 and any(mean)  # as dnn_superres feeds EDSR
            handicap = 0.0 if superres else 0.1 * (colour == "bgr") + 0.1 * any(mean) + 0.5 * (low < 0.0)
            if declared.input_range in (None, (low, high)):
                yield _Assumption(replace(spec, input_colour=colour, input_range=(low, high), mean=mean), handicap)
    if declared.input_range is not None and declared.input_range not in _RANGES:
        for colour in colours if declared.colour is None else (declared.colour,):
            mean = declared.mean if declared.mean is not None else () if colour == "y" else (0.0,) * 3
            yield _Assumption(replace(spec, input_colour=colour, input_range=declared.input_range, mean=mean), 0.0)


def _described(spec: ModelSpec) -> str:
    mean = " less a mean" if any(spec.mean) else ""
    return f"{spec.input_colour} in {_span(spec)}{mean}"


def _span(spec: ModelSpec) -> str:
    return f"{spec.input_range[0]:g}..{spec.input_range[1]:g}"


def _luma(picture: Samples) -> Samples:
    weights = np.array([0.299, 0.587, 0.114])
    luma: Samples = np.rint(picture @ weights).astype(np.uint8)[:, :, np.newaxis]
    return luma
