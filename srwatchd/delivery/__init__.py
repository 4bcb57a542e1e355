"""Putting results and sources where they belong, so that nothing is ever overwritten, lost or doubled.

``names`` decides what things are called, ``staging`` makes a file at a hidden name beside its place, ``source`` moves a
claimed source across mounts, ``sidecar`` writes the reason beside a quarantined one, and ``steps`` joins them into the
three ends of a job: deliver, archive, quarantine. Each step can be repeated after a crash.
"""

from __future__ import annotations

from srwatchd.delivery.names import quarantine_name, result_name
from srwatchd.delivery.sidecar import sidecar_data
from srwatchd.delivery.source import Claim, delete_source
from srwatchd.delivery.staging import Destination, Staged
from srwatchd.delivery.steps import archive, deliver, quarantine

__all__ = [
    "Claim",
    "Destination",
    "Staged",
    "archive",
    "delete_source",
    "deliver",
    "quarantine",
    "quarantine_name",
    "result_name",
    "sidecar_data",
]
