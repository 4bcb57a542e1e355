"""Mutated pictures through real, confined codec workers.

::

    python -m benchmarks.fuzz --minutes 60 --seed 1 --report docs/fuzz.md
    python -m benchmarks.fuzz --seed 1 --case 4711          one case again, alone; says what became of it

Every case is made from the seed and its own number, so any of them can be made again. What kills, hangs or starves a
worker, or ends in an error that nobody foresaw, is kept in a folder outside of the repository.
"""

from __future__ import annotations

__all__: list[str] = []
