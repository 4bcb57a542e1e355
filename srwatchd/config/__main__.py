"""Write what is generated from the configuration's classes.

From the top of a checkout::

python -m srwatchd.config schema  > config/srwatchd.schema.json
python -m srwatchd.config example > config/srwatchd.example.yaml
"""

from __future__ import annotations

import sys

from srwatchd.config.jsonschema import schema_text
from srwatchd.config.template import init_text

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Print ``schema`` or ``example``; 2 for anything else."""
    texts = {"schema": schema_text, "example": init_text}
    if len(arguments) != 1 or arguments[0] not in texts:
        sys.stderr.write("usage: python -m srwatchd.config schema|example\n")
        return 2
    sys.stdout.write(texts[arguments[0]]())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
