"""Who owns a file, in words a person can act on."""

from __future__ import annotations

import functools
import os
import pwd

__all__ = ["own_name", "owner_name"]


@functools.lru_cache(maxsize=256)
def owner_name(uid: int) -> str:
    """Number and name of a user: ``uid 1001 (anna)``, or ``uid 1001`` when the machine does not know it."""
    try:
        return f"uid {uid} ({pwd.getpwuid(uid).pw_name})"
    except KeyError:
        return f"uid {uid}"


def own_name() -> str:
    """The user that this process acts as."""
    return owner_name(os.geteuid())
