"""Who is asking, for the routes: ``who: Viewer`` or ``who: Operator`` as a parameter lets only these in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from fastapi import Depends
from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotation

from srwatchd.console.gate import Person
from srwatchd.console.refusals import DeclinedError

if TYPE_CHECKING:
    from srwatchd.console.desk import Desk

__all__ = ["Maybe", "Operator", "Person", "Viewer", "bearer", "cookie_name", "session_cookie"]

_BEARER: Final = "bearer "


def cookie_name(request: Request) -> str:
    """The session's cookie; over TLS with the prefix that keeps plain HTTP and other hosts from setting it."""
    return "__Host-srwatchd" if request.scope["scheme"] == "https" else "srwatchd"


def session_cookie(request: Request) -> str | None:
    """What the browser sent of it."""
    return request.cookies.get(cookie_name(request))


def bearer(request: Request) -> str | None:
    """The token of a program."""
    told = request.headers.get("authorization", "")
    return told[len(_BEARER) :].strip() if told[: len(_BEARER)].lower() == _BEARER else None


def _anybody(request: Request) -> Person | None:
    desk: Desk = request.app.state.desk
    address = request.client.host if request.client else ""
    return desk.gate.person(cookie=session_cookie(request), token=bearer(request), address=address)


def _viewer(person: Maybe) -> Person:
    if person is None:
        raise DeclinedError(401, "login_needed", "nobody is logged in")
    return person


def _operator(person: Viewer) -> Person:
    if person.role != "operator":
        raise DeclinedError(403, "not_allowed", f"{person.name} is a viewer and may change nothing")
    return person


Maybe = Annotated[Person | None, Depends(_anybody)]
"""A route's parameter: who is asking, None for nobody that is known."""
Viewer = Annotated[Person, Depends(_viewer)]
Operator = Annotated[Person, Depends(_operator)]
