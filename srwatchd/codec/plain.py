"""BMP and JPEG 2000 in, through OpenCV, whole in memory: libvips as packaged reads neither."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from srwatchd.codec.picture import PictureInfo
from srwatchd.codec.structure import check_bmp, check_jp2
from srwatchd.errors import PermanentError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from srwatchd.codec.vips import Feed

__all__ = ["inspect_plain", "load_plain"]

_BYTES_PER_PIXEL = {"bmp": 13, "jp2": 40}
"""Memory of decoding per pixel in bytes; JPEG 2000 works on 32-bit coefficients of every channel."""


def inspect_plain(feed: Feed, name: str) -> PictureInfo:
    """What the header says, without decoding; ``channels`` and ``depth`` are upper bounds until :func:`load_plain`."""
    channels, depth = 4, 8
    if name == "bmp":
        width, height = check_bmp(feed.read, feed.size)
    else:
        width, height, channels, bits = check_jp2(feed.read, feed.size)
        depth = 16 if bits > 8 else 8
        if channels > 4 or bits > 16:
            raise PermanentError("unsupported_content", f"It has {channels} channels of {bits} bits.")
    needed = width * height * _BYTES_PER_PIXEL[name] + feed.size
    return PictureInfo(width, height, channels, depth, name, sealed=False, decode_bytes=needed)


def load_plain(feed: Feed, info: PictureInfo) -> NDArray[Any]:
    """The pixels (height, width, channels), RGB order, uint8 or uint16; PermanentError ``incomplete`` when damaged."""
    cv2: Any = importlib.import_module("cv2")  # heavy; loaded in workers only, and its stubs lack the logging

    cv2.utils.logging.setLogLevel(0)
    data = np.frombuffer(feed.read(feed.size, 0), np.uint8)
    try:
        pixels: Any = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise PermanentError("incomplete", f"The file is incomplete or damaged: {error.err}.") from error
    if pixels is None:
        raise PermanentError("incomplete", "The file is incomplete or damaged: the decoder gave up.")
    if pixels.shape[:2] != (info.height, info.width) or pixels.dtype not in (np.uint8, np.uint16):
        raise PermanentError("unsupported_content", f"It decodes to {pixels.shape} samples of {pixels.dtype}.")
    if pixels.ndim == 2:
        pixels = pixels[:, :, np.newaxis]
    if info.format == "jp2":
        pixels = _full_range(pixels, check_jp2(feed.read, feed.size)[3])
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[pixels.shape[2]]
    return np.ascontiguousarray(pixels[:, :, order])


def _full_range(pixels: NDArray[Any], bits: int) -> NDArray[Any]:
    """Samples of an odd number of bits (12 say) stretched to the full range of their type, rounded."""
    full = np.iinfo(pixels.dtype).max
    most = (1 << bits) - 1
    if most >= full:
        return pixels
    stretched = (pixels.astype(np.uint32) * full + most // 2) // most
    return np.minimum(stretched, full).astype(pixels.dtype)
