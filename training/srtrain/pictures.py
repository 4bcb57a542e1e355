"""The list of training pictures: names, checksums, licences, and finding the files."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray


class PictureError(Exception):
    """A listed picture is missing, altered or unreadable."""


@dataclass(frozen=True, slots=True)
class ListedPicture:
    """One row of ``data/pictures.tsv``."""

    name: str
    role: str
    sha256: str
    source: str
    licence: str
    original: str
    credit: str


def read_list(path: Path) -> list[ListedPicture]:
    """Read the tab-separated picture list."""
    with path.open(encoding="utf-8", newline="") as handle:
        return [ListedPicture(**row) for row in csv.DictReader(handle, delimiter="\t")]


def load_picture(root: Path, listed: ListedPicture) -> NDArray[np.uint8]:
    """Return the listed picture as 8-bit BGR after checking its checksum."""
    path = root / listed.name
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PictureError(f"{listed.name}: cannot be read below {root}: {error}") from error
    if hashlib.sha256(content).hexdigest() != listed.sha256:
        raise PictureError(f"{listed.name}: the checksum differs from the list")
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise PictureError(f"{listed.name}: not a readable picture")
    return picture.astype(np.uint8, copy=False)
