"""engine.graphdef and the onnx modules beside it: what is read from model files, and what is changed in them."""

from __future__ import annotations

import cv2
import networks
import numpy as np
import pytest
from networks import Shape

from srwatchd.config.models import find_models
from srwatchd.engine.graphdef import dequantized, read_graphdef
from srwatchd.engine.onnxfile import freed, is_onnx, only_output, read_onnx
from srwatchd.engine.onnxhalf import halved
from srwatchd.engine.onnxruntime import OnnxRuntimeEngine
from srwatchd.engine.onnxshuffle import without_depth_to_space
from srwatchd.engine.wire import WireError, encode, field


def frozen_output(data: bytes, blob: np.ndarray) -> np.ndarray:
    network = cv2.dnn.readNetFromTensorflow(np.frombuffer(data, np.uint8))
    network.setInput(blob)
    return network.forward().copy()


def test_a_frozen_graph_is_understood() -> None:
    """Its input, its output and the numbers that it has learnt."""
    graph = read_graphdef(networks.frozen())
    assert (graph.pictures, graph.leaves, graph.parameters) == (("IteratorGetNext",), ("NCHW_output",), 100)
    assert dequantized(graph) is None


def test_8_bit_weights_become_the_very_same_numbers() -> None:
    """The rewritten graph computes bit for bit what OpenCV computes from the original, at an odd size."""
    original = networks.quantised()
    graph = read_graphdef(original)
    changed = dequantized(graph)
    assert changed is not None
    kinds = {node.kind for node in read_graphdef(changed).nodes}
    assert "Dequantize" not in kinds
    assert not any("quantized" in node.name for node in read_graphdef(changed).nodes)
    blob = np.random.default_rng(1).uniform(-120, 150, (1, 3, 23, 31)).astype(np.float32)
    assert np.array_equal(frozen_output(original, blob), frozen_output(changed, blob))
    assert read_graphdef(changed).parameters <= graph.parameters


@pytest.mark.parametrize(("old", "new"), [(b"MIN_FIRST", b"SCALED___"), (b"MIN_FIRST", b"MIN_COMBO")])
def test_other_quantisations_are_refused(old: bytes, new: bytes) -> None:
    """Rather none than a wrong one."""
    graph = read_graphdef(networks.quantised().replace(old, new))
    with pytest.raises(WireError, match="quantised in a way that is not known"):
        dequantized(graph)


