"""GET /api/v1/health: for monitors; says nothing that a stranger may not know."""

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from srwatchd import __version__
from srwatchd.console.desk import TheDesk
from srwatchd.console.shapes import Health
from srwatchd.control.socket import ask
from srwatchd.errors import SrwatchdError

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", tags=["health"])
_SECONDS = 5.0


@router.get("/health", response_model=Health, responses={503: {"model": Health, "description": "No daemon answers."}})
async def health(desk: TheDesk) -> Response:
    """Whether the daemon answers, and whether it needs a person."""
    try:
        report = await ask(desk.config.state_dir / "control.sock", "status", timeout=_SECONDS)
    except SrwatchdError:
        return JSONResponse({"status": "down", "daemon": False, "version": __version__}, 503)
    status = "degraded" if report["needs_person"] else "ok"
    return JSONResponse({"status": status, "daemon": True, "version": __version__})
