"""One job's account: what its lines in the ledger come to. Pure."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

__all__ = ["ENDED", "Account", "told"]

Account: TypeAlias = dict[str, Any]
"""Plain data, kept as JSON: ``outcome`` and what is known besides; a key that is absent is not known."""

ENDED: Final[dict[str, str]] = {
    "job.completed": "delivered",
    "job.produced": "delivered",
    "job.quarantined": "quarantined",
    "job.released": "released",
    "job.failed": "failed",
}
"""The outcome that an action closes a job's account with."""

_KEPT: Final = {
    "file.path": "path",
    "file.size": "size",
    "file.hash.sha256": "sha256",
    "srwatchd.folder": "folder",
    "user.name": "user",
    "source.ip": "address",
    "srwatchd.origin": "origin",
    "srwatchd.model.name": "model",
    "srwatchd.model.scale": "scale",
    "srwatchd.engine.name": "engine",
    "srwatchd.source.format": "source_format",
    "srwatchd.source.width": "source_width",
    "srwatchd.source.height": "source_height",
    "srwatchd.result.path": "result_path",
    "srwatchd.result.sha256": "result_sha256",
    "srwatchd.result.size": "result_size",
    "srwatchd.result.format": "result_format",
    "srwatchd.result.width": "result_width",
    "srwatchd.result.height": "result_height",
    "srwatchd.archive.path": "archive_path",
    "srwatchd.error.path": "error_path",
    "error.code": "code",
    "error.message": "message",
    "srwatchd.hint": "hint",
}
_FROM_ATTEMPT: Final = ("code", "message", "hint")
_DURATION: Final = "srwatchd.duration."


def told(account: Account, line: dict[str, Any]) -> Account:
    """``account`` after one more of the job's lines; both stay as they are.

    Lines come in the order of the ledger. After the outcome only lines of the same kind change anything, so that a hook
    that failed later, say, is no second end.
    """
    action = line.get("event.action")
    ended = ENDED.get(str(action))
    if account.get("ended_at") and ended is None:
        return account
    kept = {name: line[key] for key, name in _KEPT.items() if key in line}
    after: Account = {"outcome": "running", "claimed_at": line.get("@timestamp"), **account, **kept}
    if action == "job.delivering":
        after.pop("result_path", None)  # it is only wished for
    if ended is not None:
        after.update(outcome=ended, ended_at=line.get("@timestamp"))
        spent = {key.removeprefix(_DURATION): each for key, each in line.items() if key.startswith(_DURATION) and each}
        if spent:
            after["durations"] = spent
        if ended == "delivered":
            for name in _FROM_ATTEMPT:
                after.pop(name, None)
        elif "event.reason" in line:
            after["message"] = line["event.reason"]
    return after
