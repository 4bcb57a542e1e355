"""The public models for ``cv2.dnn_superres``, and how each file is recognised.

The small ones are known by their sha256, the three large EDSR by their size and git's name of their content (sha1 over
``blob SIZE`` and the bytes). No file of them is in this project.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["FAMILIES", "PUBLIC", "Family", "PublicModel", "recognised"]


@dataclass(frozen=True, slots=True)
class Family:
    """How ``cv2.dnn_superres`` feeds an architecture and reads its result; every file of that architecture is so."""

    input_colour: str
    input_range: tuple[float, float]
    mean: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class PublicModel:
    """A public file: what it is, where it comes from, and ``sha256`` or size and ``git_blob`` to know it by.

    ``receptive_radius`` is in input pixels.
    """

    file: str
    architecture: str
    scale: int
    receptive_radius: int
    origin: str
    sha256: str = ""
    git_blob: str = ""
    bytes: int = 0
    licence: str = "Apache-2.0"


_LUMA: Final = Family("y", (0.0, 1.0))
FAMILIES: Final = {
    "edsr": Family("bgr", (0.0, 255.0), (103.1545782, 111.561547, 114.35629928)),
    "espcn": _LUMA,
    "fsrcnn": _LUMA,
    "lapsrn": _LUMA,
}
"""By the names that ``dnn_superres`` has for them; the mean is that of DIV2K in blue, green, red."""

_EDSR: Final = "github.com/Saafke/EDSR_Tensorflow"
_ESPCN: Final = "github.com/fannymonori/TF-ESPCN"
_FSRCNN: Final = "github.com/Saafke/FSRCNN_Tensorflow"
_LAPSRN: Final = "github.com/fannymonori/TF-LapSRN"


def _small(stem: str, radius: int, origin: str, sha256: str) -> PublicModel:
    architecture = stem.partition("_")[0].partition("-")[0].lower()
    return PublicModel(f"{stem}.pb", architecture, int(stem[-1]), radius, origin, sha256=sha256)


def _edsr(scale: int, size: int, git_blob: str) -> PublicModel:
    return PublicModel(f"EDSR_x{scale}.pb", "edsr", scale, 67, _EDSR, git_blob=git_blob, bytes=size)


PUBLIC: Final = (
    _edsr(2, 38_490_162, "7087df167eae8865b25b4f6032c819aacde25b8a"),
    _edsr(3, 38_524_784, "9b9082ceca0d5a2fc6d6bae7456e2c7934b3aa4d"),
    _edsr(4, 38_573_255, "09b872b26a6ba8d43abe433e65e65477ff8714ea"),
    _small("ESPCN_x2", 4, _ESPCN, "59f77351e1d7c0057bf6fe088b4a8a07e42c468c8c8aebb674a6b4ea1823221d"),
    _small("ESPCN_x3", 4, _ESPCN, "0e667db7a431d14c32568ed79bf21701a64df8b1d162e48ca1f8800affe2c2b3"),
    _small("ESPCN_x4", 4, _ESPCN, "e403f06309229cf36009cd8fb0da032ba7643fae9f15cf94fe562e8edf8fef47"),
    _small("FSRCNN-small_x2", 4, _FSRCNN, "429e4793d049c1ae16ddbbc322fd11c3c08831c0c20137390b4d098976a2b0d9"),
    _small("FSRCNN-small_x3", 4, _FSRCNN, "58e72d0c4231b8e754180e787d7348f45ae6230ee3c5af7dc12b558467f593f7"),
    _small("FSRCNN-small_x4", 4, _FSRCNN, "92a9f57c28494813b4dc073b51a300cb909401454d77541bcdc96b4d55901d02"),
    _small("FSRCNN_x2", 6, _FSRCNN, "366b33f0084c7b3f2bf6724f0a2c77bca94fcec9d7b6d72389d330073b380d5c"),
    _small("FSRCNN_x3", 6, _FSRCNN, "efd38655a815908c6c8954db6052f128e76a735f1de657894c477d0dc0b64481"),
    _small("FSRCNN_x4", 6, _FSRCNN, "5c68d18db561aed8ead4ffedf1b897ea615baaf60ebf6c35f8e641f8fa4a21bf"),
    _small("LapSRN_x2", 12, _LAPSRN, "f59c86e6835bbca646dbd81588f07820dfe3bd09e3702976ae2d90b5fc0f0b21"),
    _small("LapSRN_x4", 12, _LAPSRN, "d3e95c93cafae5ce5a8ed57ce9abf07f2de58da8c5d6d656b766774969835ee2"),
    _small("LapSRN_x8", 12, _LAPSRN, "a00211938b2b4c7d23691525a9267d9d0bbb345cdb9f38a7fc917414a5a1884f"),
)


def recognised(*, sha256: str, git_blob: str, size: int) -> PublicModel | None:
    """The public file with this content, or None."""
    for each in PUBLIC:
        known = each.sha256 == sha256 if each.sha256 else (each.git_blob, each.bytes) == (git_blob, size)
        if known:
            return each
    return None
