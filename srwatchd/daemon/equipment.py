"""Whether the engine and the device that a configuration names are here; a worker is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from srwatchd.config.document import key_text
from srwatchd.daemon.crew import Crew, CrewSettings
from srwatchd.errors import ModelError, Problem

if TYPE_CHECKING:
    from srwatchd.config import Config

__all__ = ["check_equipment", "missing_equipment"]


async def check_equipment(config: Config) -> None:
    """Raise ModelError ``engine_unavailable`` unless they are; without a name nothing is asked.

    Raises HostError ``workers_unavailable`` when no worker can be started.
    """
    if config.engine.name == "auto" and config.engine.device in ("auto", "cpu"):
        return
    async with Crew(CrewSettings.of(config)) as crew:
        await crew.check_equipment()


async def missing_equipment(config: Config) -> list[Problem]:
    """The same as a problem of the configuration, where it names them."""
    try:
        await check_equipment(config)
    except ModelError as error:
        key = "name" if config.engine.device in ("auto", "cpu") else "device"
        path, line = config.where("engine", key)
        return [Problem(str(config.source), line, key_text(path), f"{error.message}. {error.hint}")]
    return []
