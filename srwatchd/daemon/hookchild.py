"""The first thing that runs in a hook's process: give up what is the daemon's, then become the program.

Run by its path with ``python -I -S``, so it must import nothing of srwatchd. A fork of the daemon would stand still
with the daemon's interpreter in the call that looks the program up, when that lies on a hung mount; this process stands
still alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys

__all__ = ["main"]

_PR_SET_PDEATHSIG = 1
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_NICE = 10
_OOM_SCORE = "500"


def main(words: list[str]) -> int:
    """Become the program ``words[0]``; returns 127 when that cannot be."""
    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number in (signal.SIGPIPE, signal.SIGIO):  # both are ignored by the daemon, and that would be inherited
        signal.signal(number, signal.SIG_DFL)
    with contextlib.suppress(OSError):
        os.nice(_NICE)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write(_OOM_SCORE)
    try:
        os.execv(words[0], words)  # noqa: S606 - no shell is the point
    except OSError as error:
        sys.stderr.write(f"{words[0]}: {error.strerror}\n")
    return 127


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
