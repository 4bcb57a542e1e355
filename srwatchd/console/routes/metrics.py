"""GET /metrics: the daemon's figures and the console's own, for Prometheus."""

from ipaddress import ip_address
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from srwatchd.console.access import Maybe
from srwatchd.console.desk import TheDesk
from srwatchd.console.figures import console_figures
from srwatchd.console.refusals import DeclinedError, documented
from srwatchd.control.socket import ask
from srwatchd.errors import SrwatchdError
from srwatchd.notify.prometheus import render

__all__ = ["router"]

router = APIRouter(tags=["metrics"])
_SECONDS: Final = 4.0
_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus' text format."},
        **documented(401),
    },
)
async def metrics(desk: TheDesk, who: Maybe, request: Request) -> Response:
    """The figures of docs/operations.md, the daemon's own if it answers. Programs on this machine need no login."""
    if who is None and not _from_here(request):
        raise DeclinedError(401, "login_needed", "nobody is logged in")
    try:
        told = await ask(desk.config.state_dir / "control.sock", "metrics", timeout=_SECONDS)
        text = str(told["text"]).encode("utf-8")
    except SrwatchdError:
        text = b""
    return Response(text + render(console_figures(desk, daemon=bool(text))), media_type=_TYPE)


def _from_here(request: Request) -> bool:
    """Whether a program on this machine asks, and none that hands on what somebody else asks."""
    handed_on = {"forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip"} & set(request.headers.keys())
    try:
        return request.client is not None and ip_address(request.client.host).is_loopback and not handed_on
    except ValueError:
        return False
