"""Write a plan as ONNX: input NHWC and output NCHW, as in the GraphDef twin."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from srtrain import plan as p
from srtrain.graphdef import OUTPUT_NODE

OPSET = 13
FUNCTIONS = {"relu": "Relu", "tanh": "Tanh"}


def onnx_bytes(plan: p.Plan) -> bytes:
    """Return a checked, serialised ONNX model with free batch, height and width."""
    nodes = [helper.make_node("Transpose", [p.INPUT], ["input_nchw"], perm=[0, 3, 1, 2])]
    constants = []
    names = {p.INPUT: "input_nchw"}

    def constant(name: str, values: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(np.ascontiguousarray(values, np.float32), name))
        return name

    for operation in plan.operations:
        last = operation.name == plan.output
        name = names[operation.name] = OUTPUT_NODE if last else operation.name
        sources = [names[each] for each in p.inputs_of(operation)]
        source = sources[0]
        match operation:
            case p.Conv():
                pad = operation.weight.shape[2] // 2
                weight = constant(f"{name}.weight", operation.weight)
                bias = constant(f"{name}.bias", operation.bias)
                nodes.append(
                    helper.make_node("Conv", [source, weight, bias], [name], pads=[pad] * 4)
                )
            case p.PRelu():
                slope = constant(f"{name}.slope", operation.slope.reshape(-1, 1, 1))
                nodes.append(helper.make_node("PRelu", [source, slope], [name]))
            case p.DepthToSpace():
                nodes.append(
                    helper.make_node(
                        "DepthToSpace", [source], [name], blocksize=operation.block, mode="DCR"
                    )
                )
            case p.Pointwise():
                nodes.append(helper.make_node(FUNCTIONS[operation.function], [source], [name]))
            case p.Add():
                nodes.append(helper.make_node("Add", sources, [name]))
    channels = plan.channels
    free: list[str | int | None] = ["n", channels, "H", "W"]
    outputs = [helper.make_tensor_value_info(OUTPUT_NODE, TensorProto.FLOAT, free)]
    for scale, stage in plan.stages.items():
        name = f"{OUTPUT_NODE}_{scale}x"
        nodes.append(helper.make_node("Identity", [names[stage]], [name]))
        free = ["n", channels, f"H{scale}", f"W{scale}"]
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, free))
    graph = helper.make_graph(
        nodes,
        "super_resolution",
        [helper.make_tensor_value_info(p.INPUT, TensorProto.FLOAT, ["n", "h", "w", channels])],
        outputs,
        constants,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="srtrain", ir_version=8
    )
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content
