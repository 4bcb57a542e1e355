"""The one form that the API takes: a picture in the part ``file``, and what is said about it in others.

The file goes into a nameless file on the disk, for what is said may come after it. Everything is bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from srwatchd.console.refusals import DeclinedError
from srwatchd.storage import host_errors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

__all__ = ["Form", "read_form"]

_PIECE: Final = 1 << 18
_MOST_TEXT: Final = 4096
_MOST_PARTS: Final = 16
_MOST_HEAD: Final = 8192
_NAME: Final = re.compile(r"[\x20-\x7e]{1,64}")


@dataclass(slots=True)
class Form:
    """What came: the texts by their names, the file's name as sent, and its descriptor (-1: there was none)."""

    texts: dict[str, str] = field(default_factory=dict)
    filename: str = ""
    descriptor: int = -1
    size: int = 0

    async def body(self) -> AsyncIterator[bytes]:
        """The file's content."""
        at = 0
        while chunk := await asyncio.to_thread(os.pread, self.descriptor, _PIECE, at):
            yield chunk
            at += len(chunk)

    def close(self) -> None:
        """Give the file up."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


async def read_form(content_type: str, body: AsyncIterator[bytes], *, place: Path, most: int) -> Form:
    """The form in ``body``; its file, of at most ``most`` bytes, lies in the folder ``place``. The caller closes it.

    Raises DeclinedError 400 for what is no such form, 413 for too large a file; HostError for a disk that refuses.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise DeclinedError(400, "bad_request", "the form has no boundary", hint=_HINT)
    form = Form()
    reading = _Reading(form, place, most)
    try:
        parser = MultipartParser(options[b"boundary"], reading.callbacks())
        async for chunk in body:
            await asyncio.to_thread(parser.write, chunk)
        parser.finalize()
    except FormParserError as error:
        form.close()
        raise DeclinedError(400, "bad_request", f"the form cannot be read: {error}", hint=_HINT) from None
    except BaseException:
        form.close()
        raise
    return form


class _Reading:
    """Takes in the pieces of a form as its parser finds them."""

    def __init__(self, form: Form, place: Path, most: int) -> None:
        self._form, self._place, self._most = form, place, most
        self._parts = 0
        self._key = self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._name = ""
        self._text: bytearray | None = None

    def callbacks(self) -> Any:
        """What the parser calls."""
        names = (
            "part_begin",
            "part_data",
            "part_end",
            "header_field",
            "header_value",
            "header_end",
            "headers_finished",
        )
        return {f"on_{name}": getattr(self, name) for name in names}

    def part_begin(self) -> None:
        """The next part."""
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise DeclinedError(400, "bad_request", f"more than {_MOST_PARTS} parts", hint=_HINT)
        self._headers = {}

    def header_field(self, data: bytes, start: int, end: int) -> None:
        """A piece of a header's name."""
        self._key += data[start:end]
        self._bounded()

    def header_value(self, data: bytes, start: int, end: int) -> None:
        """A piece of its value."""
        self._value += data[start:end]
        self._bounded()

    def header_end(self) -> None:
        """The header is whole."""
        self._headers[self._key.lower()] = self._value
        self._key = self._value = b""

    def headers_finished(self) -> None:
        """The part's content follows."""
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if not _NAME.fullmatch(name):
            raise DeclinedError(400, "bad_request", "a part of the form has no plain name", hint=_HINT)
        self._name = name
        if name == "file" and self._form.descriptor < 0:
            self._text = None
            self._form.filename = options.get(b"filename", b"").decode("utf-8", "replace")
            with host_errors(self._place, "keeping a picture in"):
                self._place.mkdir(mode=0o755, parents=True, exist_ok=True)
                self._form.descriptor = os.open(self._place, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        elif name == "file":
            raise DeclinedError(400, "bad_request", "the form has more than one file", hint=_HINT)
        else:
            self._text = bytearray()

    def part_data(self, data: bytes, start: int, end: int) -> None:
        """A piece of the part's content."""
        if self._text is not None:
            self._text += data[start:end]
            if len(self._text) > _MOST_TEXT:
                raise DeclinedError(400, "bad_request", f"the part {self._name!r} is too long", hint=_HINT)
            return
        form = self._form
        if form.size + end - start > self._most:
            raise DeclinedError(413, "too_large_upload", f"more than {self._most} bytes are not taken")
        with host_errors(self._place, "keeping a picture in"):
            view = memoryview(data)[start:end]
            while view:
                done = os.pwrite(form.descriptor, view, form.size)
                form.size += done
                view = view[done:]

    def part_end(self) -> None:
        """The part is whole."""
        if self._text is not None:
            with contextlib.suppress(UnicodeDecodeError):
                self._form.texts[self._name] = self._text.decode("utf-8").strip()

    def _bounded(self) -> None:
        if len(self._key) + len(self._value) > _MOST_HEAD:
            raise DeclinedError(400, "bad_request", "a header in the form is too long", hint=_HINT)


_HINT: Final = "Send the picture as the body, or as multipart/form-data in the part 'file'."
