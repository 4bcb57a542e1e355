"""Every error that srwatchd raises on purpose, and what becomes of each.

::

    SrwatchdError                 code, message, hint
    ├── JobError                  one picture is concerned
    │   ├── TransientError        try again later, at most ``retry.max_attempts`` times
    │   └── PermanentError        to the error folder, with the reason beside it
    ├── DeclinedError                   the console does not answer a request as it wished (`srwatchd.console.refusals`)
    ├── HostError                 the machine is at fault: hold, spend no attempt, resume by itself
    └── FatalError                the command ends with ``exit_code``
        ├── ConfigurationError    78, with every problem at once
        ├── RequestError          2, a daemon was asked for something that it does not know
        ├── InstanceError         69, another daemon owns the state or an inbox
        ├── ModelError            70, a model is missing, altered or fails its smoke test
        └── RefusedError          4, a model is not imported, exported or removed; nothing changed

An exception that is none of these is a defect of srwatchd: the picture is quarantined as ``internal_error`` with
the traceback and is never retried for ever.

``code`` is stable (scripts and dashboards rely on it), ``message`` says what happened to which thing, ``hint`` says
what a person can do. :data:`HINTS` is the one list of the codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

__all__ = [
    "HINTS",
    "ConfigurationError",
    "FatalError",
    "HostError",
    "InstanceError",
    "JobError",
    "ModelError",
    "PermanentError",
    "Problem",
    "RequestError",
    "SrwatchdError",
    "TransientError",
    "from_wire",
]

HINTS: Final[dict[str, str]] = {
    # permanent: the picture's own fault
    "empty": "The file has no content. Drop it again.",
    "not_a_picture": "Its content is no picture format that srwatchd knows. Convert it to PNG, JPEG, TIFF or WebP.",
    "unsupported_format": "Convert it to PNG, JPEG, TIFF or WebP and drop it again.",
    "unsupported_content": "Save it as a plain single-page 8 or 16 bit picture and drop it again.",
    "incomplete": "The file is incomplete or damaged. Drop it again from its source.",
    "too_small_file": "It is smaller than the folder's min_size.",
    "too_large_file": "It is larger than the folder's max_size; raise max_size or split the picture.",
    "too_many_pixels": "Raise limits.max_input_pixels or limits.max_output_pixels, or drop a smaller picture.",
    "too_large_for_memory": "Raise memory_limit, or choose a model with a smaller scale.",
    "format_limit": "Choose another output.format (PNG and TIFF have no such limit), or set output.on_format_limit.",
    "name_taken": "Move the result of that name out of the done folder, or set output.on_conflict to rename.",
    "name_refused": "Drop it again under a plain name: letters, digits, no characters such as : ? * in it.",
    "cannot_encode": "Choose another output.format, and report the picture if it should work.",
    "result_not_plausible": "The result did not look like its source on any engine. Run `srwatchd models verify`.",
    "writer_never_closed": "A program has kept it open for writing longer than max_hold. Close it, then retry.",
    "attempts_exhausted": "Every attempt failed; the list of attempts says why. Retry once the cause is gone.",
    "interrupted_too_often": "The daemon died ten times during this picture. Drop a smaller one, or check the memory.",
    "internal_error": "This is a defect of srwatchd. Please report it with this file.",
    # transient: the next attempt may succeed
    "source_changed": "It was written to while it was being read. It is looked at again.",
    "source_busy": "A program has it open for writing. It is looked at again.",
    "source_vanished": "Somebody removed it before it was claimed.",
    "worker_died": "A worker process ended on this picture. It is tried again.",
    "worker_killed": "Somebody else killed a worker process. The picture is not to blame and is tried again.",
    "worker_hung": "A worker made no progress in its time and was killed. It is tried again.",
    "worker_stuck": "A worker waited for a disk or mount that did not answer. Check it; no attempt is counted.",
    "out_of_memory": "A worker ran out of memory. It is tried again with smaller tiles.",
    # host: nobody's picture is at fault
    "disk_full": "Free space on that file system. Work goes on by itself.",
    "read_only": "Make that file system writable again. Work goes on by itself.",
    "folder_missing": "Mount or create the folder again. Work goes on by itself.",
    "folder_unmarked": "The folder does not carry its id: wrong disk or not mounted. `srwatchd init` marks a new one.",
    "folder_foreign": "The folder belongs to another state_dir. Give each daemon its own folders.",
    "not_writable": "Give the daemon's user write permission on the folder.",
    "source_unreadable": "Give the daemon's user read permission, for example by a common group.",
    "source_unmovable": "Give the daemon's user write permission on the folder that holds it.",
    "ledger_unwritable": "Nothing is moved without a record. Free space or repair the ledger's folder.",
    "not_answering": "The file system hangs: check the disk, or the server of the network mount.",
    "io_error": "The file system reported an error. Check the disk or the network mount.",
    "workers_unavailable": "Worker processes do not start. See the log; `srwatchd doctor` names the cause.",
    # fatal
    "configuration": "Correct the configuration file; `srwatchd check-config FILE` lists every problem.",
    "another_instance": "Stop the other daemon, or give this one its own state_dir and folders.",
    "model_missing": "`srwatchd models list` shows what there is; `srwatchd models import` adds a file.",
    "model_altered": "The file's sha256 is not the recorded one. Install the package again or import the model again.",
    "model_unusable": "The model failed its smoke test on every engine. `srwatchd models verify` says how.",
    "model_refused": "Nothing was changed. docs/models.md says what can be imported, exported and removed.",
    "engine_unavailable": "Set engine.name to auto, or install what the engine needs; `srwatchd doctor` says what.",
    "ledger_broken": "The ledger's chain is broken. Keep the files, and see `srwatchd audit verify`.",
    "not_installed": "Run it as root on a machine with systemd, or with --root on another system's root folder.",
    "bad_request": "See `srwatchd --help`; the command should be of the same version as the daemon that it asks.",
    "not_running": "Start the daemon with `srwatchd run --config FILE`.",
    # the console's
    "extra_missing": "Install srwatchd with the extra that the message names.",
    "address_refused": "Choose another with --host and --port, or console.host and console.port.",
    "not_found": "It may have been removed. Go back and look again.",
    "method_refused": "docs/api.md says what can be asked.",
    "wrong_host": "Reach the console under its own name, or add the name to console.allowed_hosts.",
    "cross_site": "Open the console itself and do it there. A program sends the header X-Srwatchd: 1.",
    "login_needed": "Log in, or send a token: Authorization: Bearer TOKEN.",
    "login_refused": "Check the name and the password; `srwatchd console user add` sets a new one.",
    "login_limited": "There were too many wrong passwords. Wait a while, then try once more.",
    "not_allowed": "This takes the role operator. Ask whoever runs srwatchd.",
    "name_unwanted": "The folder takes no file of such a name. Give it another one, or change include and exclude.",
    "too_large_upload": "It is larger than console.upload.max_size. Raise that, or drop it over the share.",
    "too_many_uploads": "Wait until some have ended; the console tries again by itself.",
    "upload_broken": "The upload ended before all of it had come; nothing was kept. Send it again.",
    "too_slow": "Nothing came for a while. Check the network, then send it again.",
    "not_finished": "Ask again when the job has ended; the job itself says when that is.",
    "file_gone": "Somebody has taken or removed it, or retention has.",
    "not_retryable": "Only a picture whose source lies in the error folder can be retried.",
    "folder_paused": "Somebody has paused it: `srwatchd resume --folder ID`, or on the console's page.",
    "not_in_time": "The job goes on; look for it in the history.",
    "too_many_requests": "Wait a moment and ask again.",
    "verifying": "Wait for the verification that is running.",
    "ledger_busy": "Wait until another export has ended.",
}


class SrwatchdError(Exception):
    """The root of the tree. ``code`` must be a key of :data:`HINTS`."""

    def __init__(self, code: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = HINTS[code] if hint is None else hint

    def to_wire(self) -> dict[str, str]:
        """The error as plain data, for a message between processes."""
        wire = {"class": type(self).__name__, "code": self.code, "message": self.message, "hint": self.hint}
        return {**wire, "path": self.path} if isinstance(self, HostError) else wire


class JobError(SrwatchdError):
    """Something about one picture."""


class TransientError(JobError):
    """The same picture may succeed later."""


class PermanentError(JobError):
    """The same picture will always fail."""


class HostError(SrwatchdError):
    """The machine is at fault. ``path`` names the place."""

    def __init__(self, code: str, message: str, *, hint: str | None = None, path: str = "") -> None:
        super().__init__(code, message, hint=hint)
        self.path = path


class FatalError(SrwatchdError):
    """The command cannot go on and ends with ``exit_code``."""

    exit_code: ClassVar[int] = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a configuration: where, what, and what to do."""

    file: str
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.key}: {self.message}"


