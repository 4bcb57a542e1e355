"""What every engine promises, for every model at hand: the shipped ones, and the public ones beside the checkout."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from srwatchd.config.models import ModelSpec, find_models
from srwatchd.engine.memory import private, trim
from srwatchd.engine.picture import upscale_raster
from srwatchd.engine.select import choose, engines
from srwatchd.engine.smoke import TOLERANCE, known_picture, smoke_test
from srwatchd.errors import ModelError, TransientError

if TYPE_CHECKING:
    from srwatchd.engine.base import Engine, Network

MIB = 1 << 20
PUBLIC = Path(__file__).resolve().parents[3] / "shared" / "models" / "upstream"
PUBLIC_FILES = {
    "FSRCNN_x3": ("fsrcnn", 6),
    "FSRCNN-small_x3": ("fsrcnn", 4),
    "ESPCN_x2": ("espcn", 4),
    "ESPCN_x4": ("espcn", 4),
    "LapSRN_x2": ("lapsrn", 12),
    "LapSRN_x4": ("lapsrn", 12),
}
ENGINES = {engine.name: engine for engine in engines()}
SHIPPED = find_models(None)


def public(stem: str) -> ModelSpec:
    architecture, radius = PUBLIC_FILES[stem]
    return ModelSpec(
        name=f"public-{stem.lower()}",
        architecture=architecture,
        scale=int(stem[-1]),
        path=PUBLIC / f"{stem}.pb",
        sha256="",
        input_colour="y",
        input_range=(0.0, 1.0),
        mean=(),
        output_node="NCHW_output",
        receptive_radius=radius,
        parameters=0,
        macs_per_input_pixel=12_000,
    )


MODELS = SHIPPED | {f"public-{stem}": public(stem) for stem in PUBLIC_FILES}
SMALL = ("espcn", "fsrcnn")
"""Whose pictures of 8 bit OpenCV computes in a class of its own."""
LIGHTEST = {one.architecture: one.name for one in sorted(SHIPPED.values(), key=lambda one: -one.macs_per_input_pixel)}
SOME = [
    pytest.param(name, marks=() if one.architecture in SMALL or name in LIGHTEST.values() else pytest.mark.soak)
    for name, one in MODELS.items()
]
"""Of the large architectures one network stands for all where a test looks at what goes on around the network."""


@pytest.fixture(params=ENGINES, scope="module")
def engine(request: pytest.FixtureRequest) -> Engine:
    one = ENGINES[request.param]
    if (reason := one.available()) is not None:
        pytest.skip(reason)
    return one


@pytest.fixture(params=MODELS, scope="module")
def spec(request: pytest.FixtureRequest) -> ModelSpec:
    one = MODELS[request.param]
    if not one.path.is_file():
        pytest.skip(f"{one.path} is not here")
    return one


@pytest.fixture(scope="module")
def network(engine: Engine, spec: ModelSpec) -> Network:
    if not engine.reads(spec):
        pytest.skip(f"{engine.name} does not read {spec.path.suffix}, and there is no twin")
    return engine.open(spec, device="cpu")


def picture(height: int, width: int, channels: int, dtype: Any = np.uint8) -> np.ndarray:
    """Smooth colours with the smoke test's edges, as large as asked for."""
    base = np.tile(known_picture(), (height // 32 + 1, width // 32 + 1, 1))[:height, :width, :channels]
    return np.ascontiguousarray(base.astype(dtype) * (257 if dtype == np.uint16 else 1))


def whole(network: Network, source: np.ndarray, *, tile: int = 512) -> np.ndarray:
    scale = network.spec.scale
    target = np.zeros((source.shape[0] * scale, source.shape[1] * scale, source.shape[2]), source.dtype)
    upscale_raster(network, source, target, tile=tile, on_tile=lambda _done, _total: None)
    return target


def levels(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.abs(one.astype(np.int64) - other.astype(np.int64))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (1, 23), (31, 20)])
def test_shape_and_type(network: Network, size: tuple[int, int], channels: int, dtype: Any) -> None:
    """The result has the scale's size and the input's channels and dtype; the input is left alone; odd sizes work."""
    tile = picture(*size, channels, dtype)
    before = tile.copy()
    result = network.upscale(tile)
    scale = network.spec.scale
    assert result.shape == (size[0] * scale, size[1] * scale, channels)
    assert result.dtype == dtype
    assert np.array_equal(tile, before)
    assert np.array_equal(result, network.upscale(tile)), "not deterministic"


@pytest.mark.parametrize("wrong", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3))])
def test_only_tiles_are_taken(network: Network, wrong: np.ndarray) -> None:
    """Anything but H x W x 1 or 3 of 8 or 16 bit is an error of the caller."""
    with pytest.raises(ValueError, match="a tile is"):
        network.upscale(wrong)


def test_smoke(network: Network) -> None:
    """A good model passes the smoke test with the promised tolerance, and its speed is known."""
    seen = smoke_test(network)
    assert 0 <= seen.difference <= TOLERANCE
    assert seen.seconds_per_megapixel > 0


