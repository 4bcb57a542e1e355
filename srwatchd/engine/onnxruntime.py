"""ONNX Runtime on the ONNX twins of the shipped models and on imported ONNX networks: on processors and NVIDIA's GPUs.

Nothing is left to its defaults that they would decide otherwise: the threads, f32 that is f32, no telemetry (which it
has on Linux since 1.29, and starts when it is imported).
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from srwatchd.engine.accelerators import NO_SUCH_DEVICE, exact_arithmetic, missing_device, nvidia_trouble
from srwatchd.engine.base import PROBE, plane_count
from srwatchd.engine.budget import bytes_per_input_pixel
from srwatchd.engine.colour import finish, prepare
from srwatchd.engine.failures import loading, running
from srwatchd.engine.onnxfile import only_output, read_onnx
from srwatchd.engine.onnxhalf import halved
from srwatchd.engine.wire import WireError
from srwatchd.errors import ModelError
from srwatchd.tiling import LARGEST_EDGE

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from srwatchd.config.models import ModelSpec
    from srwatchd.engine.base import Samples
    from srwatchd.engine.onnxfile import Onnx

__all__ = ["OnnxRuntimeEngine", "OnnxRuntimeNetwork"]

_CPU: Final = "CPUExecutionProvider"
_CUDA: Final = "CUDAExecutionProvider"
_TENSORRT: Final = "TensorrtExecutionProvider"
_TENSORRT_LIBRARY: Final = "libnvinfer.so.10"
_KINDS: Final = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_SILENT: Final = 4
"""Only what ends the process is written to stderr; everything else is an exception."""


def _library() -> Any:
    """The module ``onnxruntime``, without its telemetry: nothing leaves this machine. Raises ImportError."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime  # noqa: PLC0415

    onnxruntime.disable_telemetry_events()
    onnxruntime.set_default_logger_severity(_SILENT)
    return onnxruntime


class OnnxRuntimeNetwork:
    """A network opened by ONNX Runtime; keeps the contract of :class:`~srwatchd.engine.base.Network`."""

    engine: Final = "onnxruntime"

    def __init__(self, spec: ModelSpec, file: Path, *, device: str, precision: str, threads: int) -> None:
        self.spec: Final = spec
        self.device: Final = device
        with loading(spec, self.engine):
            network, self.precision = _network(spec, file, half=device == "cuda" and precision == "f16")
            self._session: Final = _session(network, spec, device=device, threads=threads)
            taken = self._session.get_inputs()[0]
            self._input: Final = taken.name
            self._kind: Final = _KINDS.get(taken.type, np.float32)

    @property
    def bytes_per_input_pixel(self) -> int:
        """See :class:`~srwatchd.engine.base.Network`."""
        return bytes_per_input_pixel(self.spec, self.engine)

    def upscale(self, tile: Samples) -> Samples:
        """See :class:`~srwatchd.engine.base.Network`."""
        plane_count(tile)
        with running(self.spec, self.engine):
            prepared = prepare(tile, self.spec)
            planes = self.infer(prepared.blob)
            expected = (self.spec.channels, tile.shape[0] * self.spec.scale, tile.shape[1] * self.spec.scale)
            if planes.shape != expected:
                raise ModelError("model_unusable", f"{self.spec.name} gave {planes.shape} instead of {expected}")
            return finish(planes, prepared, self.spec)

    def release(self) -> None:
        """See :class:`~srwatchd.engine.base.Network`."""
        shrinking = _library().RunOptions()
        shrinking.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        self.infer(np.zeros((PROBE, PROBE, self.spec.channels), np.float32), shrinking)

    def infer(self, blob: NDArray[np.float32], how: Any = None) -> NDArray[np.float32]:
        """The output for an input of H x W x C, C x H x W whatever its size; ``how`` are ONNX Runtime's options."""
        laid = blob if self.spec.input_layout == "nhwc" else blob.transpose(2, 0, 1)
        data = np.ascontiguousarray(laid, self._kind)[np.newaxis]
        with running(self.spec, self.engine):
            given: NDArray[Any] = self._session.run(None, {self._input: data}, how)[0][0]
        planes = given if self.spec.output_layout == "nchw" else given.transpose(2, 0, 1)
        return planes.astype(np.float32, copy=False)


