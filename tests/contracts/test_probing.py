"""engine.probing: what is found out about a network that comes without a word, on every engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import networks
import pytest
from networks import Shape

from srwatchd.config import find_models
from srwatchd.config.models import ModelSpec
from srwatchd.config.publicmodels import FAMILIES
from srwatchd.engine.onnxfile import read_onnx
from srwatchd.engine.probing import Declared, Evidence, probe
from srwatchd.engine.select import engines
from srwatchd.errors import RefusedError

if TYPE_CHECKING:
    from pathlib import Path

    from srwatchd.engine.base import Engine

ENGINES = {engine.name: engine for engine in engines()}


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    one = ENGINES[request.param]
    if (reason := one.available()) is not None:
        pytest.skip(reason)
    return one


def probed(engine: Engine, path: Path, **declared: Any) -> tuple[ModelSpec, tuple[Evidence, ...]]:
    network = read_onnx(path.read_bytes())
    base = ModelSpec(
        name="net",
        architecture="onnx",
        scale=2,
        path=path,
        sha256="",
        input_colour="y",
        input_range=(0.0, 1.0),
        mean=(),
        output_node=network.outputs[0].name,
        receptive_radius=0,
        parameters=0,
        macs_per_input_pixel=0,
    )

    def opened(spec: ModelSpec) -> Any:
        return engine.open(spec, device="cpu")

    sizes = network.inputs[0].sizes
    return probe(opened, base, sizes, declared=Declared(**declared), said=lambda _step: None)


@pytest.mark.parametrize(
    ("shape", "facts"),
    [
        (Shape(), ("rgb", (0.0, 1.0), 2, 2, "nchw", "nchw")),
        (Shape(scale=3, limits=(3.0, 255.0)), ("rgb", (0.0, 255.0), 3, 2, "nchw", "nchw")),
        (Shape(limits=(-1.0, 1.0), layouts="nhwc nhwc"), ("rgb", (0.0, 1.0), 2, 2, "nhwc", "nhwc")),
        (Shape(planes=1, scale=4, layouts="nhwc nchw"), ("y", (0.0, 1.0), 4, 2, "nhwc", "nchw")),
        (Shape(planes=1, scale=8), ("y", (0.0, 1.0), 8, 2, "nchw", "nchw")),
    ],
    ids=str,
)
def test_facts_are_found(engine: Engine, tmp_path: Path, shape: Shape, facts: tuple[Any, ...]) -> None:
    """Colour, range, scale, radius and layouts, each with the evidence."""
    path = tmp_path / "net.onnx"
    path.write_bytes(networks.onnx(shape))
    spec, evidence = probed(engine, path)
    found = (spec.input_colour, spec.input_range, spec.scale, spec.receptive_radius)
    assert (*found, spec.input_layout, spec.output_layout) == facts
    assert {each.fact for each in evidence} >= {"scale", "input_colour", "input_range", "receptive_radius"}
    assert all(each.how == "found" for each in evidence)


@pytest.mark.parametrize("name", sorted(name for name, spec in find_models(None).items() if spec.onnx is not None))
def test_our_own_networks_are_understood(engine: Engine, name: str) -> None:
    """The facts of the shipped ONNX files are those of the manifest, as far as they matter."""
    shipped = find_models(None)[name]
    assert shipped.onnx is not None
    if shipped.macs_per_input_pixel > 400_000:
        pytest.skip("the small ones are enough")
    spec, _ = probed(engine, shipped.onnx)
    wanted = (shipped.scale, shipped.input_colour, shipped.input_range, shipped.input_layout, shipped.output_layout)
    assert (spec.scale, spec.input_colour, spec.input_range, spec.input_layout, spec.output_layout) == wanted
    assert spec.mean == pytest.approx(shipped.mean, abs=0.01)
    assert shipped.receptive_radius / 3 <= spec.receptive_radius <= shipped.receptive_radius


def test_what_is_declared_is_not_searched_for(engine: Engine, tmp_path: Path) -> None:
    """And is called declared."""
    path = tmp_path / "net.onnx"
    path.write_bytes(networks.onnx(Shape(limits=None)))
    mean = FAMILIES["edsr"].mean
    spec, evidence = probed(engine, path, scale=2, colour="bgr", input_range=(0.0, 255.0), mean=mean, radius=9)
    assert (spec.input_colour, spec.input_range, spec.mean, spec.receptive_radius) == ("bgr", (0.0, 255.0), mean, 9)
    assert {each.how for each in evidence} == {"declared"}


@pytest.mark.parametrize(
    ("shape", "declared", "why"),
    [
        (Shape(), {"scale": 4}, "enlarges 2 times, and --scale says 4"),
        (Shape(), {"colour": "y"}, "no network that takes a picture"),
        (Shape(scale=1), {}, "no network that takes a picture"),
        (Shape(planes=2), {}, "no network that takes a picture"),
        (Shape(limits=(0.0, 0.2)), {}, "no good picture however it is fed"),
    ],
    ids=str,
)
def test_what_is_no_such_network_is_refused(
    engine: Engine, tmp_path: Path, shape: Shape, declared: dict[str, Any], why: str
) -> None:
    """With the reason."""
    path = tmp_path / "net.onnx"
    path.write_bytes(networks.onnx(shape))
    with pytest.raises(RefusedError, match=why):
        probed(engine, path, **declared)


def test_a_network_that_looks_everywhere_is_refused(engine: Engine, tmp_path: Path) -> None:
    """Its radius cannot be told, and tiles of it would never fit together."""
    path = tmp_path / "net.onnx"
    path.write_bytes(networks.global_mean(networks.onnx(Shape(planes=1))))
    with pytest.raises(RefusedError, match="depends on more than 96 pixels"):
        probed(engine, path)
