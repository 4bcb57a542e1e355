"""What the native libraries throw, as srwatchd's own errors: the one boundary between the two."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import cv2

from srwatchd.errors import ModelError, TransientError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from srwatchd.config.models import ModelSpec

__all__ = ["loading", "running"]

_MEMORY_WORDS: Final = (
    "bad_alloc",
    "insufficient memory",
    "out of memory",
    "failed to allocate",
    "could not allocate",
    "cannot allocate",
    "out_of_host_memory",
    "out_of_device_memory",
    "std::length_error",
    "can't alloc",
    "alloc_failed",
    "memoryallocation",
    "outofmemory",
)
_ONNX_RUNTIME: Final = "onnxruntime."
"""Where its exceptions are from; they have no class in common but Exception, and are not imported for this."""


@contextlib.contextmanager
def loading(spec: ModelSpec, engine: str) -> Iterator[None]:
    """A network that cannot be loaded is ``ModelError("model_unusable")``, a full memory is transient."""
    with _translated(f"{spec.name} cannot be loaded by the {engine} engine"):
        yield


@contextlib.contextmanager
def running(spec: ModelSpec, engine: str) -> Iterator[None]:
    """A network that fails on a tile is ``ModelError("model_unusable")``, a full memory is transient."""
    with _translated(f"{spec.name} failed on the {engine} engine"):
        yield


@contextlib.contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if not isinstance(error, MemoryError | RuntimeError | cv2.error) and not _of_onnx_runtime(error):
            raise
        text = " ".join(str(error).split())
        if _memory(error, text):
            raise TransientError("out_of_memory", f"{what}: not enough memory") from error
        raise ModelError("model_unusable", f"{what}: {text[:300]}") from error


def _of_onnx_runtime(error: Exception) -> bool:
    return type(error).__module__.startswith(_ONNX_RUNTIME)


def _memory(error: Exception, text: str) -> bool:
    if isinstance(error, MemoryError) or getattr(error, "code", None) == cv2.Error.StsNoMem:
        return True
    lowered = text.lower()
    return any(word in lowered for word in _MEMORY_WORDS)