class OnnxRuntimeEngine:
    """ONNX Runtime; keeps the contract of :class:`~srwatchd.engine.base.Engine`."""

    name: Final = "onnxruntime"

    def installed(self) -> bool:
        """See :class:`~srwatchd.engine.base.Engine`."""
        return importlib.util.find_spec("onnxruntime") is not None

    def available(self) -> str | None:
        """See :class:`~srwatchd.engine.base.Engine`."""
        if not self.installed():
            return "the package onnxruntime is not installed: pip install 'srwatchd[onnx]'"
        try:
            _library()
        except (ImportError, OSError, AttributeError) as error:
            return f"the package onnxruntime does not load: {' '.join(str(error).split())[:200]}"
        return None

    def reads(self, spec: ModelSpec) -> bool:
        """See :class:`~srwatchd.engine.base.Engine`; ONNX only, the twin of a frozen graph."""
        return _file(spec) is not None

    def devices(self) -> tuple[str, ...]:
        """See :class:`~srwatchd.engine.base.Engine`."""
        if self.available() is not None:
            return ()
        return tuple(device for device in ("cpu", "cuda") if self.lacks(device) is None)

    def lacks(self, device: str) -> str | None:
        """See :class:`~srwatchd.engine.base.Engine`."""
        if device == "cuda":
            if _CUDA not in _library().get_available_providers():
                return "this ONNX Runtime is for processors only; the extra cuda brings the other one"
            return nvidia_trouble()
        return None if device == "cpu" else NO_SUCH_DEVICE

    def open(
        self, spec: ModelSpec, *, device: str = "auto", precision: str = "f32", threads: int = 0
    ) -> OnnxRuntimeNetwork:
        """See :class:`~srwatchd.engine.base.Engine`; ``auto`` is the processor. On it everything is f32."""
        if (reason := self.available()) is not None:
            raise ModelError("engine_unavailable", f"onnxruntime: {reason}")
        device = "cpu" if device == "auto" else device
        if (reason := self.lacks(device)) is not None:
            raise missing_device(self.name, device, reason, self.devices())
        file = _file(spec)
        if file is None:
            text = f"{spec.name} is a frozen graph without an ONNX twin, and the onnxruntime engine reads ONNX only"
            raise ModelError("model_unusable", text, hint="Set engine.name to auto, openvino or opencv.")
        if not os.path.isfile(file):
            raise ModelError("model_missing", f"{spec.name}: there is no file {os.fspath(file)!r}")
        return OnnxRuntimeNetwork(spec, file, device=device, precision=precision, threads=threads)


def _file(spec: ModelSpec) -> Path | None:
    return spec.path if spec.path.suffix == ".onnx" else spec.onnx


def _network(spec: ModelSpec, file: Path, *, half: bool) -> tuple[Onnx, str]:
    """The network that is run, and its precision: with one output, and in f16 if that is wanted and can be."""
    try:
        network = only_output(read_onnx(file.read_bytes()), spec.output_node)
        changed = halved(network) if half else None
    except WireError as error:
        raise ModelError("model_unusable", f"{spec.name}: {error}") from error
    return (network, "f32") if changed is None else (changed, "f16")


def _session(network: Onnx, spec: ModelSpec, *, device: str, threads: int) -> Any:
    """``network`` on ``device``, with nothing left to chance. Raises ``engine_unavailable`` when it lands elsewhere."""
    library, model = _library(), network.encoded()
    if device == "cpu":
        return library.InferenceSession(model, _options(library, threads), providers=[_CPU])
    exact_arithmetic()
    if hasattr(library, "preload_dlls"):
        library.preload_dlls()  # what the extra cuda brings lies where no linker looks
    for provider in (_TENSORRT, _CUDA) if _tensorrt(library) else (_CUDA,):
        settings = _tensorrt_settings(network, spec) if provider == _TENSORRT else _CUDA_SETTINGS
        session = library.InferenceSession(model, _options(library, threads), providers=[(provider, settings), _CPU])
        if session.get_providers()[0] == provider:
            return session
    reason = "its CUDA provider does not load: CUDA's or cuDNN's libraries are missing, or of another version"
    raise missing_device("onnxruntime", device, reason, ("cpu",))


def _options(library: Any, threads: int) -> Any:
    options = library.SessionOptions()
    options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
    options.inter_op_num_threads = 1
    options.execution_mode = library.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = library.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.enable_mem_pattern = False  # it would keep a block for each shape of a tile, up to twice the memory
    options.use_deterministic_compute = True
    options.log_severity_level = _SILENT
    for key, value in _ENTRIES.items():
        options.add_session_config_entry(key, value)
    return options


_ENTRIES: Final = {
    "session.force_spinning_stop": "1",  # threads wait for work only while there is some
    "session.set_denormal_as_zero": "0",
    "mlas.enable_gemm_fastmath_arm64_bfloat16": "0",  # f32 is f32, also on Arm
}


_CUDA_SETTINGS: Final = {
    "use_tf32": "0",
    "cudnn_conv_algo_search": "HEURISTIC",  # trying them all would choose by chance
    "arena_extend_strategy": "kSameAsRequested",
}


def _tensorrt(library: Any) -> bool:
    """Whether TensorRT's library is here; it is in no extra, and who installs it wants it."""
    if _TENSORRT not in library.get_available_providers():
        return False
    try:
        ctypes.CDLL(_TENSORRT_LIBRARY)
    except OSError:
        return False
    return True


def _tensorrt_settings(network: Onnx, spec: ModelSpec) -> dict[str, str]:
    """One engine for tiles of every size, made when the network is opened; nothing is kept on the disk."""
    largest = max(LARGEST_EDGE, 4 * spec.receptive_radius + 32)
    lay = "{0}:1x{1}x{1}x{2}" if spec.input_layout == "nhwc" else "{0}:1x{2}x{1}x{1}"
    name = network.inputs[0].name
    return {
        "trt_engine_cache_enable": "False",
        **{
            f"trt_profile_{which}_shapes": lay.format(name, edge, spec.channels)
            for which, edge in (("min", 1), ("opt", LARGEST_EDGE // 2), ("max", largest))
        },
    }
