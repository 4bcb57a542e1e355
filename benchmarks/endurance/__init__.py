"""Endurance runs of the installed ``srwatchd`` command.

Every scenario does something unkind to a daemon that works on real files, and then asks the same questions: is every
dropped source exactly once where it belongs, is there exactly one whole result of each, is nothing left over, is the
ledger whole? ::

    python -m benchmarks.endurance                           every scenario, the long way
    python -m benchmarks.endurance --short                   the same in a few minutes
    python -m benchmarks.endurance kills steps --report FILE some of them, with a page of results

The daemon is only ever used as its users use it: through its command, its configuration, its folders and its ledger.
"""

from __future__ import annotations

__all__: list[str] = []
