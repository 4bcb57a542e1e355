"""What is written is what every reader computes, at any size; no torch needed."""

import cv2
import numpy as np
import pytest
from plans import PLANS, luma_plan
from tensorboardX.proto.graph_pb2 import GraphDef

from srtrain.graphdef import OUTPUT_NODE, graphdef_bytes
from srtrain.onnxfile import onnx_bytes
from srtrain.reference import run_plan

SIZES = [(1, 1), (5, 2), (13, 17)]
SUPERRES = cv2.dnn_superres.DnnSuperResImpl_create()
"""Older OpenCV 4 knows DepthToSpace only after this has registered it."""
everywhere = pytest.mark.parametrize("name", PLANS)


def _plain(names):
    return {name.removesuffix(":0") for name in names}


def _input(plan, size):
    random = np.random.default_rng(3)
    return random.random((plan.channels, *size), np.float32)


@everywhere
@pytest.mark.parametrize("size", SIZES)
def test_opencv_reads_the_graph(name, size, tmp_path):
    """Plain ``cv2.dnn`` gives the plan's numbers at the scaled size."""
    plan = PLANS[name]
    path = tmp_path / "net.pb"
    path.write_bytes(graphdef_bytes(plan))
    net = cv2.dnn.readNetFromTensorflow(str(path))
    picture = _input(plan, size)
    net.setInput(picture[None])
    names = list(net.getUnconnectedOutLayersNames())  # OpenCV 5 wants to be asked for all
    result = net.forward(names)[names.index(OUTPUT_NODE)]
    assert result.shape == (1, plan.channels, size[0] * plan.scale, size[1] * plan.scale)
    np.testing.assert_allclose(result[0], run_plan(plan, picture), atol=1e-5)


@everywhere
@pytest.mark.parametrize("suffix", [".pb", ".onnx"])
def test_openvino_reads_both_twins(name, suffix, tmp_path):
    """OpenVINO gives the plan's numbers from the GraphDef and from ONNX."""
    openvino = pytest.importorskip("openvino")
    plan = PLANS[name]
    path = tmp_path / f"net{suffix}"
    path.write_bytes(graphdef_bytes(plan) if suffix == ".pb" else onnx_bytes(plan))
    model = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for size in SIZES:
        picture = _input(plan, size)
        results = model(picture.transpose(1, 2, 0)[None].copy())
        result = next(results[each] for each in results if OUTPUT_NODE in _plain(each.names))
        np.testing.assert_allclose(result[0], run_plan(plan, picture), atol=1e-5)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_superres_reads_the_graph(scale, tmp_path):
    """``dnn_superres`` loads the file under its algorithm name and keeps the scale exact."""
    path = tmp_path / "net.pb"
    path.write_bytes(graphdef_bytes(luma_plan(scale)))
    network = cv2.dnn_superres.DnnSuperResImpl_create()
    network.readModel(str(path))
    network.setModel("fsrcnn", scale)
    assert network.upsample(np.zeros((7, 9, 3), np.uint8)).shape == (7 * scale, 9 * scale, 3)


@everywhere
def test_the_output_comes_last_and_nothing_is_transposed_convolution(name):
    """The graph keeps to what all readers run fast."""
    graph = GraphDef.FromString(graphdef_bytes(PLANS[name]))
    assert graph.node[-1].name == OUTPUT_NODE
    allowed = {"Placeholder", "Const", "Conv2D", "BiasAdd", "Relu", "Neg", "Mul", "Add", "Tanh"}
    shaping = {"DepthToSpace", "Transpose"}
    assert {node.op for node in graph.node} <= allowed | shaping
    known = set()
    for node in graph.node:
        assert set(node.input) <= known
        known.add(node.name)


@everywhere
def test_writing_is_reproducible(name):
    """The same weights give the same bytes."""
    assert graphdef_bytes(PLANS[name]) == graphdef_bytes(PLANS[name])
    assert onnx_bytes(PLANS[name]) == onnx_bytes(PLANS[name])


def test_facts_of_a_plan():
    """Radius, multiplications and parameters are read off the kernels."""
    plan = luma_plan(3, tail=5)
    assert plan.receptive_radius() == 4
    assert plan.macs_per_input_pixel() == 25 * 6 + 6 * 4 + 25 * 4 * 9
    assert plan.parameters() == plan.macs_per_input_pixel() + 6 + 6 + 4 + 9


def test_facts_of_a_pyramid():
    """A level at twice the size reaches half as far and multiplies four times as often."""
    plan = PLANS["pyramid_x4"]
    assert plan.receptive_radius() == 3
    level = 9 * 5 + 9 * 5 * 4 + 25 * 4
    assert plan.macs_per_input_pixel() == level + 4 * level


def test_every_stage_of_a_pyramid_is_an_output(tmp_path):
    """The smaller pictures can be had too; ``dnn_superres`` gives the largest."""
    plan = PLANS["pyramid_x4"]
    path = tmp_path / "net.pb"
    path.write_bytes(graphdef_bytes(plan))
    net = cv2.dnn.readNetFromTensorflow(str(path))
    net.setInput(_input(plan, (6, 5))[None])
    names = list(net.getUnconnectedOutLayersNames())
    sizes = {name: out.shape[2:] for name, out in zip(names, net.forward(names), strict=True)}
    stages = {f"{OUTPUT_NODE}_2x": (12, 10), f"{OUTPUT_NODE}_4x": (24, 20)}
    assert sizes == stages | {OUTPUT_NODE: (24, 20)}
    network = cv2.dnn_superres.DnnSuperResImpl_create()
    network.readModel(str(path))
    network.setModel("lapsrn", 4)
    assert network.upsample(np.zeros((7, 9, 3), np.uint8)).shape == (28, 36, 3)
