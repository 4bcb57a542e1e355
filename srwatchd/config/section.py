"""What every part of the configuration has in common."""

import os
from typing import Any

os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # else it looks for some in every installed package

from pydantic import BaseModel, ConfigDict, model_validator

__all__ = ["Section", "derive"]


class Section(BaseModel):
    """One mapping of the file: frozen, strict, without unknown keys; an empty one is its defaults."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        validate_default=True,
        allow_inf_nan=False,
        defer_build=True,  # until it is needed: a command needs few of them
    )

    @classmethod
    def derived(cls, data: dict[str, Any]) -> dict[str, Any]:
        """``data`` with the values that follow from others; raw, before anything is checked."""
        return data

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, data: Any) -> Any:
        return derive(cls, {} if data is None else data)


def derive(section: type[Section], data: Any) -> Any:
    """``data`` of ``section`` with what follows from other keys; anything but a mapping as it is."""
    return section.derived(data) if isinstance(data, dict) else data
