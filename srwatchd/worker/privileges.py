"""What a worker that runs as root, or with capabilities, gives up; and an empty network of its own, if it may."""

from __future__ import annotations

import ctypes
import os
import resource
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["DAC_READ_SEARCH", "capabilities", "drop_capabilities", "limit_resources", "separate_network"]

DAC_READ_SEARCH: Final = 2

_CLONE_NEWNET: Final = 0x40000000
_PR_CAPBSET_DROP: Final = 24
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4
_VERSION_3: Final = 0x20080522
_LAST_CAPABILITY: Final = 63
_FILE_BYTES: Final = 256 << 30
_DESCRIPTORS: Final = 512


def limit_resources() -> None:
    """No file above 256 GiB, no more than 512 descriptors, no POSIX queues; what is made is private to this user.

    Threads are not limited here (RLIMIT_NPROC counts all processes of a user); memory limits them.
    """
    os.umask(0o077)
    for kind, most in (
        (resource.RLIMIT_FSIZE, _FILE_BYTES),
        (resource.RLIMIT_NOFILE, _DESCRIPTORS),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (allowed, allowed))


def separate_network() -> None:
    """Move this thread into a network without interfaces. Raises OSError (EPERM without CAP_SYS_ADMIN)."""
    libc = ctypes.CDLL(None, use_errno=True)
    _checked(libc.unshare(ctypes.c_int(_CLONE_NEWNET)))


def drop_capabilities(needed: Iterable[str]) -> tuple[int, ...]:
    """Give up every capability of this thread, for good; those that were kept.

    Only CAP_DAC_READ_SEARCH is ever kept, if one of the paths ``needed`` cannot be read without it: root may have been
    given files of another user. Raises OSError.
    """
    permitted = capabilities()
    _set(0, permitted)
    kept = 1 << DAC_READ_SEARCH if permitted >> DAC_READ_SEARCH & 1 and not all(map(_readable, needed)) else 0
    libc = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    libc.prctl(_PR_CAP_AMBIENT, ctypes.c_ulong(_PR_CAP_AMBIENT_CLEAR_ALL), zero, zero, zero)
    _set(permitted, permitted)
    for number in range(_LAST_CAPABILITY + 1):  # works with CAP_SETPCAP only; without, there is little to drop
        libc.prctl(_PR_CAPBSET_DROP, ctypes.c_ulong(number), zero, zero, zero)
    _set(kept, kept)
    return (DAC_READ_SEARCH,) if kept else ()


def capabilities() -> int:
    """The permitted capabilities of this thread, a bit for each number."""
    libc = ctypes.CDLL(None, use_errno=True)
    data = ctypes.create_string_buffer(24)
    _checked(libc.capget(struct.pack("=Ii", _VERSION_3, 0), data))
    words = struct.unpack("=6I", data.raw)
    return int(words[1] | words[4] << 32)


def _set(effective: int, permitted: int) -> None:
    """Set the capabilities of this thread; nothing is inheritable."""
    libc = ctypes.CDLL(None, use_errno=True)
    low = (effective & 0xFFFFFFFF, permitted & 0xFFFFFFFF, 0)
    high = (effective >> 32, permitted >> 32, 0)
    _checked(libc.capset(struct.pack("=Ii", _VERSION_3, 0), struct.pack("=6I", *low, *high)))


def _checked(result: int) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _readable(path: str) -> bool:
    """Whether ``path`` can be opened now; what is not there needs no right."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except PermissionError:
        return False
    except OSError:
        return True
    return True
