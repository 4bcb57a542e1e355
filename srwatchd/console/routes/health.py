"""GET /api/v1/health: for monitors; says nothing that a stranger may not know."""

from fastapi import APIRouter
from starlette.responses import Response

from srwatchd import __version__
from srwatchd.console.desk import TheDesk
from srwatchd.console.shapes import Health

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", tags=["health"])


@router.get("/health", responses={503: {"model": Health, "description": "No daemon answers."}})
async def health(desk: TheDesk, response: Response) -> Health:
    """Whether the daemon answers, and whether it needs a person. Needs no login."""
    report = (await desk.pulse.moment()).report
    if report is None:
        response.status_code = 503
        return Health(status="down", daemon=False, version=__version__)
    return Health(status="degraded" if report["needs_person"] else "ok", daemon=True, version=__version__)
