"""What becomes of an exception that nobody foresaw: an error of the tree, with its traceback for the report."""

from __future__ import annotations

import traceback

from srwatchd.errors import HINTS, HostError, PermanentError, SrwatchdError

__all__ = ["defect", "host_error"]


def defect(error: Exception) -> PermanentError:
    """What an unknown exception becomes: its traceback, for the report."""
    return PermanentError("internal_error", "".join(traceback.format_exception(error, limit=20)))


def host_error(error: Exception) -> HostError:
    """What no picture is to blame for: also a model altered meanwhile, and an errno that nobody has translated."""
    if isinstance(error, HostError):
        return error
    if isinstance(error, SrwatchdError):
        return HostError(error.code, error.message, hint=error.hint)
    if isinstance(error, OSError):
        return HostError("io_error", f"the file system reported an error: {error}", path=str(error.filename or ""))
    return HostError("io_error", defect(error).message, hint=HINTS["internal_error"])
