"""srwatchd.daemon.waiting: whose fault a hold is."""

from __future__ import annotations

import pytest

from srwatchd.daemon.waiting import concerns_source
from srwatchd.errors import HostError

SOURCE = ("/in/d4/p.png", "/real/in/d4/p.png", "/real/in/.srwatchd/j1.src")


@pytest.mark.parametrize(
    ("code", "path", "alone"),
    [
        ("io_error", "/in/d4/p.png", True),
        ("io_error", "/real/in/d4/p.png", True),
        ("io_error", "/real/in/.srwatchd/j1.src", True),
        ("io_error", "/archive/d4/p.png", False),
        ("io_error", "/in", False),
        ("source_unreadable", "/in/d4/p.png", True),
        ("source_unmovable", "/in/d4/p.png", True),
        ("disk_full", "/done", False),
    ],
)
def test_only_what_is_wrong_with_the_source_itself_spares_its_folder(code, path, alone):
    """An archive that fails at a file of the same name is no fault of the source."""
    assert concerns_source(HostError(code, "no", path=path), SOURCE) is alone
