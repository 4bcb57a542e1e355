"""GET /metrics: the daemon's figures and the console's own, for Prometheus."""

from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from srwatchd.console.access import Viewer
from srwatchd.console.desk import TheDesk
from srwatchd.console.figures import console_figures
from srwatchd.console.refusals import documented
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
async def metrics(desk: TheDesk, _who: Viewer) -> Response:
    """The figures of docs/operations.md. Without an answer of the daemon its own are absent."""
    try:
        told = await ask(desk.config.state_dir / "control.sock", "metrics", timeout=_SECONDS)
        text = str(told["text"]).encode("utf-8")
    except SrwatchdError:
        text = b""
    return Response(text + render(console_figures(desk, daemon=bool(text))), media_type=_TYPE)
