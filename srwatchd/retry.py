"""How long to wait before the next attempt. Pure: no clock, no randomness.

The delay doubles from ``initial`` up to ``maximum``. With a job id it is shortened by up to a quarter, by an amount
that only the job and the attempt decide, so that a batch that failed together does not come back together and a test
still knows every number.
"""

from __future__ import annotations

import hashlib
import math
from typing import Final

__all__ = ["delay"]

_JITTER: Final = 0.25
_DOUBLINGS: Final = 1023  # 2.0 ** 1024 is no float


def delay(attempt: int, *, initial: float, maximum: float, job: str = "") -> float:
    """Seconds to wait after failed attempt number ``attempt`` (1 is the first).

    ``min(maximum, initial * 2 ** (attempt - 1))``, and with ``job`` between 75 % and 100 % of that. Never above
    ``maximum``, however large ``attempt`` is. Raises ValueError for ``attempt < 1``, a negative or a not finite time.
    """
    if attempt < 1:
        raise ValueError(f"attempts are counted from 1, not {attempt}")
    if not (math.isfinite(initial) and math.isfinite(maximum) and initial >= 0 and maximum >= 0):
        raise ValueError(f"not a delay: initial {initial}, maximum {maximum}")
    plain = min(maximum, initial * 2.0 ** min(attempt - 1, _DOUBLINGS))
    return plain * (1.0 - _JITTER * _fraction(f"{job}:{attempt}")) if job else plain


def _fraction(seed: str) -> float:
    """A number in [0, 1) that depends on nothing but ``seed``."""
    digest = hashlib.sha256(seed.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6], "big") / 2.0**48
