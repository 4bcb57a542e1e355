"""Every field that a line of the ledger can carry, and the check that an entry's fields are among them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

__all__ = ["FIELDS", "OWN_FIELDS", "Field", "checked", "fields_table"]

Kind = Literal["text", "number", "flag", "list"]

_LARGEST: Final = (1 << 53) - 1
_MOST_TEXT: Final = 32768
_MOST_ITEMS: Final = 1024
_MOST_ITEM_TEXT: Final = 512
_DETAIL: Final = re.compile(r"srwatchd\.detail\.[a-z0-9_]+(\.[a-z0-9_]+)*")


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its flat dotted name, the type of its value, and what it says."""

    name: str
    kind: Kind
    description: str


def _table(*fields: Field) -> dict[str, Field]:
    return {field.name: field for field in fields}


OWN_FIELDS: Final[dict[str, Field]] = _table(
    Field("@timestamp", "text", "When it was written: RFC 3339, UTC, microseconds. The order is `event.sequence`."),
    Field("ecs.version", "text", "The version of the Elastic Common Schema whose names are used."),
    Field("event.action", "text", "What happened; see the actions."),
    Field("event.category", "list", "ECS category, one item."),
    Field("event.duration", "number", "How long it took, in nanoseconds; absent when it has no length."),
    Field("event.kind", "text", "`event`, or `alert` for what a person must look at."),
    Field("event.outcome", "text", "`success`, `failure`, or `unknown` for an intent."),
    Field("event.reason", "text", "Why, in a sentence."),
    Field("event.sequence", "number", "One more than that of the line before, from 1, over all segments."),
    Field("event.type", "list", "ECS type, one item."),
    Field("host.boot.id", "text", "The kernel's id of this boot; tells boots apart where the clock cannot."),
    Field("host.name", "text", "The machine's name."),
    Field("process.pid", "number", "The process that wrote the line."),
    Field("srwatchd.hash", "text", "The line's own hash; always the last field."),
    Field("srwatchd.previous_hash", "text", "The hash of the line before; 64 zeros in the very first line."),
    Field("trace.id", "text", "The job, the same in all of its lines."),
)
"""What the ledger itself writes; an entry cannot set these through ``fields``."""

