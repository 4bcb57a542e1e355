"""``python -m srwatchd.worker ROLE SOCKET PARENT [OPS]``: one worker process. Only the supervisor starts it."""

from __future__ import annotations

import sys
from typing import Any

# `import openvino` would contact an analytics host through this module; None makes its import fail, which it expects.
_modules: dict[str, Any] = sys.modules
_modules["openvino_telemetry"] = None

from srwatchd.worker.main import main  # noqa: E402  after the line above, on purpose

__all__ = ["main"]

if __name__ == "__main__":
    main(sys.argv[1:])