class ConfigurationError(FatalError):
    """The configuration is refused whole; ``problems`` lists everything that is wrong with it."""

    exit_code = 78

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("configuration", "\n".join(map(str, problems)))
        self.problems = problems


class RequestError(FatalError):
    """The daemon does not know what it was asked for, or not in this form."""

    exit_code = 2


class InstanceError(FatalError):
    """Another daemon holds the lock of this state or of an inbox."""

    exit_code = 69


class ModelError(FatalError):
    """A model that the configuration names cannot be used."""

    exit_code = 70


class RefusedError(FatalError):
    """A model is not imported, exported or removed, for the reason given; everything is as it was."""

    exit_code = 4


_WIRE: Final[dict[str, type[SrwatchdError]]] = {
    cls.__name__: cls
    for cls in (
        *(TransientError, PermanentError, HostError, ModelError, RefusedError),
        *(FatalError, InstanceError, RequestError),
    )
}


def from_wire(data: dict[str, Any]) -> SrwatchdError:
    """The error that :meth:`SrwatchdError.to_wire` described; an unknown class becomes ``internal_error``."""
    cls = _WIRE.get(str(data.get("class")))
    if cls is None or data.get("code") not in HINTS:
        return PermanentError("internal_error", str(data.get("message", "unknown error")))
    code, message, hint = str(data["code"]), str(data["message"]), str(data["hint"])
    if cls is HostError:
        return HostError(code, message, hint=hint, path=str(data.get("path", "")))
    return cls(code, message, hint=hint)
