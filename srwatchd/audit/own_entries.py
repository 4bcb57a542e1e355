"""The entries that the ledger writes about itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from srwatchd.audit.chain import FORMAT, Seal
from srwatchd.audit.events import Entry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from srwatchd.audit.events import Outcome
    from srwatchd.audit.survey import Survey

__all__ = ["head_entry", "mended_entry", "tombstone_entry"]


def head_entry(action: str, *, seal: Seal, previous: str, fields: Mapping[str, Any]) -> Entry:
    """A segment's first line; ``previous`` is the file name of the segment before, "" for none."""
    chain = {
        "srwatchd.chain.format": FORMAT,
        "srwatchd.chain.algorithm": seal.algorithm,
        "srwatchd.chain.key_id": seal.key_id or None,
        "srwatchd.segment.previous": previous or None,
    }
    outcome: Outcome = "failure" if action == "ledger.break_found" else "success"
    return Entry(action, outcome, fields={**chain, **fields})


def mended_entry(name: str, found: Survey) -> Entry:
    """What was cut off the end of the segment ``name``."""
    fields = {
        "file.name": name,
        "srwatchd.dropped.bytes": found.dropped_bytes,
        "srwatchd.dropped.sha256": found.dropped_sha256,
    }
    return Entry("ledger.mended", fields=fields, reason=found.fault or "the segment was empty")


def tombstone_entry(name: str, found: Survey) -> Entry:
    """The tombstone of the closed segment ``name``: enough to hold its successor against it."""
    intact = not found.fault and found.last is not None
    fields = {
        "file.name": name,
        "file.size": found.total,
        "file.hash.sha256": found.sha256,
        "srwatchd.segment.first_sequence": found.head.sequence if found.head is not None else None,
        "srwatchd.segment.last_sequence": found.last.sequence if found.last is not None else None,
        "srwatchd.segment.last_hash": found.last.hash if found.last is not None else None,
        "srwatchd.segment.lines": found.lines,
        "srwatchd.segment.intact": intact,
    }
    return Entry("ledger.segment_retired", "success" if intact else "failure", fields=fields, reason=found.fault)
