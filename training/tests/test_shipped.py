"""The files in ``models/`` are what the manifest says; no torch needed."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from tensorboardX.proto.graph_pb2 import GraphDef

from srtrain.graphdef import FLOAT
from srtrain.manifest import MODEL_FOLDER, checksum, put_entry, read_manifest

MODELS = yaml.safe_load((MODEL_FOLDER / "manifest.yaml").read_text(encoding="utf-8"))["models"]
SUPERRES = cv2.dnn_superres.DnnSuperResImpl_create()
"""Older OpenCV 4 knows DepthToSpace only after this has registered it."""
shipped = pytest.mark.parametrize("entry", MODELS, ids=lambda entry: entry["name"])


def _sizes(path: Path):
    """Return the shapes of all constants, and the multiplications per input pixel."""
    graph = GraphDef.FromString(path.read_bytes())
    shapes, enlarged, macs = {}, {}, 0
    for node in graph.node:
        if node.op == "Const" and node.attr["dtype"].type == FLOAT:
            shape = node.attr["value"].tensor.tensor_shape
            shapes[node.name] = [dim.size for dim in shape.dim]
            continue
        enlarged[node.name] = max((enlarged.get(name, 1) for name in node.input), default=1)
        if node.op == "Conv2D":
            macs += int(np.prod(shapes[node.input[1]])) * enlarged[node.name] ** 2
        elif node.op == "DepthToSpace":
            enlarged[node.name] *= node.attr["block_size"].i
    return shapes, macs


@shipped
def test_checksums(entry):
    """Both files have the recorded checksums."""
    assert checksum(MODEL_FOLDER / entry["file"]) == entry["sha256"]
    assert checksum(MODEL_FOLDER / entry["onnx"]) == entry["onnx_sha256"]


@shipped
def test_size_of_the_graph(entry):
    """Parameters and multiplications are those of the file itself."""
    shapes, macs = _sizes(MODEL_FOLDER / entry["file"])
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == entry["parameters"]
    assert macs == entry["macs_per_input_pixel"]


@shipped
def test_nothing_outside_the_receptive_radius_matters(entry):
    """Changing pixels farther away than the radius leaves the centre exactly as it was."""
    radius, scale = entry["receptive_radius"], entry["scale"]
    channels = 1 if entry["input_colour"] == "y" else 3
    side = 2 * radius + 5
    random = np.random.default_rng(2)
    low, high = entry["input_range"]
    picture = random.uniform(low, high, (1, channels, side, side)).astype(np.float32)
    changed = random.uniform(low, high, picture.shape).astype(np.float32)
    changed[:, :, 2:-2, 2:-2] = picture[:, :, 2:-2, 2:-2]
    net = cv2.dnn.readNetFromTensorflow(str(MODEL_FOLDER / entry["file"]))
    outputs = []
    for values in (picture, changed):
        net.setInput(values)
        names = list(net.getUnconnectedOutLayersNames())  # OpenCV 5 wants to be asked for all
        outputs.append(net.forward(names)[names.index(entry["output_node"])].copy())
    centre = slice((radius + 2) * scale, (radius + 3) * scale)
    before, after = (output[:, :, centre, centre] for output in outputs)
    np.testing.assert_allclose(before, after, atol=1e-4 * (high - low))
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-3 * (high - low)


@shipped
def test_it_beats_plain_interpolation_on_an_edge(entry):
    """A blurred diagonal edge comes out closer to the original than by bicubic resizing."""
    scale = entry["scale"]
    side = 36 * scale
    rows, columns = np.mgrid[0:side, 0:side]
    edge = np.where(rows + 2 * columns > 1.5 * side, 200, 40).astype(np.uint8)
    high = cv2.cvtColor(cv2.GaussianBlur(edge, (0, 0), 0.6), cv2.COLOR_GRAY2BGR)
    low = cv2.resize(high, None, fx=1 / scale, fy=1 / scale, interpolation=cv2.INTER_AREA)
    network = cv2.dnn_superres.DnnSuperResImpl_create()
    network.readModel(str(MODEL_FOLDER / entry["file"]))
    network.setModel(entry["architecture"], scale)
    plain = cv2.resize(low, (side, side), interpolation=cv2.INTER_CUBIC)

    def error(result):
        inner = slice(8 * scale, -8 * scale)
        return float(((result.astype(float) - high) ** 2)[inner, inner].mean())

    assert error(network.upsample(low)) < error(plain)


def test_a_new_export_keeps_what_was_measured_of_that_size(tmp_path):
    """The memory of a tile's pixel depends on the layers, not on their weights."""
    shutil.copy(MODEL_FOLDER / "manifest.yaml", tmp_path)
    measured = next(entry for entry in MODELS if "memory_per_pixel" in entry)
    anew = {key: value for key, value in measured.items() if key != "memory_per_pixel"}
    put_entry(tmp_path, anew)
    assert read_manifest(tmp_path)["models"] == MODELS
    put_entry(tmp_path, {**anew, "size": "another"})
    other = next(e for e in read_manifest(tmp_path)["models"] if e["name"] == measured["name"])
    assert "memory_per_pixel" not in other
