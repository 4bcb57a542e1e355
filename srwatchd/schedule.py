"""Whose turn it is: smooth weighted round-robin between hot folders.

Pure: no clock, no file system, no chance. The same calls always give the same answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["RoundRobin"]


class RoundRobin:
    """Picks the folder that may start its next job.

    Every candidate earns credit equal to its weight at each turn, the richest one is picked and pays the sum of all
    weights. Over any run of turns with the same candidates a folder is picked in proportion to its weight, and its
    turns are spread evenly rather than bunched: weights 3 and 1 give a a b a. A folder that stays a candidate is
    picked at least once in every ``ceil(total weight / own weight)`` turns, rounded up by at most one turn per other
    folder, so a full folder starves no other one.
    """

    def __init__(self) -> None:
        self._credit: dict[str, int] = {}

    def next(self, candidates: Mapping[str, int]) -> str:
        """The folder whose turn it is, of ``candidates`` (folder id -> weight, each at least 1).

        A folder that is not a candidate earns nothing and forgets its credit: an empty folder saves up no turns.
        Equal credit is decided by the smaller id. Raises ValueError when there is no candidate or a weight is
        below 1; the credit is then unchanged.
        """
        if not candidates:
            raise ValueError("there is no candidate")
        if min(candidates.values()) < 1:
            raise ValueError("a weight is below 1")
        credit = {folder: self._credit.get(folder, 0) + weight for folder, weight in candidates.items()}
        picked = min(credit, key=lambda folder: (-credit[folder], folder))
        credit[picked] -= sum(candidates.values())
        self._credit = credit
        return picked
