"""benchmarks.precision: its rounding is bf16's, and its table says what it should."""

from __future__ import annotations

import cv2
import numpy as np
import openvino

from benchmarks.precision import main, rounded
from srwatchd.engine.quality import leaves


def test_the_rounding_is_that_of_bf16():
    """To the nearest of 8 significant bits, as adding half a unit to the bits of a float does."""
    numbers = np.random.default_rng(1).normal(size=4096).astype(np.float32) * 300
    value = openvino.opset13.parameter([numbers.size], openvino.Type.f32)
    model = openvino.Model([rounded(value.output(0))], [value], "rounded")
    found = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(numbers)[0]
    bits = numbers.view(np.uint32)
    nearest = ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).view(np.float32)
    np.testing.assert_array_equal(found, nearest)
    assert (found != numbers).mean() > 0.99


def test_a_row_for_a_model(tmp_path, capsys):
    """The quality of f32, and how far both ways are from it: not at all would be no rounding."""
    cv2.imwrite(str(tmp_path / "leaves.png"), leaves(96))
    assert main(["fsrcnn_x2", "--pictures", str(tmp_path)]) == 0
    *_, row = capsys.readouterr().out.splitlines()
    name, exact, whole, levels, inner, fewer = (cell.strip() for cell in row.strip("|").split("|")[:6])
    assert (name, float(exact) > 20) == ("`fsrcnn_x2`", True)
    assert abs(float(whole)) < 0.5
    assert abs(float(inner)) < 0.5
    assert 0 < float(fewer) < float(levels) < 1
