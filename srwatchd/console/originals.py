"""The files of jobs, as long as they are the ones that the ledger tells of."""

from __future__ import annotations

import collections
import os
import threading
from typing import TYPE_CHECKING, Final

from srwatchd.console.files import opened, path_of
from srwatchd.console.refusals import DeclinedError
from srwatchd.storage import hash_descriptor, host_errors

if TYPE_CHECKING:
    from srwatchd.config import Config
    from srwatchd.console.account import Account
    from srwatchd.console.files import Side

__all__ = ["Originals"]

_REMEMBERED: Final = 4096
_FACTS: Final[dict[Side, tuple[str, str]]] = {"source": ("size", "sha256"), "result": ("result_size", "result_sha256")}
_Identity = tuple[int, int, int, int, int]


class Originals:
    """Opens sources and results. A file is hashed once, and again when it has changed. For several threads."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._hashes: collections.OrderedDict[_Identity, str] = collections.OrderedDict()

    def open(self, account: Account, side: Side) -> int:
        """A descriptor of the file for reading. Blocks, for a large file that is new here for seconds.

        Raises DeclinedError ``not_finished`` in the midst of the job, ``file_gone`` when it is not there, or another
        by its size or, where the ledger has it, its hash; HostError for a disk that refuses.
        """
        with host_errors(path_of(account, side) or "", "reading"):
            descriptor = opened(self._config, account, side)
            try:
                self._compare(descriptor, account, side)
            except BaseException:
                os.close(descriptor)
                raise
        return descriptor

    def _compare(self, descriptor: int, account: Account, side: Side) -> None:
        size, sha256 = (account.get(key) for key in _FACTS[side])
        differs = size is not None and os.fstat(descriptor).st_size != size
        if differs or (sha256 is not None and self._hash(descriptor) != sha256):
            text = f"another file has taken the place of the {side}"
            raise DeclinedError(410, "file_gone", text, hint="Look into the folder: the name is in use again.")

    def _hash(self, descriptor: int) -> str:
        facts = os.fstat(descriptor)
        key = (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
        with self._lock:
            known = self._hashes.get(key)
        if known is None:
            known = hash_descriptor(descriptor)
            with self._lock:
                self._hashes[key] = known
                while len(self._hashes) > _REMEMBERED:
                    self._hashes.popitem(last=False)
        return known
