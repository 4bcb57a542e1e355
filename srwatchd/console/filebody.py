"""An open file as an answer: whole or a part of it, without a thread that waits for a slow reader."""

from __future__ import annotations

import asyncio
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from starlette.responses import StreamingResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from starlette.types import Receive, Scope, Send

__all__ = ["FileBody", "attachment"]

_CHUNK: Final = 1 << 18
_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_FALLBACK: Final = re.compile(r"[^A-Za-z0-9 ._()+,=@-]")


@dataclass(frozen=True, slots=True)
class _Part:
    """The bytes from ``begin`` up to ``end``, which is not among them."""

    begin: int
    end: int


class FileBody(StreamingResponse):
    """The file behind ``descriptor``, which is closed in any case. ``tag`` stands for its content.

    Answers If-None-Match with 304 and one range with 206 or 416 (RFC 9110, 13 and 14); several ranges get all of it.
    """

    def __init__(
        self, descriptor: int, *, media_type: str, tag: str, asked: Mapping[str, str], headers: Mapping[str, str]
    ) -> None:
        self._descriptor = descriptor
        size = os.fstat(descriptor).st_size
        etag = f'"{tag}"'
        told = {"ETag": etag, "Accept-Ranges": "bytes", **headers}
        part, status = _Part(0, size), 200
        if _names(asked.get("if-none-match", ""), etag):
            part, status = _Part(0, 0), 304
        elif (wanted := asked.get("range")) is not None and asked.get("if-range", etag) == etag:
            part, status = _wanted(wanted, size)
        if status == 206:  # noqa: PLR2004 - HTTP
            told["Content-Range"] = f"bytes {part.begin}-{part.end - 1}/{size}"
        elif status == 416:  # noqa: PLR2004 - HTTP
            told["Content-Range"] = f"bytes */{size}"
        if status != 304:  # noqa: PLR2004 - HTTP
            told["Content-Length"] = str(part.end - part.begin)
        super().__init__(self._chunks(part), status, told, media_type=media_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; only its head to HEAD."""
        try:
            if scope["method"] == "HEAD":
                self.body_iterator = self._chunks(_Part(0, 0))
            await super().__call__(scope, receive, send)
        finally:
            os.close(self._descriptor)

    async def _chunks(self, part: _Part) -> AsyncIterator[bytes]:
        at = part.begin
        while at < part.end:
            chunk = await asyncio.to_thread(os.pread, self._descriptor, min(_CHUNK, part.end - at), at)
            if not chunk:  # cut short under our hands: the length that was promised does not come
                raise OSError(f"the file ended {part.end - at} bytes early")
            yield chunk
            at += len(chunk)


def attachment(name: str) -> str:
    """A Content-Disposition that has a browser save the answer under ``name`` (RFC 6266, RFC 8187).

    Of the name only its last part counts. Bytes that are no text become U+FFFD, what cannot be seen an underscore, and
    so does everything that is not plain for clients that know no better.
    """
    text = name.rpartition("/")[2].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    base = "".join(each if each.isprintable() else "_" for each in text) or "file"
    return f"attachment; filename=\"{_FALLBACK.sub('_', base)}\"; filename*=UTF-8''{quote(base, safe='')}"


def _names(condition: str, etag: str) -> bool:
    return condition.strip() == "*" or etag in (each.strip().removeprefix("W/") for each in condition.split(","))


def _wanted(text: str, size: int) -> tuple[_Part, int]:
    """The part that a Range header asks for, and the status for it."""
    match = _RANGE.fullmatch(text.strip())
    if match is None or match[1] == match[2] == "":
        return _Part(0, size), 200
    first, last = match[1], match[2]
    if not first:
        begin, end = max(0, size - int(last)), size
    else:
        begin, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < begin:
            return _Part(0, size), 200
    return (_Part(begin, end), 206) if begin < end else (_Part(0, 0), 416)
