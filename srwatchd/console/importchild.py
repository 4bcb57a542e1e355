"""``python -m srwatchd.console.importchild CONFIGURATION FILE``: take a model in, in a process of its own.

What is wished comes as JSON on standard input; each step, and at last the outcome, goes out as a line of JSON. The work
is that of `srwatchd models import`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from srwatchd.config import load
from srwatchd.daemon.modelimport import Wishes, import_file
from srwatchd.errors import SrwatchdError

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Do it; 0, or 4 when it was refused."""
    config, file = map(Path, arguments)
    wishes = Wishes(**json.load(sys.stdin))
    try:
        imported = import_file(load(config), file, wishes, lambda step: _say({"step": step}))
    except SrwatchdError as error:
        _say({"error": {"code": error.code, "message": error.message, "hint": error.hint}})
        return 4
    for each in imported:
        for engine, told in each.engines.items():
            _say({"step": f"{engine}: {told}"})
    _say({"imported": [each.spec.name for each in imported]})
    return 0


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
