"""Write a plan as a frozen TensorFlow GraphDef, without TensorFlow.

Every construct was chosen because OpenCV 4.10 to 5.x (``dnn_superres`` and plain ``cv2.dnn``) and
OpenVINO read it alike: NHWC placeholder without a shape, SAME convolutions, PReLU spelt with two
rectifiers, ``blocksize`` beside ``block_size``, and a final transposition to NCHW.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tensorboardX.proto.graph_pb2 import GraphDef
from tensorboardX.proto.node_def_pb2 import NodeDef

from srtrain import plan as p

OUTPUT_NODE = "NCHW_output"
FLOAT, INT32 = 1, 3


class GraphWriter:
    """Collects nodes in topological order."""

    def __init__(self) -> None:
        self.graph = GraphDef()
        self.graph.versions.producer = 1087

    def node(self, name: str, op: str, *inputs: str, typed: bool = True) -> NodeDef:
        """Append a node and return it for further attributes."""
        node = self.graph.node.add(name=name, op=op, input=inputs)
        if typed:
            node.attr["T"].type = FLOAT
        return node

    def constant(self, name: str, values: NDArray[np.float32] | NDArray[np.int32]) -> str:
        """Append a constant; return its name."""
        node = self.node(name, "Const", typed=False)
        kind = INT32 if values.dtype == np.int32 else FLOAT
        node.attr["dtype"].type = kind
        tensor = node.attr["value"].tensor
        tensor.dtype = kind
        for length in values.shape:
            tensor.tensor_shape.dim.add(size=length)
        if values.size > 1:
            tensor.tensor_content = np.ascontiguousarray(values).tobytes()
        elif kind == INT32:
            tensor.int_val.append(int(values.reshape(-1)[0]))
        else:
            tensor.float_val.append(float(values.reshape(-1)[0]))
        return name

    def convolution(self, conv: p.Conv) -> None:
        """Append Conv2D and BiasAdd."""
        kernel = np.ascontiguousarray(conv.weight.transpose(2, 3, 1, 0), np.float32)
        weight = self.constant(f"{conv.name}/kernel", kernel)
        bias = self.constant(f"{conv.name}/bias", conv.bias.astype(np.float32))
        node = self.node(f"{conv.name}/Conv2D", "Conv2D", conv.source, weight)
        node.attr["strides"].list.i.extend((1, 1, 1, 1))
        node.attr["dilations"].list.i.extend((1, 1, 1, 1))
        node.attr["padding"].s = b"SAME"
        node.attr["data_format"].s = b"NHWC"
        self.node(conv.name, "BiasAdd", node.name, bias).attr["data_format"].s = b"NHWC"

    def prelu(self, prelu: p.PRelu) -> None:
        """Append ``relu(x) + (-slope) * relu(-x)``, which OpenCV fuses into one layer."""
        name = prelu.name
        self.node(f"{name}/Relu", "Relu", prelu.source)
        self.node(f"{name}/Neg", "Neg", prelu.source)
        self.node(f"{name}/Relu_1", "Relu", f"{name}/Neg")
        slope = self.constant(f"{name}/slope", -prelu.slope.astype(np.float32))
        self.node(f"{name}/mul", "Mul", slope, f"{name}/Relu_1")
        self.node(name, "Add", f"{name}/Relu", f"{name}/mul")

    def depth_to_space(self, shuffle: p.DepthToSpace) -> None:
        """Append DepthToSpace with both spellings of its block size."""
        node = self.node(shuffle.name, "DepthToSpace", shuffle.source)
        node.attr["block_size"].i = shuffle.block
        node.attr["blocksize"].i = shuffle.block
        node.attr["data_format"].s = b"NHWC"

    def output(self, name: str, source: str) -> None:
        """Append the transposition of a result to NCHW."""
        order = self.constant(f"{name}/perm", np.asarray((0, 3, 1, 2), np.int32))
        self.node(name, "Transpose", source, order).attr["Tperm"].type = INT32


def output_names(plan: p.Plan) -> dict[str, str]:
    """Return the tensor behind every output; a pyramid has one for each stage, as the public has.

    ``NCHW_output`` comes last, because ``dnn_superres`` takes the last one.
    """
    stages = {f"{OUTPUT_NODE}_{scale}x": source for scale, source in plan.stages.items()}
    return stages | {OUTPUT_NODE: plan.output}


def graphdef_bytes(plan: p.Plan) -> bytes:
    """Return the serialised frozen graph; its last node is ``NCHW_output``."""
    writer = GraphWriter()
    placeholder = writer.node(p.INPUT, "Placeholder", typed=False)
    placeholder.attr["dtype"].type = FLOAT
    for operation in plan.operations:
        match operation:
            case p.Conv():
                writer.convolution(operation)
            case p.PRelu():
                writer.prelu(operation)
            case p.DepthToSpace():
                writer.depth_to_space(operation)
            case p.Pointwise():
                writer.node(operation.name, operation.function.capitalize(), operation.source)
            case p.Add():
                writer.node(operation.name, "Add", operation.source, operation.other)
    for name, source in output_names(plan).items():
        writer.output(name, source)
    content: bytes = writer.graph.SerializeToString(deterministic=True)
    return content
