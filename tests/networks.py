"""Small networks that really enlarge, written byte by byte: frozen graphs and ONNX files in every form that is met.

Each is bicubic interpolation as a convolution and a pixel shuffle, so that it passes every test of a good model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from srwatchd.engine.wire import encode, field, first, parse, text

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["DIV2K", "Shape", "frozen", "global_mean", "onnx", "quantised", "weights"]

DIV2K = (103.1545782, 111.561547, 114.35629928)
FLOAT, INT32, INT64, QUINT8 = 1, 3, 7, 12


def weights(scale: int, planes: int, *, order: str = "CRD", features: int = 0) -> np.ndarray:
    """Bicubic interpolation as weights of O x I x 5 x 5, the output planes in the order of a pixel shuffle."""
    taps = np.zeros((scale, 5))
    for phase in range(scale):
        distance = np.abs(np.arange(-2, 3) - ((phase + 0.5) / scale - 0.5))
        near = 1.5 * distance**3 - 2.5 * distance**2 + 1
        far = -0.5 * (distance**3 - 5 * distance**2 + 8 * distance - 4)
        taps[phase] = np.where(distance <= 1, near, np.where(distance < 2, far, 0))
    taps /= taps.sum(axis=1, keepdims=True)
    kernel = np.zeros((planes * scale * scale, features or planes, 5, 5), np.float32)
    for plane in range(planes):
        for down in range(scale):
            for across in range(scale):
                phase = down * scale + across
                index = plane * scale * scale + phase if order == "CRD" else phase * planes + plane
                kernel[index, plane] = np.outer(taps[down], taps[across])
    return kernel


@dataclass(frozen=True)
class Shape:
    """What an ONNX file looks like: ``size`` is the only one that it takes, ``torch``: it shuffles as torch."""

    planes: int = 3
    scale: int = 2
    order: str = "CRD"
    layouts: str = "nchw nchw"
    limits: tuple[float, float] | None = (0.0, 1.0)
    size: tuple[int, int] | None = None
    torch: bool = False
    inputs: int = 1


def onnx(shape: Shape = Shape()) -> bytes:
    """An ONNX file of that shape."""
    given, taken = shape.layouts.split()
    nodes, tensors = [], [_tensor("w", weights(shape.scale, shape.planes, order=shape.order))]
    last = "x"
    if given == "nhwc":
        nodes.append(_node("Transpose", [last], ["xt"], [_ints("perm", (0, 3, 1, 2))]))
        last = "xt"
    nodes.append(_node("Conv", [last, "w"], ["c"], [_ints("pads", (2,) * 4)]))
    last = _shuffle(shape, nodes, tensors)
    if shape.limits is not None:
        for name, value in zip(("low", "high"), shape.limits, strict=True):
            tensors.append(_tensor(name, np.array(value, np.float32)))
        nodes.append(_node("Clip", [last, "low", "high"], ["k"]))
        last = "k"
    if taken == "nhwc":
        nodes.append(_node("Transpose", [last], ["kt"], [_ints("perm", (0, 2, 3, 1))]))
        last = "kt"
    nodes.append(_node("Identity", [last], ["y"]))
    ports = [_port("x" if number == 0 else f"x{number}", shape, given) for number in range(shape.inputs)]
    graph = encode(
        [
            *(field(1, node) for node in nodes),
            field(2, "net"),
            *(field(5, tensor) for tensor in tensors),
            *(field(11, port) for port in ports),
            field(12, _port("y", shape, taken, scale=shape.scale)),
        ]
    )
    return encode([field(1, 8), field(2, "test"), field(7, graph), field(8, encode([field(2, 13)]))])


def frozen(scale: int = 2, *, planes: int = 1, node: str = "NCHW_output") -> bytes:
    """A frozen graph as the public ones are: input NHWC, output NCHW."""
    kernel = weights(scale, planes, order="DCR").transpose(2, 3, 1, 0)
    nodes = [_tf_node("IteratorGetNext", "Placeholder", [], {"dtype": _tf_type(FLOAT)})]
    nodes += [_tf_const("w", kernel), *_tf_tail("IteratorGetNext", "w", scale, node)]
    return encode(field(1, each) for each in nodes)


def quantised(scale: int = 3, *, blocks: int = 2, features: int = 8, seed: int = 5) -> bytes:
    """A frozen graph with the layout of the public EDSR: every weight and bias 8 bit, Dequantize by MIN_FIRST."""
    rng = np.random.default_rng(seed)
    head = rng.normal(0, 0.004, (3, 3, 3, features)).astype(np.float32)
    head[1, 1, :, :3] += np.eye(3, dtype=np.float32)
    nodes = [_tf_node("IteratorGetNext", "Placeholder", [], {"dtype": _tf_type(FLOAT)})]
    nodes += _tf_layer("head", "IteratorGetNext", head, rng)
    last = "head/bias"
    for number in range(blocks):
        name = f"block{number}"
        nodes += _tf_layer(f"{name}/one", last, rng.normal(0, 0.004, (3, 3, features, features)), rng)
        nodes.append(_tf_node(f"{name}/relu", "Relu", [f"{name}/one/bias"], {"T": _tf_type(FLOAT)}))
        nodes += _tf_layer(f"{name}/two", f"{name}/relu", rng.normal(0, 0.004, (3, 3, features, features)), rng)
        nodes.append(_tf_node(name, "Add", [f"{name}/two/bias", last], {"T": _tf_type(FLOAT)}))
        last = name
    tail = weights(scale, 3, order="DCR", features=features).transpose(2, 3, 1, 0)
    nodes += [*_tf_quantised("tail/w", tail), *_tf_tail(last, "tail/w", scale, "NCHW_output")]
    return encode(field(1, each) for each in nodes)


def _shuffle(shape: Shape, nodes: list[bytes], tensors: list[bytes]) -> str:
    scale, planes = shape.scale, shape.planes
    if not shape.torch:
        blocks = [_int("blocksize", scale), encode([field(1, "mode"), field(4, shape.order), field(20, 3)])]
        nodes.append(_node("DepthToSpace", ["c"], ["d"], blocks))
        return "d"
    assert shape.size is not None
    height, width = shape.size
    tensors.append(_tensor("apart", np.array([-1, planes, scale, scale, height, width], np.int64)))
    tensors.append(_tensor("together", np.array([-1, planes, height * scale, width * scale], np.int64)))
    nodes.append(_node("Reshape", ["c", "apart"], ["c6"]))
    nodes.append(_node("Transpose", ["c6"], ["c6t"], [_ints("perm", (0, 1, 4, 2, 5, 3))]))
    nodes.append(_node("Reshape", ["c6t", "together"], ["d"]))
    return "d"


def _node(kind: str, inputs: Sequence[str], outputs: Sequence[str], attributes: Sequence[bytes] = ()) -> bytes:
    ports = [*(field(1, each) for each in inputs), *(field(2, each) for each in outputs)]
    return encode([*ports, field(4, kind), *(field(5, each) for each in attributes)])


def _int(name: str, value: int) -> bytes:
    return encode([field(1, name), field(3, value), field(20, 2)])


def _ints(name: str, values: Sequence[int]) -> bytes:
    return encode([field(1, name), *(field(8, value) for value in values), field(20, 7)])


def _tensor(name: str, values: np.ndarray) -> bytes:
    kind = INT64 if values.dtype == np.int64 else FLOAT
    return encode(
        [*(field(1, size) for size in values.shape), field(2, kind), field(8, name), field(9, values.tobytes())]
    )


def _port(name: str, shape: Shape, layout: str, scale: int = 1) -> bytes:
    sizes = [f"h{scale}", f"w{scale}"] if shape.size is None else [side * scale for side in shape.size]
    whole = [1, shape.planes, *sizes] if layout == "nchw" else [1, *sizes, shape.planes]
    dimensions = [field(1, encode([field(1 if isinstance(each, int) else 2, each)])) for each in whole]
    tensor = encode([field(1, FLOAT), field(2, encode(dimensions))])
    return encode([field(1, name), field(2, encode([field(1, tensor)]))])


def _tf_node(name: str, kind: str, inputs: Sequence[str], attributes: dict[str, bytes]) -> bytes:
    pairs = [encode([field(1, key), field(2, value)]) for key, value in attributes.items()]
    ports = [field(3, each) for each in inputs]
    return encode([field(1, name), field(2, kind), *ports, *(field(5, each) for each in pairs)])


def _tf_type(kind: int) -> bytes:
    return encode([field(6, kind)])


def _tf_const(name: str, values: np.ndarray, kind: int = FLOAT) -> bytes:
    shape = encode(field(2, encode([field(1, size)])) for size in values.shape)
    if values.ndim == 0 and kind == INT32:
        tensor = encode([field(1, kind), field(2, shape), field(7, int(values))])
    else:
        tensor = encode([field(1, kind), field(2, shape), field(4, values.tobytes())])
    return _tf_node(name, "Const", [], {"dtype": _tf_type(kind), "value": encode([field(8, tensor)])})


def _tf_quantised(name: str, values: np.ndarray) -> list[bytes]:
    """Weights as TensorFlow's quantize_weights writes them."""
    values = np.asarray(values, np.float32)
    low, high = np.float32(min(values.min(), 0)), np.float32(max(values.max(), 0))
    high = high if high > low else np.float32(low + 1)
    numbers = np.clip(np.rint((values - low) / ((high - low) / 255)), 0, 255).astype(np.uint8)
    mode = encode([field(2, "MIN_FIRST")])
    inputs = [f"{name}_quantized_const", f"{name}_quantized_min", f"{name}_quantized_max"]
    return [
        _tf_const(inputs[0], numbers, QUINT8),
        _tf_const(inputs[1], np.asarray(low)),
        _tf_const(inputs[2], np.asarray(high)),
        _tf_node(name, "Dequantize", inputs, {"T": _tf_type(QUINT8), "mode": mode}),
    ]


