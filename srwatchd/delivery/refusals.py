"""Names that a file system does not take: the fault of the name, not of the host.

What Linux allows in a name, vfat, NTFS and network file systems do not: characters such as ``:`` and ``?``, names that
are no UTF-8, and long ones. Held folders would wait for ever for such a file system to change its mind.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, Final

from srwatchd.errors import PermanentError
from srwatchd.storage import STAGING_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["REFUSALS", "refused_names", "takes"]

REFUSALS: Final = frozenset({errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG})
"""What a file system says of a name that it does not take."""

_LONGEST_PROBE: Final = 64


@contextlib.contextmanager
def refused_names(place: Path) -> Iterator[None]:
    """Translate an OSError that says that ``place`` cannot be called so into PermanentError ``name_refused``."""
    try:
        yield
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        message = f"the file system does not take the name {str(place)!r}: {os.strerror(error.errno)}"
        raise PermanentError("name_refused", message) from error


def takes(base: str, *, dir_fd: int) -> bool:
    """Whether files in an open folder may have the characters of ``base``.

    Asked where a refusal could mean something else as well: by a hidden file that is removed at once.
    """
    probe = STAGING_PREFIX + "probe." + base[-_LONGEST_PROBE:]
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        os.close(os.open(probe, flags, 0o600, dir_fd=dir_fd))
    except OSError as error:
        return error.errno not in REFUSALS
    with contextlib.suppress(OSError):
        os.unlink(probe, dir_fd=dir_fd)
    return True