FIELDS: Final[dict[str, Field]] = _table(
    Field("error.code", "text", "The stable code of the error."),
    Field("error.message", "text", "What happened to which thing."),
    Field("error.stack_trace", "text", "The traceback of an internal error."),
    Field("error.type", "text", "The class of an internal error."),
    Field("file.hash.sha256", "text", "SHA-256 of the file that `file.path` names."),
    Field("file.inode", "text", "Its inode number, as text."),
    Field("file.mtime", "text", "Its time of modification, RFC 3339."),
    Field("file.name", "text", "A file's name without folders; of a segment in `ledger.*`."),
    Field("file.owner", "text", "The owner on disk, in words."),
    Field("file.path", "text", "The file concerned: the source of a job, exactly as named, by JSON escapes."),
    Field("file.size", "number", "Its size in bytes."),
    Field("file.uid", "text", "The owner's number, as text."),
    Field("process.exit_code", "number", "The exit status with which the daemon stops."),
    Field("source.ip", "text", "The address that the source was dropped from, when known."),
    Field("srwatchd.archive.path", "text", "Where the source is now; absent when it was deleted."),
    Field("srwatchd.attempt.count", "number", "How many attempts were made so far."),
    Field("srwatchd.attempt.limit", "number", "How many there may be."),
    Field("srwatchd.batch.delivered", "number", "How many pictures of a batch were delivered."),
    Field("srwatchd.batch.failed", "number", "How many could not be."),
    Field("srwatchd.batch.id", "text", "The run of `srwatchd upscale`, the same in all of its lines."),
    Field("srwatchd.batch.left", "number", "How many were not reached before it ended."),
    Field("srwatchd.batch.output", "text", "The folder that a batch delivers into."),
    Field("srwatchd.batch.pictures", "number", "How many pictures a batch was given."),
    Field("srwatchd.batch.skipped", "number", "How many had a complete result already."),
    Field("srwatchd.break.line", "number", "The line of the broken segment at which the chain breaks."),
    Field("srwatchd.break.what", "text", "What is wrong there."),
    Field("srwatchd.chain.algorithm", "text", "`sha256` or `hmac-sha256`: how this segment's lines are hashed."),
    Field("srwatchd.chain.format", "number", "The version of the chain's format."),
    Field("srwatchd.chain.key_id", "text", "Which key; the first 16 digits of a HMAC of a fixed text."),
    Field("srwatchd.checkpoint.to", "text", "Where a checkpoint was put."),
    Field("srwatchd.configuration.path", "text", "The configuration file."),
    Field("srwatchd.configuration.problems", "list", "What is wrong with a refused one."),
    Field("srwatchd.configuration.sha256", "text", "Its hash."),
    Field("srwatchd.dropped.bytes", "number", "How many bytes of a torn line were cut off."),
    Field("srwatchd.dropped.sha256", "text", "Their hash."),
    Field("srwatchd.duration.archive", "number", "Nanoseconds until the source was archived or deleted."),
    Field("srwatchd.duration.decode", "number", "Nanoseconds of decoding."),
    Field("srwatchd.duration.deliver", "number", "Nanoseconds until the result was durable in the done folder."),
    Field("srwatchd.duration.encode", "number", "Nanoseconds of encoding."),
    Field("srwatchd.duration.queue", "number", "Nanoseconds between settled and claimed."),
    Field("srwatchd.duration.settle", "number", "Nanoseconds between first seen and settled."),
    Field("srwatchd.duration.upscale", "number", "Nanoseconds of inference."),
    Field("srwatchd.duration.verify", "number", "Nanoseconds of checking the staged result."),
    Field("srwatchd.engine.device", "text", "The device that the engine used."),
    Field("srwatchd.engine.name", "text", "The engine that did the inference."),
    Field("srwatchd.engine.precision", "text", "`f32`, `bf16` or `f16`."),
    Field("srwatchd.engine.reason", "text", "Why this engine was chosen."),
    Field("srwatchd.error.path", "text", "Where a quarantined source is now."),
    Field("srwatchd.folder", "text", "The id of the hot folder."),
    Field("srwatchd.hint", "text", "What a person can do."),
    Field("srwatchd.hook.event", "text", "What the hook was for: `success`, `failure` or `hold`."),
    Field("srwatchd.hook.output", "text", "The end of what it said."),
    Field("srwatchd.hook.program", "text", "Its program."),
    Field("srwatchd.hook.status", "number", "Its exit status; negative: the signal that ended it."),
    Field("srwatchd.jobs.finished", "list", "Latest jobs with an outcome before this segment: `action job`."),
    Field("srwatchd.jobs.unfinished", "list", "Jobs with an intent and no outcome before this segment."),
    Field("srwatchd.model.name", "text", "The model."),
    Field("srwatchd.model.scale", "number", "Its scale."),
    Field("srwatchd.model.sha256", "text", "The hash of its file."),
    Field("srwatchd.origin", "text", "How it is known who dropped the source: `samba`, `console`, or only `owner`."),
    Field("srwatchd.result.format", "text", "The format of the result."),
    Field("srwatchd.result.height", "number", "Pixels."),
    Field("srwatchd.result.path", "text", "Where the result was delivered."),
    Field("srwatchd.result.sha256", "text", "SHA-256 of the result."),
    Field("srwatchd.result.size", "number", "Bytes."),
    Field("srwatchd.result.width", "number", "Pixels."),
    Field("srwatchd.retention.age", "number", "How old the file was at the least, in seconds of credible time."),
    Field("srwatchd.retention.place", "text", "Where it lay: `archive`, `done` or `error`."),
    Field("srwatchd.retention.rule", "text", "The rule that removed the file: `max_age`, `max_size` or `min_free`."),
    Field("srwatchd.segment.first_sequence", "number", "Sequence of the first line of the retired segment."),
    Field("srwatchd.segment.intact", "flag", "Whether the retired segment's own chain was whole."),
    Field("srwatchd.segment.last_hash", "text", "Hash of the last line of the retired segment."),
    Field("srwatchd.segment.last_sequence", "number", "Sequence of the last line of the retired segment."),
    Field("srwatchd.segment.lines", "number", "How many lines the retired segment had."),
    Field("srwatchd.segment.previous", "text", "The file name of the segment before; absent in a ledger's first."),
    Field("srwatchd.source.format", "text", "The format of the source by its content."),
    Field("srwatchd.source.height", "number", "Pixels."),
    Field("srwatchd.source.pages", "number", "Pages or frames; width and height are those of the first."),
    Field("srwatchd.source.width", "number", "Pixels."),
    Field("srwatchd.state", "text", "The state of a recovered job."),
    Field("srwatchd.tiles", "number", "How many tiles the picture was cut into."),
    Field("srwatchd.version", "text", "The version of srwatchd."),
    Field(
        "user.id",
        "text",
        "Number of that user, as text, where it is what is known: the owner of a file.",
    ),
    Field("user.name", "text", "Who dropped the file, or who gave the command, when known."),
)
"""What an entry can carry. Names are only ever added, and never change their meaning or type."""


def checked(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of ``fields`` without None, over-long texts cut.

    Raises :class:`ValueError` for an unknown name and :class:`TypeError` for a value that is not of its kind.
    """
    return {name: _value(name, value) for name, value in fields.items() if value is not None}


def _value(name: str, value: object) -> object:
    field = FIELDS.get(name)
    if field is None and _DETAIL.fullmatch(name) is None:
        raise ValueError(f"{name!r} is no field of the ledger")
    kind = _kind(value)
    if kind is None or (field is not None and field.kind != kind):
        wanted = "text, number, flag or list" if field is None else field.kind
        raise TypeError(f"{name} takes a {wanted}, not {type(value).__name__}")
    if isinstance(value, str):
        return value[:_MOST_TEXT]
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise ValueError(f"{name}: {value} is too large; numbers beyond 2**53 are written as text")
    if isinstance(value, Sequence):
        return [str(item)[:_MOST_ITEM_TEXT] for item in value[:_MOST_ITEMS]]
    return value


def _kind(value: object) -> Kind | None:
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool):
        return "flag"
    if isinstance(value, int):
        return "number"
    if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
        return "list"
    return None


def fields_table() -> str:
    """:data:`OWN_FIELDS` and :data:`FIELDS` as the Markdown table of `docs/ledger.md`."""
    rows = [
        f"| `{f.name}` | {f.kind} | {'ledger' if f.name in OWN_FIELDS else 'entry'} | {f.description} |"
        for f in (*OWN_FIELDS.values(), *FIELDS.values())
    ]
    return "\n".join(["| field | type | set by | says |", "|---|---|---|---|", *rows])