def test_cut_off_weights_are_noticed() -> None:
    """A constant that has fewer bytes than its shape says is damaged."""
    data = networks.quantised()
    with pytest.raises(WireError):
        dequantized(read_graphdef(data[: len(data) // 2]))


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\x0a\x00", networks.onnx()])
def test_no_graph(data: bytes) -> None:
    """Anything else is refused."""
    with pytest.raises(WireError):
        read_graphdef(data)


def test_an_onnx_file_is_understood() -> None:
    """Its ports, their sizes, the numbers that it has learnt; written again it is the same."""
    data = networks.onnx(Shape(size=(30, 40)))
    network = read_onnx(data)
    assert is_onnx(data)
    assert not is_onnx(networks.frozen())
    assert [port.sizes for port in (*network.inputs, *network.outputs)] == [(1, 3, 30, 40), (1, 3, 60, 80)]
    assert network.parameters == 902
    again = read_onnx(network.encoded())
    assert (again.operations, again.constants, again.graph) == (network.operations, network.constants, network.graph)


def test_weights_elsewhere_are_refused() -> None:
    """A model that names another file to be read is not followed."""
    tensor = encode([field(1, 4), field(2, 1), field(8, "w"), field(13, encode([field(1, "location")])), field(14, 1)])
    graph = encode([field(1, encode([field(4, "Relu")])), field(5, tensor), field(12, encode([field(1, "y")]))])
    with pytest.raises(WireError, match="in other files"):
        read_onnx(encode([field(1, 8), field(7, graph)]))


def run_onnx(data: bytes, blob: np.ndarray) -> np.ndarray:
    network = cv2.dnn.readNetFromONNX(np.frombuffer(data, np.uint8))
    network.setInput(blob)
    return network.forward().copy()


@pytest.mark.parametrize("torch", [False, True])
def test_one_size_becomes_any_size(torch: bool) -> None:
    """Nothing but the size changes."""
    shape = Shape(size=(24, 32), torch=torch, planes=1 if torch else 3, scale=3)
    free = freed(read_onnx(networks.onnx(shape)))
    assert free is not None
    again = read_onnx(free.encoded())
    assert again.inputs[0].sizes == (1, shape.planes, None, None)
    assert [each.kind for each in again.operations].count("DepthToSpace") == 1
    blob = np.random.default_rng(2).random((1, shape.planes, 17, 29), np.float32)
    wanted = run_onnx(networks.onnx(Shape(planes=shape.planes, scale=3)), blob)
    assert np.array_equal(run_onnx(free.encoded(), blob), wanted)


def test_a_free_network_stays_as_it_is() -> None:
    """Its bytes are not touched."""
    assert freed(read_onnx(networks.onnx())) is None


@pytest.mark.parametrize("order", ["CRD", "DCR"])
@pytest.mark.parametrize(("planes", "scale"), [(1, 2), (3, 3), (3, 8)])
def test_the_shuffle_as_a_convolution(order: str, planes: int, scale: int) -> None:
    """The same numbers as by the definition, and also after ``dnn_superres`` was used in the process."""
    kernel = networks.weights(scale, planes, order=order)
    data = without_depth_to_space(networks.onnx(Shape(planes=planes, scale=scale, order=order, limits=None)))
    assert "DepthToSpace" not in {each.kind for each in read_onnx(data).operations}
    cv2.dnn_superres.DnnSuperResImpl_create()
    blob = np.random.default_rng(3).random((1, planes, 9, 13), np.float32)
    seen = run_onnx(data, blob)
    features = convolved(blob[0], kernel).reshape(
        (planes, scale, scale, 9, 13) if order == "CRD" else (scale, scale, planes, 9, 13)
    )
    wanted = features.transpose((0, 3, 1, 4, 2) if order == "CRD" else (2, 3, 0, 4, 1))
    assert np.allclose(seen[0], wanted.reshape(planes, 9 * scale, 13 * scale), atol=1e-5)


def convolved(picture: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """By the definition, zeros outside."""
    padded = np.pad(picture, ((0, 0), (2, 2), (2, 2)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5), axis=(1, 2))
    return np.einsum("chwij,ocij->ohw", windows, kernel)


def test_a_shuffle_of_unknown_planes_is_refused() -> None:
    """Rather no OpenCV than a wrong picture."""
    network = read_onnx(networks.onnx())
    data = network.encoded().replace(b"\x0a\x01c\x12\x01d", b"\x0a\x01z\x12\x01d")
    with pytest.raises(WireError, match="are not known"):
        without_depth_to_space(data)


def test_one_output_is_kept_and_what_leads_to_it() -> None:
    """Of the levels of a pyramid; another name is no output."""
    spec = find_models(None)["lapsrn_x4"]
    assert spec.onnx is not None
    network = read_onnx(spec.onnx.read_bytes())
    first = only_output(network, "NCHW_output_2x")
    assert [port.name for port in first.outputs] == ["NCHW_output_2x"]
    assert len(read_onnx(first.encoded()).operations) < len(network.operations) / 2 + 2
    with pytest.raises(WireError, match="no output 'elsewhere'"):
        only_output(network, "elsewhere")


@pytest.mark.parametrize("name", ["fsrcnn_x2", "espcn_x2", "edsr_x2", "lapsrn_x2"])
def test_a_network_in_f16_is_the_same_network(name: str) -> None:
    """Its ports stay f32; on a processor, which computes it in f32, only the rounded weights are seen."""
    if (reason := OnnxRuntimeEngine().available()) is not None:
        pytest.skip(reason)
    import onnxruntime

    spec = find_models(None)[name]
    assert spec.onnx is not None
    network = only_output(read_onnx(spec.onnx.read_bytes()), spec.output_node)
    half = halved(network)
    assert half is not None
    low, high = spec.input_range
    blob = np.random.default_rng(1).uniform(low, high, (1, 24, 20, spec.channels)).astype(np.float32)
    whole, rounded = (
        onnxruntime.InferenceSession(each.encoded(), providers=["CPUExecutionProvider"]).run(None, {"input": blob})[0]
        for each in (network, half)
    )
    assert rounded.dtype == np.float32
    assert not np.array_equal(whole, rounded)
    assert np.abs(whole - rounded).mean() <= 0.002 * (high - low)


def test_a_network_that_counts_stays_in_f32() -> None:
    """One with operations whose types are not known to be free is left alone, weights beyond f16 are refused."""
    torch = read_onnx(networks.onnx(Shape(planes=1, scale=3, size=(24, 40), torch=True)))
    assert halved(torch) is None
    huge = read_onnx(networks.onnx(Shape(limits=(0.0, 1e6))))
    with pytest.raises(WireError, match="cannot hold"):
        halved(huge)