def seam(network: Network, channels: int, dtype: Any) -> int:
    """By how many levels cutting a picture into tiles changes it."""
    source = picture(60, 100, channels, dtype)
    halo = network.spec.receptive_radius
    return int(levels(whole(network, source), whole(network, source, tile=2 * halo + 48)).max())


def test_tiled_is_untiled(network: Network) -> None:
    """Cutting a picture into tiles changes it by rounding at most, seen at 16 bit: a sixteenth of a level of 8 bit."""
    assert seam(network, 3, np.uint16) <= 16


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("spec", SOME, indirect=True)
def test_tiled_is_untiled_at_eight_bit(network: Network, channels: int) -> None:
    """The same, grey and in colour, with what each depth has of its own."""
    assert seam(network, channels, np.uint8) <= 1


def test_sixteen_bits_are_used(network: Network) -> None:
    """A 16 bit ramp comes out with at least twelve effective bits: its noise is that of a rounding to 12 bits or less.

    The samples of one phase of the upscaled ramp lie on a smooth curve; the second difference is their noise.
    """
    scale = network.spec.scale
    ramp = np.linspace(20000, 28000, 100).round().astype(np.uint16)
    source = np.repeat(ramp[np.newaxis, :, np.newaxis], 8, axis=0)
    phase = whole(network, source)[4 * scale, 25 * scale : -25 * scale : scale, 0].astype(np.float64)
    assert phase[-1] - phase[0] > 3000
    noise = np.diff(phase, 2).std() / np.sqrt(6)
    assert noise <= 16 / np.sqrt(12)


def test_grey_stays_near_grey(network: Network) -> None:
    """A grey picture upscaled as one plane is what its colour form gives."""
    grey = picture(40, 40, 1)
    colour = whole(network, np.repeat(grey, 3, axis=2))
    assert levels(whole(network, grey), colour.mean(axis=2, keepdims=True).round()).mean() <= 1.0


def test_eight_and_sixteen_bit_agree(network: Network) -> None:
    """The two depths differ by rounding only, which a pyramid of networks makes a little larger."""
    source = picture(48, 56, 3)
    deep = whole(network, source.astype(np.uint16) * 257)
    difference = levels(whole(network, source), (deep / 257).round())
    assert difference.mean() <= 0.5
    assert difference.max() <= 4


def test_engines_agree(spec: ModelSpec) -> None:
    """At 8 bit every engine is within one level on average, four at most, of the reference."""
    source = picture(64, 72, 3)
    ready = [one for one in ENGINES.values() if one.available() is None and one.reads(spec)]
    results = [whole(one.open(spec, device="cpu"), source) for one in ready]
    for other in results[1:]:
        difference = levels(results[0], other)
        assert difference.mean() <= 1.0
        assert difference.max() <= 4


def test_transparency_has_no_fringes(network: Network) -> None:
    """A disc of one colour on hidden white keeps its colour up to its soft edge, however it is cut."""
    if "public-" in network.spec.name or network.spec.scale > 2:
        pytest.skip("the shipped models at the smallest scale are enough")
    y, x = np.mgrid[:56, :56]
    alpha = np.clip(18.5 - np.hypot(y - 28, x - 28), 0, 1) * 255
    source = np.full((56, 56, 4), 255, np.uint8)
    source[alpha > 0, :3] = (200, 100, 50)
    source[:, :, 3] = alpha.round()
    result = whole(network, source)
    visible = result[:, :, 3] > 8
    # A network may be off by a few levels on a plain colour; an edge would be off by far more.
    assert levels(result[visible][:, :3], np.array([200, 100, 50])).max() <= 12
    assert (result[0, :, 3] == 0).all()
    assert result[28 * network.spec.scale, 28 * network.spec.scale, 3] == 255
    assert levels(result, whole(network, source, tile=1)).max() <= 1


def any_spec(engine: Engine) -> ModelSpec:
    """The cheapest model at hand that ``engine`` reads."""
    for one in sorted(MODELS.values(), key=lambda model: model.macs_per_input_pixel):
        if one.path.is_file() and engine.reads(one):
            return one
    pytest.skip("no model is here")


def elsewhere(spec: ModelSpec, stem: Path) -> ModelSpec:
    """The model with its file, and its twin if it has one, in another place."""
    twin = None if spec.onnx is None else stem.with_suffix(".onnx")
    return replace(spec, path=stem.with_suffix(spec.path.suffix), onnx=twin)


def test_what_tiles_took_is_given_back(engine: Engine) -> None:
    """After release a network is about as small as it was before its first tile, and gives the same as before."""
    network = engine.open(SHIPPED["lapsrn_x2"], device="cpu", precision="f32")
    network.release()
    bare = private()
    tile = picture(320, 320, 3)
    result = network.upscale(tile)
    network.release()
    trim()
    assert private() - bare < result.nbytes + 8 * MIB < 320 * 320 * network.bytes_per_input_pixel / 2
    assert np.array_equal(network.upscale(tile), result)


