"""What the console's API says and takes: one class for each JSON object, from which its description is made.

Texts that come from file names are made harmless for a page's line (:func:`srwatchd.intake.names.display`); what is
to be done with a file is asked for by its job. Times are RFC 3339, UTC, as the ledger has them; seconds and bytes are
plain numbers. Fields are only ever added.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "Attention",
    "Daemon",
    "Error",
    "ErrorAnswer",
    "Folder",
    "Folders",
    "Health",
    "Hold",
    "Job",
    "JobDetail",
    "Jobs",
    "Live",
    "Login",
    "Minute",
    "Outcome",
    "Picture",
    "Queue",
    "Result",
    "Retried",
    "Role",
    "Running",
    "Session",
    "Shape",
    "Source",
    "Space",
    "Throughput",
    "TimelineEntry",
    "Uploaded",
    "WaitingFile",
]

Role = Literal["viewer", "operator"]
Outcome = Literal["running", "delivered", "quarantined", "released", "failed"]
"""``failed``: `srwatchd upscale` gave the picture up; its source stays where it is."""


class Shape(BaseModel):
    """What every one of them has in common: nothing but the fields it names."""

    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid")


class Error(Shape):
    """What went wrong. ``code`` is stable and one of docs/errors.md."""

    code: str
    message: str
    hint: str
    """What a person can do."""


class ErrorAnswer(Shape):
    """The body of every answer from 400 on."""

    error: Error


class Health(Shape):
    """Whether the service works: ``degraded`` when a person is needed, ``down`` when the daemon does not answer."""

    status: Literal["ok", "degraded", "down"]
    daemon: bool
    version: str
    """The console's version."""


class Login(Shape):
    """Who wants in."""

    name: str = Field(min_length=1, max_length=64)
    password: str = Field(min_length=1, max_length=1024)


class Session(Shape):
    """Who is asking. Without ``user`` and ``role`` nobody is; ``login_needed`` says whether that matters."""

    user: str | None
    role: Role | None
    login_needed: bool
    language: Literal["en", "zh"] | None = None
    """What the browser prefers of the languages that there are."""


class Daemon(Shape):
    """The daemon as the console finds it."""

    running: bool
    version: str | None = None
    since: str | None = None
    """When it started."""
    pid: int | None = None
    code: str | None = None
    """Why there is no answer: ``not_running``, ``not_answering``, ``not_writable``."""
    message: str | None = None
    hint: str | None = None


class Attention(Shape):
    """One thing that needs a person, the most pressing first."""

    kind: Literal["hold", "file", "error", "ledger", "daemon", "disk"]
    folder: str | None = None
    name: str | None = None
    code: str
    message: str
    hint: str
    job: str | None = None
    """For ``error``: the job that can be looked at and retried."""
    since: str | None = None


class Queue(Shape):
    """How much there is to do, over all folders."""

    waiting: int
    in_work: int
    retrying: int


class Running(Shape):
    """A picture in work."""

    job: str | None
    """None until it is claimed."""
    folder: str
    name: str
    stage: str
    done: int
    """Tiles."""
    total: int
    """0 while the stage is not counted in tiles."""
    seconds: float
    width: int
    height: int
    """Of the source; 0 until it is known."""


class Minute(Shape):
    """What ended in one minute."""

    at: str
    delivered: int
    failed: int
    megapixels: float
    """Of results."""


class Throughput(Shape):
    """The last hour by minutes, oldest first; the two figures are the mean of the last five minutes."""

    pictures_per_minute: float
    megapixels_per_minute: float
    minutes: list[Minute]


class Hold(Shape):
    """Why a folder stands still."""

    code: str
    message: str
    hint: str
    since: str


class Space(Shape):
    """The disk with the least room among those of a folder's done, error, archive and inbox."""

    free: int
    """Bytes, rounded to 16 MiB so that a live page is not sent for nothing."""
    total: int
    min_free: int
    """Below this the folder is held."""


class WaitingFile(Shape):
    """A file that has been in the inbox for long, or that needs a person."""

    name: str
    reason: str
    detail: str
    seconds: int


class Folder(Shape):
    """One hot folder. What the daemon knows is null while it does not answer."""

    id: str
    state: Literal["active", "held", "not answering", "outside active hours", "unknown"]
    paused: bool
    waiting: int | None
    in_work: int | None
    retrying: int | None
    delivered: int | None
    """Since the daemon's start or reload."""
    quarantined: int | None
    model: str
    scale: int | None
    engine: str | None = None
    hold: Hold | None
    space: Space | None
    inbox: str
    done: str
    max_size: int
    """The largest upload in bytes: the smaller one of the folder's and the console's limit."""
    formats: list[str]
    """Endings of names that pictures usually have, for a file dialog; others may be taken too."""
    files: list[WaitingFile] = []
    warnings: list[str] = []
    upscale: bool = False
    """One of the folders behind POST /api/v1/upscale."""


class Folders(Shape):
    """All hot folders of the configuration, in its order."""

    folders: list[Folder]


class Picture(Shape):
    """What is in a file, and whether the file is still there (null: its disk does not say)."""

    format: str | None
    width: int | None
    height: int | None
    size: int | None
    present: bool | None


class Source(Picture):
    """The picture that was dropped."""


class Result(Picture):
    """The enlarged one; ``name`` is relative to the done folder."""

    name: str | None


class Job(Shape):
    """One picture's way, as the ledger tells it."""

    job: str
    folder: str
    name: str
    outcome: Outcome
    code: str | None
    """Of the error that ended it, or of the last failed attempt while it is running."""
    message: str | None
    hint: str | None
    claimed_at: str
    ended_at: str | None
    seconds: float | None
    """From the claim to the end."""
    durations: dict[str, float]
    """Seconds of settle, queue, decode, upscale, encode, verify, deliver, archive."""
    source: Source
    result: Result | None
    model: str | None
    scale: int | None
    engine: str | None
    user: str | None
    address: str | None
    origin: Literal["samba", "console", "owner"] | None
    retryable: bool
    """Its source lies in the error folder and can be put back."""


class Jobs(Shape):
    """A page of the history, newest first. ``total`` counts what fits the filters; ``next`` is null at the end."""

    jobs: list[Job]
    next: str | None
    total: int
    indexed: bool = True
    """False while the ledger is still being read: some of the history is missing."""


class TimelineEntry(Shape):
    """One line of the ledger about a job; ``seconds`` is how long the step took."""

    sequence: int
    at: str
    action: str
    outcome: str
    seconds: float | None
    fields: dict[str, Any]


class JobDetail(Job):
    """A job with everything that the ledger says about it."""

    timeline: list[TimelineEntry]


class Retried(Shape):
    """The source is back in the inbox."""

    folder: str
    name: str


class Live(Shape):
    """What a page shows of the present moment. Asked again and again with If-None-Match."""

    daemon: Daemon
    attention: list[Attention]
    queue: Queue
    running: list[Running]
    throughput: Throughput
    folders: list[Folder]
    recent: list[Job]
    """The latest twelve that ended."""


class Uploaded(Shape):
    """The file stands in the inbox under ``name``, which has a number when the wanted one was taken."""

    folder: str
    name: str
    size: int