def _tf_conv(name: str, source: str, kernel: str) -> bytes:
    ones = encode([field(1, encode([field(3, each) for each in (1, 1, 1, 1)]))])
    padding, layout = encode([field(2, "SAME")]), encode([field(2, "NHWC")])
    attributes = {"T": _tf_type(FLOAT), "strides": ones, "padding": padding, "data_format": layout}
    return _tf_node(name, "Conv2D", [source, kernel], attributes)


def _tf_layer(name: str, source: str, kernel: np.ndarray, rng: np.random.Generator) -> list[bytes]:
    bias = rng.normal(0, 0.5, kernel.shape[-1])
    return [
        *_tf_quantised(f"{name}/w", kernel),
        *_tf_quantised(f"{name}/b", bias),
        _tf_conv(name, source, f"{name}/w"),
        _tf_node(f"{name}/bias", "BiasAdd", [name, f"{name}/b"], {"T": _tf_type(FLOAT)}),
    ]


def _tf_tail(source: str, kernel: str, scale: int, output: str) -> list[bytes]:
    size = encode([field(3, scale)])
    perm = encode(
        [
            field(
                8,
                encode(
                    [
                        field(1, INT32),
                        field(2, encode([field(2, encode([field(1, 4)]))])),
                        field(4, np.array([0, 3, 1, 2], np.int32).tobytes()),
                    ]
                ),
            )
        ]
    )
    blocks = {"T": _tf_type(FLOAT), "block_size": size, "blocksize": size, "data_format": encode([field(2, "NHWC")])}
    return [
        _tf_conv("tail", source, kernel),
        _tf_node("shuffle", "DepthToSpace", ["tail"], blocks),
        _tf_node("perm", "Const", [], {"dtype": _tf_type(INT32), "value": perm}),
        _tf_node(output, "Transpose", ["shuffle", "perm"], {"T": _tf_type(FLOAT), "Tperm": _tf_type(INT32)}),
    ]


def global_mean(data: bytes) -> bytes:
    """The ONNX network ``data`` with a part of the mean of its whole input added: it looks everywhere."""
    fields = parse(data)
    graph = parse(first(fields, 7))
    nodes = [
        _node("GlobalAveragePool", ["x"], ["m"]),
        _node("Mul", ["m", "part"], ["p"]),
        _node("Add", ["k", "p"], ["y"]),
    ]
    kept = [each for each in graph if not (each.number == 1 and text(parse(each.value), 4) == "Identity")]
    extra = [*(field(1, each) for each in nodes), field(5, _tensor("part", np.array(0.05, np.float32)))]
    inner = encode([*(each for each in kept if each.number == 1), *extra, *(each for each in kept if each.number != 1)])
    return encode([field(7, inner) if each.number == 7 else each for each in fields])
