"""The ledger's new lines within some hundredths of a second, for whoever waits for a job of theirs.

The history follows at leisure and for everybody; this follows closely, from the moment on at which it was opened, and
only while somebody waits.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any, Final

from srwatchd.audit.segments import open_segment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["LedgerTail"]

_MOST: Final = 8 << 20
"""Bytes that are read at once."""


class LedgerTail:
    """The lines of the ledger at ``path`` that come after now. Every method blocks for a local disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._rest = b""
        with contextlib.suppress(OSError):
            self._descriptor = open_segment(path)
        self._offset = 0 if self._descriptor < 0 else os.fstat(self._descriptor).st_size

    def lines(self, *, with_text: bytes) -> Iterator[dict[str, Any]]:
        """Every whole new line in which ``with_text`` stands, in order; goes on in the next segment by itself."""
        while self._descriptor >= 0 or self._next():
            data = os.pread(self._descriptor, _MOST, self._offset)
            self._offset += len(data)
            *whole, self._rest = (self._rest + data).split(b"\n")
            for raw in whole:
                if with_text in raw:
                    with contextlib.suppress(ValueError, RecursionError):
                        yield json.loads(raw)
            if not data and not self._next():
                return

    def close(self) -> None:
        """Let the file go."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _next(self) -> bool:
        """Go on in the file that has the ledger's name now, if that is another one."""
        try:
            descriptor = open_segment(self._path)
        except OSError:
            return False
        if self._descriptor >= 0 and os.path.sameopenfile(descriptor, self._descriptor):
            os.close(descriptor)
            return False
        if self._descriptor >= 0 and os.pread(self._descriptor, 1, self._offset):
            os.close(descriptor)  # what was written between our look and the change of segments comes first
            return True
        self.close()
        self._descriptor, self._offset, self._rest = descriptor, 0, b""
        return True