@pytest.mark.parametrize("device", ["gpu", "npu", "cuda"])
def test_a_missing_device_is_named(engine: Engine, device: str) -> None:
    """A device that is not there is an error that says what is there and what to do, not a silent fallback."""
    assert engine.devices()[0] == "cpu"
    if device in engine.devices():
        pytest.skip(f"there is a {device} here")
    assert engine.lacks(device)
    with pytest.raises(ModelError, match=f"'{device}' here .* there is: cpu") as caught:
        engine.open(any_spec(engine), device=device)
    assert caught.value.code == "engine_unavailable"
    assert "docs/engines.md" in caught.value.hint


def test_auto_device_falls_back_to_the_processor(engine: Engine) -> None:
    """Without an accelerator ``auto`` is the processor."""
    if engine.devices() != ("cpu",):
        pytest.skip("there is an accelerator here")
    assert engine.open(any_spec(engine), device="auto", threads=1).device == "cpu"


def test_a_missing_file_is_named(engine: Engine) -> None:
    """A model whose file is gone is ``model_missing``."""
    with pytest.raises(ModelError) as caught:
        engine.open(elsewhere(any_spec(engine), Path("/nowhere/at/all")))
    assert caught.value.code == "model_missing"


def test_a_file_of_rubbish_is_unusable(engine: Engine, tmp_path: Path) -> None:
    """A file that is no network is ``model_unusable``, whatever the library throws."""
    spec = elsewhere(any_spec(engine), tmp_path / "rubbish")
    for path in filter(None, (spec.path, spec.onnx)):
        path.write_bytes(b"\x0a\xff rubbish" * 50)
    with pytest.raises(ModelError) as caught:
        smoke_test(engine.open(spec))
    assert caught.value.code == "model_unusable"


@pytest.mark.parametrize(
    "lie",
    [
        {"scale": 5},
        {"output_node": "nowhere"},
        {"input_colour": "bgr", "input_range": (0.0, 255.0), "mean": (1.0, 2.0, 3.0), "architecture": "edsr"},
    ],
)
def test_a_false_manifest_is_noticed(engine: Engine, lie: dict[str, Any]) -> None:
    """A model that is not what its manifest says does not pass, though ``dnn_superres`` would believe it."""
    known = (one for one in MODELS.values() if one.input_colour == "y" and one.path.is_file() and engine.reads(one))
    luma = next(known, None)
    if luma is None:
        pytest.skip("no luma model is here")
    with pytest.raises(ModelError) as caught:
        smoke_test(engine.open(replace(luma, **lie)))
    assert caught.value.code == "model_unusable"


def test_another_luma_architecture_is_harmless(engine: Engine) -> None:
    """FSRCNN declared as LapSRN gives the same picture: all luma models are fed and read alike."""
    known = (
        one for one in MODELS.values() if one.architecture == "fsrcnn" and one.path.is_file() and engine.reads(one)
    )
    luma = next(known, None)
    if luma is None:
        pytest.skip("no FSRCNN is here")
    source = picture(40, 40, 3)
    told = engine.open(replace(luma, architecture="lapsrn"))
    assert np.array_equal(whole(told, source), whole(engine.open(luma), source))


def test_less_precision_is_a_permission(engine: Engine) -> None:
    """bf16 gives a result within a few levels, and the network says what it really uses."""
    one = any_spec(engine)
    network = engine.open(one, device="cpu", precision="bf16")
    assert network.precision in ("f32", "bf16")
    difference = levels(whole(network, picture(48, 48, 3)), whole(engine.open(one, device="cpu"), picture(48, 48, 3)))
    assert difference.mean() <= 2.0
    assert smoke_test(network).difference <= TOLERANCE


def test_auto_takes_one_that_works() -> None:
    """On this machine ``auto`` finds an engine, and says why it is this one."""
    settings = SimpleNamespace(name="auto", device="auto", precision="f32", threads=0)
    network, choice = choose(settings, any_spec(ENGINES["opencv"]))
    assert choice.engine == network.engine
    assert choice.reason.startswith(f"{choice.engine} cpu in f32 is the fastest that works")
    assert set(choice.timings) >= {f"{choice.engine} cpu"}


def test_no_memory_is_transient(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """When an allocation fails the picture is tried again, with smaller tiles, by the same or another worker."""
    network = engine.open(any_spec(engine), device="cpu")

    def no_memory(*_: object, **__: object) -> np.ndarray:
        raise MemoryError

    monkeypatch.setattr(f"srwatchd.engine.{engine.name}.prepare", no_memory)
    with pytest.raises(TransientError) as caught:
        network.upscale(picture(8, 8, 3, np.uint16))
    assert caught.value.code == "out_of_memory"
    monkeypatch.undo()
    assert network.upscale(picture(8, 8, 3, np.uint16)).any()
