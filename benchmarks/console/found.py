"""Figures as they are found, with what else the machine did then."""

from __future__ import annotations

import os
import sys
from typing import Any

__all__ = ["Found"]


class Found(dict[str, Any]):
    """All figures, by what they are; each is said on standard error as soon as it is known, with the load then."""

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        print(f"{name:<52} {value!s:<24} load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)
