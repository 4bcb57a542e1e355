"""Accelerators that this machine shows, and what they need before an engine can use them.

Only looked at from outside, by their device nodes and NVIDIA's driver library; no engine is loaded for it.
"""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING, Final

from srwatchd.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["NO_SUCH_DEVICE", "exact_arithmetic", "missing_device", "nvidia_trouble", "unused", "visible"]

_NEEDS: Final = {
    "cpu": "Install srwatchd's packages again",
    "gpu": "Install the GPU's driver (intel-opencl-icd) and let the service use /dev/dri",
    "npu": "Install the NPU's driver and let the service use /dev/accel",
    "cuda": "Install srwatchd[cuda] and NVIDIA's driver and let the service use /dev/nvidia*",
}
NO_SUCH_DEVICE: Final = "it knows no such device"
"""What an engine lacks for good."""

_OTHER: Final = "Set engine.name to auto, or engine.device to one that this engine has; see docs/engines.md."
_INTEL: Final = "0x8086"
_CARDS: Final = tuple(f"/dev/nvidia{number}" for number in range(16))
_RENDER_NODES: Final = tuple(f"/dev/dri/renderD{number}" for number in range(128, 144))
"""By name, for a confined worker may look at a node, and not into /dev."""
_VENDOR: Final = "/sys/class/drm/{name}/device/vendor"
_DRIVER: Final = "libcuda.so.1"
_ERRORS: Final = {100: "it finds no device", 803: "it does not fit the kernel's module", 999: "it does not start"}


def missing_device(engine: str, device: str, reason: str, present: Iterable[str]) -> ModelError:
    """The error for a ``device`` that was asked for and that ``engine``, or any (""), cannot use.

    It says why, what there is, and what to do.
    """
    who = f"{engine} cannot" if engine else "no engine can"
    text = f"{who} compute on {device!r} here ({reason}); there is: {', '.join(present) or 'nothing'}"
    remedy = f"{_NEEDS[device]}, or set engine.device to auto; see docs/engines.md."
    return ModelError("engine_unavailable", text, hint=_OTHER if engine and reason == NO_SUCH_DEVICE else remedy)


def unused(device: str, node: str, reason: str) -> str:
    """What to say of an accelerator of the kind ``device`` that is here and of no use, and what to do about it."""
    remedy = f"{_NEEDS[device]}, or do without it: engine.device: cpu; see docs/engines.md."
    return f"{node} is here, and no engine can use it ({reason}). {remedy}"


def visible() -> dict[str, str]:
    """The kinds of accelerators that ``auto`` would use and whose nodes are there, each with a node.

    An Intel GPU is ``gpu``, for OpenVINO; graphics of other makers are none of ours. A service whose unit gives it no
    devices sees none.
    """
    found: dict[str, str] = {}
    for node in filter(os.path.exists, _CARDS):
        found.setdefault("cuda", node)
    for node in filter(os.path.exists, _RENDER_NODES):
        if _vendor(os.path.basename(node)) == _INTEL:
            found.setdefault("gpu", node)
    return found


def nvidia_trouble() -> str | None:
    """Why NVIDIA's driver cannot be used by this process, or None when it finds a device; nothing is kept open."""
    try:
        driver = ctypes.CDLL(_DRIVER)
    except OSError:
        return "NVIDIA's driver (libcuda.so.1) is not installed, or out of reach"
    count = ctypes.c_int(0)
    code = int(driver.cuInit(0)) or int(driver.cuDeviceGetCount(ctypes.byref(count)))
    if code != 0:
        return f"NVIDIA's driver: {_ERRORS.get(code, 'it does not start')} (error {code})"
    return None if count.value > 0 else f"NVIDIA's driver: {_ERRORS[100]}"


def exact_arithmetic() -> None:
    """Have CUDA's libraries compute f32 in f32: they would round it to TF32 unasked. Nothing is cached on the disk."""
    os.environ["NVIDIA_TF32_OVERRIDE"] = "0"
    os.environ["CUDA_CACHE_DISABLE"] = "1"


def _vendor(name: str) -> str:
    try:
        with open(_VENDOR.format(name=name), encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
