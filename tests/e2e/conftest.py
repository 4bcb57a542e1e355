"""What the tests of the whole share."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True, scope="module")
def unmeasured():
    """No coverage of what is started here: it doubles a start's time, and the other tests reach the same lines."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("COVERAGE_PROCESS")]:
            patch.delenv(name)
        yield
