"""What the processor can do: large matrices multiplied (sgemm) on all cores; ``python -m benchmarks.performance.peak``.

NumPy's BLAS and oneDNN (by OpenVINO) are both tried at the start; the faster one answers each order with its rate.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.performance.child import Child, serve

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["main", "started"]

_EDGE: Final = 1536
_TRIES: Final = 6
_SLOWING: Final = (
    "OPENBLAS_CORETYPE",
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "GOTO_NUM_THREADS",
)


def started() -> Child:
    """The process, without what a shell may have set to make BLAS slower."""
    environment = {name: value for name, value in os.environ.items() if name not in _SLOWING}
    return Child("benchmarks.performance.peak", environment=environment)


def main(_words: list[str]) -> int:
    """Serve the faster of the two."""
    told: dict[str, Any] = {}

    def start() -> Callable[[dict[str, Any]], dict[str, Any]]:
        ways = {"NumPy": _numpy(), "oneDNN": _onednn()}
        told.update({name: max(_rate(way) for _ in range(_TRIES)) for name, way in ways.items()})
        best = ways[max(told, key=told.__getitem__)]
        return lambda _order: {"flops": max(_rate(best) for _ in range(3))}

    serve(start, facts=lambda: {"tried": told})
    return 0


def _rate(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return 2 * _EDGE**3 / (time.perf_counter() - begin)


def _operands() -> tuple[Any, Any]:
    rng = np.random.default_rng(1)
    return rng.random((_EDGE, _EDGE), np.float32), rng.random((_EDGE, _EDGE), np.float32)


def _numpy() -> Callable[[], object]:
    one, other = _operands()
    result = np.empty_like(one)
    return lambda: np.matmul(one, other, out=result)


def _onednn() -> Callable[[], object]:
    modules: dict[str, Any] = sys.modules
    modules.setdefault("openvino_telemetry", None)
    import openvino  # noqa: PLC0415
    from openvino import opset8  # noqa: PLC0415

    one, other = _operands()
    given = opset8.parameter(one.shape, np.float32)
    model = openvino.Model([opset8.matmul(given, opset8.constant(other), False, False)], [given])
    options = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    core = openvino.Core()
    request = core.compile_model(model, "CPU", options).create_infer_request()
    request.set_input_tensor(openvino.Tensor(one, shared_memory=True))
    return lambda: (request.infer(), core, one)  # it does not keep them alive


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
