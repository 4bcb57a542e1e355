"""Where the files that come with srwatchd are."""

from __future__ import annotations

from pathlib import Path

__all__ = ["data_path"]


def data_path(*parts: str) -> Path:
    """A file or folder that comes with srwatchd: ``models``, ``config`` or ``systemd`` and what is in them.

    In an installed package below ``srwatchd/_data``, in a checkout its top folder. It need not exist.
    """
    package = Path(__file__).resolve().parent.parent
    packed = package / "_data"
    return (packed if packed.is_dir() else package.parent).joinpath(*parts)
