"""How the console says no: every error as one JSON object, with a status that fits its code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.responses import JSONResponse

from srwatchd.console.shapes import ErrorAnswer
from srwatchd.control.socket import NotRunningError
from srwatchd.errors import FatalError, HostError, PermanentError, RefusedError, SrwatchdError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["DeclinedError", "answer", "documented", "status_of"]

_STATUS: Final[dict[str, int]] = {
    "internal_error": 500,
    "disk_full": 507,
    "too_large_file": 413,
    "too_small_file": 422,
    "empty": 422,
    "name_refused": 422,
    "not_answering": 504,
    "not_running": 503,
    "bad_request": 400,
    "model_missing": 404,
    "model_refused": 409,
}
"""The codes of others that have a status of their own; the rest goes by the kind of error."""


class DeclinedError(SrwatchdError):
    """A request is not answered as it wished; ``status`` is that of HTTP."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        hint: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code, message, hint=hint)
        self.status = status
        self.headers = dict(headers or {})


def status_of(error: SrwatchdError) -> int:
    """The HTTP status for any error of ours."""
    if isinstance(error, DeclinedError):
        return error.status
    if error.code in _STATUS:
        return _STATUS[error.code]
    if isinstance(error, NotRunningError | HostError):
        return 503
    if isinstance(error, PermanentError):
        return 422
    return 409 if isinstance(error, RefusedError | FatalError) else 500


def answer(error: SrwatchdError) -> JSONResponse:
    """The whole answer for an error."""
    headers = error.headers if isinstance(error, DeclinedError) else {}
    told = {"code": error.code, "message": _text(error.message), "hint": _text(error.hint)}
    return JSONResponse({"error": told}, status_of(error), headers)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route says about its refusals in the API's description."""
    return {status: {"model": ErrorAnswer, "description": _MEANINGS[status]} for status in statuses}


def _text(text: str) -> str:
    """``text`` without lone surrogates, which no JSON parser of a browser is asked to take."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


_MEANINGS: Final = {
    400: "The request is not understood.",
    401: "Nobody is logged in, or the login was refused.",
    403: "The role does not allow it, or the request came from another site.",
    404: "There is no such thing.",
    408: "The client was too slow.",
    409: "It cannot be done as things are.",
    410: "The file is no longer there.",
    413: "It is larger than allowed.",
    421: "The console is not reached under this name.",
    422: "A value is not allowed.",
    429: "Too many at once; Retry-After says when to come again.",
    500: "A defect of srwatchd.",
    503: "The daemon or a folder cannot do it now.",
    504: "It took too long.",
    507: "The disk is full.",
}
