"""The ledger: an append-only, chained record of everything that was done, and the tools that check and read it.

Described for users and for authors of other verifiers in `docs/ledger.md`.
"""

from __future__ import annotations

from srwatchd.audit.checkpoint import Agreement, Checkpoint, check_against, checkpoint
from srwatchd.audit.events import ACTIONS, Action, Entry, Outcome
from srwatchd.audit.export import export, tail
from srwatchd.audit.fields import FIELDS, OWN_FIELDS, Field
from srwatchd.audit.key import read_key
from srwatchd.audit.ledger import Ledger
from srwatchd.audit.origin import Origin
from srwatchd.audit.segments import closed_segments, segments
from srwatchd.audit.survey import Opened
from srwatchd.audit.verify import Fault, Report, verify

__all__ = [
    "ACTIONS",
    "FIELDS",
    "OWN_FIELDS",
    "Action",
    "Agreement",
    "Checkpoint",
    "Entry",
    "Fault",
    "Field",
    "Ledger",
    "Opened",
    "Origin",
    "Outcome",
    "Report",
    "check_against",
    "checkpoint",
    "closed_segments",
    "export",
    "read_key",
    "segments",
    "tail",
    "verify",
]
