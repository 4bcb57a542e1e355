"""OpenVINO on the very same files: on processors, and on its GPUs and NPUs.

The precision is always said, because a processor with bf16 would otherwise use it unasked.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from srwatchd.engine.accelerators import NO_SUCH_DEVICE, missing_device
from srwatchd.engine.base import PRECISIONS, PROBE, plane_count
from srwatchd.engine.budget import bytes_per_input_pixel
from srwatchd.engine.colour import finish, prepare
from srwatchd.engine.compiled import DEVICES, Compiled, shaped
from srwatchd.engine.failures import loading, running
from srwatchd.engine.rewriting import rewritten
from srwatchd.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from srwatchd.config.models import ModelSpec
    from srwatchd.engine.base import Samples

__all__ = ["OpenVINOEngine", "OpenVINONetwork"]

_KERNELS: Final = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64", "DNNL_PRIMITIVE_CACHE_CAPACITY": "64"}
"""The kernels that oneDNN keeps, of every shape it has seen; its 1024 took 62 MB more after 200 shapes."""


def _library() -> Any:
    """The module ``openvino``, without its telemetry: nothing leaves this machine. Raises ImportError."""
    modules: dict[str, Any] = sys.modules
    modules.setdefault("openvino_telemetry", None)
    for key, value in _KERNELS.items():
        os.environ.setdefault(key, value)
    import openvino  # noqa: PLC0415

    return openvino


def _operations() -> Any:
    from openvino import opset13  # noqa: PLC0415

    return opset13


class OpenVINONetwork:
    """A network compiled by OpenVINO; keeps the contract of :class:`~srwatchd.engine.base.Network`."""

    engine: Final = "openvino"

    def __init__(self, spec: ModelSpec, *, core: Any, device: str, precision: str, threads: int) -> None:
        self.spec: Final = spec
        self.device: Final = device
        limits = {"ENABLE_CPU_PINNING": "NO"} if device == "cpu" else {}
        if device == "cpu" and threads > 0:
            limits["INFERENCE_NUM_THREADS"] = str(threads)
        options = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY", **limits}
        with loading(spec, self.engine):
            self._model: Final = _only_output(core.read_model(os.fspath(spec.path)), spec)
            model, self._multiple = self._model.clone(), 1
            if device == "cpu":
                model, self._multiple = rewritten(model, _operations())
            self._compiled: Final = Compiled(model, spec, core=core, device=device, options=options)
            compiled = self._compiled.request(*self._compiled.fitting(PROBE, PROBE)).get_compiled_model()
            hint = str(compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name())
            self._input: Final = compiled.inputs[0].get_element_type().to_dtype()
        self.precision: Final = hint if hint in PRECISIONS else "f32"

    @property
    def bytes_per_input_pixel(self) -> int:
        """See :class:`~srwatchd.engine.base.Network`."""
        return bytes_per_input_pixel(self.spec, self.engine)

    def upscale(self, tile: Samples) -> Samples:
        """See :class:`~srwatchd.engine.base.Network`."""
        plane_count(tile)
        with self._forgetting_on_failure(), running(self.spec, self.engine):
            prepared = prepare(tile, self.spec)
            planes = self.infer(prepared.blob)
            expected = (self.spec.channels, tile.shape[0] * self.spec.scale, tile.shape[1] * self.spec.scale)
            if planes.shape != expected:
                raise ModelError("model_unusable", f"{self.spec.name} gave {planes.shape} instead of {expected}")
            return finish(planes, prepared, self.spec)

    def release(self) -> None:
        """See :class:`~srwatchd.engine.base.Network`."""
        self._compiled.release()

    def infer(self, blob: NDArray[np.float32]) -> NDArray[np.float32]:
        """The output for an input of H x W x C, C x H x W whatever its size; a view that holds until the next call."""
        height, width, channels = blob.shape
        rows, columns = self._compiled.fitting(height, width)
        if (rows, columns) != (height, width):
            blob = np.pad(blob, ((0, rows - height), (0, columns - width), (0, 0)), mode="edge")
        request = self._compiled.request(rows, columns)
        laid = blob if self.spec.input_layout == "nhwc" else blob.transpose(2, 0, 1)
        if channels != self.spec.channels:
            raise ModelError("model_unusable", f"{self.spec.name} does not take {channels} channels")
        data = np.ascontiguousarray(laid, self._input)
        request.set_input_tensor(_library().Tensor(data[np.newaxis], shared_memory=True))
        request.infer()
        given: NDArray[np.float32] = request.get_output_tensor(0).data[0]
        planes = given if self.spec.output_layout == "nchw" else given.transpose(2, 0, 1)
        return self._without_excess(planes.astype(np.float32, copy=False), height, width)

    def macs_per_input_pixel(self) -> int:
        """The multiplications of its convolutions for each pixel of the input."""
        total = 0
        for each in shaped(self._model, self.spec, PROBE, PROBE).get_ordered_ops():
            if "Convolution" in each.get_type_name():
                weights = int(np.prod(each.input(1).get_shape()))
                counted = each.input(0) if "Backprop" in each.get_type_name() else each.output(0)
                total += weights * int(np.prod(counted.get_shape()[2:]))
        return round(total / PROBE**2)

    def _without_excess(self, planes: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
        """The results for the given pixels, without those for what was added to them."""
        rows, columns = (-(-size // self._multiple) * self._multiple for size in self._compiled.fitting(height, width))
        if (rows, columns) == (height, width):
            return planes
        scale = planes.shape[1] // rows
        return planes[:, : height * scale, : width * scale]

    @contextlib.contextmanager
    def _forgetting_on_failure(self) -> Iterator[None]:
        """What was compiled is dropped when a tile fails: the memory is needed for a smaller one."""
        try:
            yield
        except BaseException:
            self._compiled.forget()
            raise


class OpenVINOEngine:
    """OpenVINO; keeps the contract of :class:`~srwatchd.engine.base.Engine`."""

    name: Final = "openvino"

    def __init__(self) -> None:
        self._core: Any = None

    def available(self) -> str | None:
        """See :class:`~srwatchd.engine.base.Engine`."""
        try:
            devices = self._devices()
        except (ImportError, OSError) as error:
            return f"the package openvino does not load: {error}"
        except RuntimeError as error:
            return f"openvino does not start: {' '.join(str(error).split())[:200]}"
        return None if devices else "openvino finds no device"

    def installed(self) -> bool:
        """See :class:`~srwatchd.engine.base.Engine`; every installation should have it, so that its lack is said."""
        return True

    def reads(self, spec: ModelSpec) -> bool:
        """See :class:`~srwatchd.engine.base.Engine`; frozen graphs and ONNX."""
        del spec
        return True

    def devices(self) -> tuple[str, ...]:
        """See :class:`~srwatchd.engine.base.Engine`."""
        return self._devices() if self.available() is None else ()

    def lacks(self, device: str) -> str | None:
        """See :class:`~srwatchd.engine.base.Engine`."""
        if device not in DEVICES:
            return NO_SUCH_DEVICE
        return None if device in self._devices() else f"OpenVINO finds no {device.upper()}, or may not use its driver"

    def open(
        self, spec: ModelSpec, *, device: str = "auto", precision: str = "f32", threads: int = 0
    ) -> OpenVINONetwork:
        """See :class:`~srwatchd.engine.base.Engine`; ``auto`` is the GPU if there is one that works, else the CPU."""
        if (reason := self.available()) is not None:
            raise ModelError("engine_unavailable", f"openvino: {reason}")
        present = self._devices()
        if device != "auto" and (reason := self.lacks(device)) is not None:
            raise missing_device(self.name, device, reason, present)
        if not os.path.isfile(spec.path):
            raise ModelError("model_missing", f"{spec.name}: there is no file {os.fspath(spec.path)!r}")
        if device == "auto" and "gpu" in present:
            with contextlib.suppress(ModelError):
                return self._network(spec, "gpu", precision, threads)
        return self._network(spec, "cpu" if device == "auto" else device, precision, threads)

    def _network(self, spec: ModelSpec, device: str, precision: str, threads: int) -> OpenVINONetwork:
        return OpenVINONetwork(spec, core=self._core, device=device, precision=precision, threads=threads)

    def _devices(self) -> tuple[str, ...]:
        if self._core is None:
            self._core = _library().Core()
        present = {str(name).split(".", maxsplit=1)[0] for name in self._core.available_devices}
        return tuple(ours for ours, theirs in DEVICES.items() if theirs in present)


def _only_output(model: Any, spec: ModelSpec) -> Any:
    """The model cut down to the one output that the manifest names; LapSRN has one for each of its levels."""
    wanted = {spec.output_node, f"{spec.output_node}:0"}
    for output in model.outputs:
        if wanted & set(output.names):
            return _library().Model([output.get_node().input_value(0)], model.get_parameters(), spec.name)
    raise ModelError("model_unusable", f"{spec.name} has no output {spec.output_node!r}")
