"""What every engine promises for models in the forms in which they are imported."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import networks
import numpy as np
import pytest
from networks import Shape

from srwatchd.config.models import ModelSpec
from srwatchd.engine.graphdef import dequantized, read_graphdef
from srwatchd.engine.onnxfile import freed, read_onnx
from srwatchd.engine.picture import upscale_raster
from srwatchd.engine.quality import interpolated, leaves
from srwatchd.engine.select import engines
from srwatchd.engine.trial import try_out
from srwatchd.errors import ModelError

if TYPE_CHECKING:
    from srwatchd.engine.base import Engine, Network

ENGINES = {engine.name: engine for engine in engines()}


@dataclass(frozen=True)
class Form:
    """A model file and what its manifest says."""

    data: bytes
    suffix: str = ".onnx"
    facts: dict[str, Any] = field(default_factory=dict)
    radius: int = 2


def free(shape: Shape) -> bytes:
    network = freed(read_onnx(networks.onnx(shape)))
    assert network is not None
    return network.encoded()


def f32() -> bytes:
    changed = dequantized(read_graphdef(networks.quantised()))
    assert changed is not None
    return changed


LUMA = {"input_colour": "y", "mean": ()}
EDSR = {"architecture": "edsr", "input_colour": "bgr"}
WIDE = {"input_range": (0.0, 255.0)}
FORMS = {
    "rgb": Form(networks.onnx()),
    "bgr": Form(networks.onnx(), facts={"input_colour": "bgr"}),
    "rgb255": Form(networks.onnx(Shape(limits=(0.0, 255.0))), facts=WIDE),
    "mean": Form(networks.onnx(Shape(limits=None)), facts={**WIDE, "mean": networks.DIV2K[::-1]}),
    "signed": Form(networks.onnx(Shape(limits=(-1.0, 1.0))), facts={"input_range": (-1.0, 1.0)}),
    "luma": Form(networks.onnx(Shape(planes=1, scale=4)), facts={**LUMA, "scale": 4}),
    "dcr": Form(networks.onnx(Shape(scale=3, order="DCR")), facts={"scale": 3}),
    "x8": Form(networks.onnx(Shape(scale=8)), facts={"scale": 8}),
    "nhwc": Form(networks.onnx(Shape(layouts="nhwc nhwc")), facts={"input_layout": "nhwc", "output_layout": "nhwc"}),
    "freed": Form(free(Shape(size=(24, 40)))),
    "torch": Form(free(Shape(planes=1, scale=3, size=(24, 40), torch=True)), facts={**LUMA, "scale": 3}),
    "graph": Form(networks.frozen(), ".pb", {**LUMA, "architecture": "espcn", "input_layout": "nhwc"}),
    "quantised": Form(
        f32(),
        ".pb",
        {**WIDE, **EDSR, "mean": networks.DIV2K, "input_layout": "nhwc", "scale": 3},
        radius=8,
    ),
}


SOME = [
    pytest.param(name, marks=() if name in ("rgb", "luma", "graph", "quantised") else pytest.mark.soak)
    for name in FORMS
]
"""One of each kind of file and of input, where a test looks at what does not depend on layouts and ranges."""


@pytest.fixture(params=ENGINES, scope="module")
def engine(request: pytest.FixtureRequest) -> Engine:
    one = ENGINES[request.param]
    if (reason := one.available()) is not None:
        pytest.skip(reason)
    cv2.dnn_superres.DnnSuperResImpl_create()  # what a worker has done that also serves a frozen graph
    return one


@pytest.fixture(params=FORMS, scope="module")
def spec(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    form = FORMS[request.param]
    path = tmp_path_factory.mktemp("imported") / f"{request.param}{form.suffix}"
    path.write_bytes(form.data)
    facts = {
        "architecture": "onnx",
        "scale": 2,
        "input_colour": "rgb",
        "input_range": (0.0, 1.0),
        "mean": (0.0,) * 3,
        "input_layout": "nchw",
        "output_node": "NCHW_output" if form.suffix == ".pb" else "y",
    }
    fixed: dict[str, Any] = {"name": request.param, "path": path, "sha256": "", "parameters": 0}
    return ModelSpec(**{**facts, **form.facts}, **fixed, receptive_radius=form.radius, macs_per_input_pixel=10_000)


@pytest.fixture(scope="module")
def readable(engine: Engine, spec: ModelSpec) -> ModelSpec:
    if not engine.reads(spec):
        pytest.skip(f"{engine.name} does not read {spec.path.suffix}, and there is no twin")
    return spec


@pytest.fixture(scope="module")
def network(engine: Engine, readable: ModelSpec) -> Network:
    return engine.open(readable, device="cpu")


def enlarged(network: Network, source: np.ndarray, tile: int = 512) -> np.ndarray:
    scale = network.spec.scale
    target = np.zeros((source.shape[0] * scale, source.shape[1] * scale, source.shape[2]), source.dtype)
    upscale_raster(network, source, target, tile=tile, on_tile=lambda _done, _total: None)
    return target


def test_it_is_the_picture(network: Network) -> None:
    """Colours in their places, in their range, and where they were: all that these networks do is to interpolate."""
    source = cv2.GaussianBlur(leaves(40), (0, 0), 2.0)[:, :37].copy()
    difference = np.abs(enlarged(network, source).astype(int) - interpolated(source, network.spec.scale))
    assert difference.mean() <= 2.0


def test_it_passes_its_trial(network: Network) -> None:
    """Smoke test, odd sizes, tiles against the whole, quality: what an import asks for."""
    seen = try_out(network, said=lambda _step: None)
    assert seen.decibels > seen.interpolation - 3
    assert seen.memory_per_pixel > 0


def test_engines_agree(spec: ModelSpec) -> None:
    """One picture, whatever computes it; at an odd size."""
    source = leaves(51)[:, :33].copy()
    ready = [one for one in ENGINES.values() if one.available() is None and one.reads(spec)]
    first, *others = (enlarged(each.open(spec, device="cpu"), source).astype(int) for each in ready)
    for other in others:
        assert np.abs(first - other).mean() <= 1.0
        assert np.abs(first - other).max() <= 3


@pytest.mark.parametrize("lie", [{"scale": 5}, {"receptive_radius": 0}])
@pytest.mark.parametrize("spec", SOME, indirect=True)
def test_a_false_fact_is_noticed(engine: Engine, readable: ModelSpec, lie: dict[str, Any]) -> None:
    """A wrong scale or a radius that is too small does not pass."""
    with pytest.raises(ModelError) as caught:
        try_out(engine.open(replace(readable, **lie), device="cpu"), said=lambda _step: None)
    assert caught.value.code == "model_unusable"


def test_an_engine_that_failed_is_not_asked_again(engine: Engine, spec: ModelSpec) -> None:
    """What an import found out about an engine holds."""
    from types import SimpleNamespace

    from srwatchd.engine.select import choose

    settings = SimpleNamespace(name=engine.name, device="auto", precision="f32", threads=0)
    with pytest.raises(ModelError, match="did not run right on"):
        choose(settings, replace(spec, engines=("another",)))


def test_a_missing_file_is_named(engine: Engine, readable: ModelSpec) -> None:
    """A model whose file is gone is ``model_missing``."""
    with pytest.raises(ModelError) as caught:
        engine.open(replace(readable, path=Path(f"/nowhere/net{readable.path.suffix}")))
    assert caught.value.code == "model_missing"
