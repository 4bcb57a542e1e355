"""What the tests of the whole share."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True, scope="module")
def unmeasured_all(unmeasured):
    """Of none of these tests."""
