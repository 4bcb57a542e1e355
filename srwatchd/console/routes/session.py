"""/api/v1/session: logging in and out, and who one is."""

from typing import Annotated, Any, Final, Literal

import structlog
from fastapi import APIRouter, Header
from starlette.requests import Request
from starlette.responses import Response

from srwatchd.console.access import Maybe, cookie_name, session_cookie
from srwatchd.console.desk import TheDesk
from srwatchd.console.gate import SESSION_SECONDS
from srwatchd.console.refusals import DeclinedError, documented
from srwatchd.console.shapes import Login, Session

__all__ = ["router"]

router = APIRouter(prefix="/api/v1/session", tags=["session"])
_log = structlog.get_logger("srwatchd.console")
_LANGUAGES: Final = ("en", "zh")


@router.get("", responses=documented(421))
async def session(desk: TheDesk, who: Maybe, accept_language: Annotated[str | None, Header()] = None) -> Session:
    """Who is asking, and whether a login is needed."""
    needed = not desk.gate.open
    language = _preferred(accept_language or "")
    if who is None:
        return Session(user=None, role=None, login_needed=needed, language=language)
    return Session(user=who.name, role=who.role, login_needed=False, language=language)


@router.post("", responses=documented(400, 401, 403, 422, 429))
async def log_in(desk: TheDesk, request: Request, response: Response, login: Login) -> Session:
    """Begin a session of twelve hours: the answer sets its cookie. A program sends a token instead."""
    address = request.client.host if request.client else ""
    try:
        entry, cookie = await desk.gate.log_in(login.name, login.password, address)
    except DeclinedError as error:
        _log.warning("login refused", code=error.code, name=login.name, address=address)
        raise
    _log.info("logged in", name=entry.name, role=entry.role, address=address)
    response.set_cookie(cookie_name(request), cookie, max_age=SESSION_SECONDS, **_cookie(request))
    return Session(user=entry.name, role=entry.role, login_needed=False)


@router.delete("", status_code=204, responses=documented(403))
async def log_out(desk: TheDesk, request: Request) -> Response:
    """End the session."""
    response = Response(status_code=204)
    cookie = session_cookie(request)
    if cookie is not None:
        desk.gate.log_out(cookie)
        response.delete_cookie(cookie_name(request), **_cookie(request))
    return response


def _cookie(request: Request) -> dict[str, Any]:
    return {"path": "/", "httponly": True, "samesite": "strict", "secure": request.scope["scheme"] == "https"}


def _preferred(accept: str) -> Literal["en", "zh"] | None:
    """The first of our languages in a browser's list; their order is that of preference in every browser."""
    for each in accept.split(","):
        language = each.strip()[:2].lower()
        if language in _LANGUAGES:
            return "zh" if language == "zh" else "en"
    return None
