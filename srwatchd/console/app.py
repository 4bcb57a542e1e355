"""The application: its routes, its errors, its description."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from srwatchd import __version__
from srwatchd.console.figures import Counting
from srwatchd.console.guard import Guard
from srwatchd.console.refusals import DeclinedError, answer, documented
from srwatchd.console.routes import (
    folders,
    health,
    jobs,
    ledger,
    live,
    metrics,
    models,
    pictures,
    session,
    upscale,
)
from srwatchd.console.wire import Lingering
from srwatchd.errors import SrwatchdError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fastapi import APIRouter
    from fastapi.routing import APIRoute
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from srwatchd.console.desk import Desk

__all__ = ["STATIC", "application"]

STATIC: Final = Path(__file__).parent / "static"
_log = structlog.get_logger("srwatchd.console")

_FILES: Final = StaticFiles(directory=STATIC, html=True)
ROUTERS: Final[tuple[APIRouter, ...]] = (
    health.router,
    session.router,
    live.router,
    jobs.router,
    pictures.router,
    folders.router,
    ledger.router,
    upscale.router,
    models.router,
    metrics.router,
)
"""Every part of the API, each a module of :mod:`srwatchd.console.routes`. This is the place to add one."""

_ABOUT: Final = """\
Everything that the console's pages show and do. See docs/api.md for the rules that hold for all of it: who is asked,
`X-Srwatchd: 1` for what changes something, and errors as `{"error": {"code", "message", "hint"}}`.
"""


class _Application(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """The API's description, with how one says who one is; nobody has to where there are no users."""
        if self.openapi_schema is None:
            made = super().openapi()
            made["components"]["securitySchemes"] = {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "srwatchd"},
            }
            made["security"] = [{"token": []}, {"session": []}, {}]
        return super().openapi()


def application(desk: Desk) -> FastAPI:
    """The console for ``desk``. FastAPI's own pages are off: they load from outside."""
    app = _Application(
        title="srwatchd",
        version=__version__,
        description=_ABOUT,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=_named,
        responses=documented(403, 413, 421, 422, 500, 503, 504),
        lifespan=_lifespan,
    )
    app.state.desk = desk
    for router in ROUTERS:
        app.include_router(router)
    app.add_exception_handler(SrwatchdError, _refused)
    app.add_exception_handler(OSError, _disk_refused)
    app.add_exception_handler(HTTPException, _plainly_refused)
    app.add_exception_handler(RequestValidationError, _misunderstood)
    app.router.default = _pages
    app.add_middleware(Guard, desk=desk)
    app.add_middleware(Counting, traffic=desk.traffic)
    app.add_middleware(Lingering)
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with app.state.desk:
        yield


async def _pages(scope: Scope, receive: Receive, send: Send) -> None:
    """What is no part of the API: the pages and what belongs to them."""
    if scope["path"].startswith("/api/"):
        raise HTTPException(404)
    await _FILES(scope, receive, send)


def _named(route: APIRoute) -> str:
    """An operation's id: its part of the API and its name there."""
    return "_".join((*map(str, route.tags), route.name))


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, SrwatchdError)  # noqa: S101 - as registered
    return answer(error)


async def _disk_refused(_request: Request, error: Exception) -> Response:
    """What a disk says where no route has an answer of its own; TimeoutError is one of these, too."""
    if isinstance(error, TimeoutError):
        return answer(DeclinedError(504, "not_answering", "a disk did not answer in time"))
    assert isinstance(error, OSError)  # noqa: S101 - as registered
    return answer(DeclinedError(503, "io_error", f"a disk refused: {error.strerror}"))


async def _plainly_refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - as registered
    if error.status_code == 404:  # noqa: PLR2004 - HTTP
        return answer(DeclinedError(404, "not_found", f"there is nothing at {request.url.path!r}"))
    code = "method_refused" if error.status_code == 405 else "bad_request"  # noqa: PLR2004 - HTTP
    headers = error.headers
    return answer(DeclinedError(error.status_code, code, str(error.detail), headers=headers, hint=_API))


async def _misunderstood(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as registered
    problems = "; ".join(f"{_where(each['loc'])}: {each['msg']}" for each in error.errors()[:8])
    return answer(DeclinedError(422, "bad_request", problems, hint=_API))


def _where(place: tuple[Any, ...]) -> str:
    return ".".join(map(str, place[1:])) or str(place[0])


_API: Final = "docs/api.md and /api/v1/openapi.json say what can be asked."
