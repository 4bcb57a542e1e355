"""What workers take while they do nothing: planned with by the supervisor, kept to by the workers."""

from __future__ import annotations

from typing import Final

__all__ = ["CODEC_IDLE", "INFERENCE_IDLE"]

CODEC_IDLE: Final = 24 << 20
"""Bytes of private memory of a codec worker. Up to here it gives nothing back after an operation."""
INFERENCE_IDLE: Final = 64 << 20
"""The same of an inference worker with everything loaded and a network open."""
