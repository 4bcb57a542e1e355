"""An OpenVINO network made ready for the shapes of tiles.

On processors it is compiled once, for every shape: the first tile of a new shape takes no longer than the next one,
where a compilation takes 0.1 to 0.3 s. GPUs and NPUs get it compiled for one shape at a time, and the last few stay.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any, Final

from srwatchd.tiling import rung

if TYPE_CHECKING:
    from srwatchd.config.models import ModelSpec

__all__ = ["DEVICES", "Compiled", "shaped"]

_SHAPES: Final = 8
"""The most shapes that stay compiled; together they are no larger than the largest, for which the budget is made."""
_ANY: Final = -1
DEVICES: Final = {"cpu": "CPU", "gpu": "GPU", "npu": "NPU"}
"""Our names of the devices, and OpenVINO's."""
_KEEPING: Final = {"CPU_RUNTIME_CACHE_CAPACITY": "0"}
"""What was made ready for a shape is dropped with it: the default keeps thousands, which takes 1 to 2 MB a shape."""


class Compiled:
    """The network ``model`` of ``spec`` on ``device``; compiled when it is first asked for."""

    def __init__(self, model: Any, spec: ModelSpec, *, core: Any, device: str, options: dict[str, str]) -> None:
        self._model: Final = model
        self._spec: Final = spec
        self._core: Final = core
        self._device: Final = DEVICES[device]
        self._any_shape: Final = device == "cpu"
        self._options: Final = options | (_KEEPING if self._any_shape else {})
        self._ready: collections.OrderedDict[tuple[int, int], Any] = collections.OrderedDict()
        self._largest = 0

    def fitting(self, height: int, width: int) -> tuple[int, int]:
        """The height and width, not below the given, to which an input of that size must be brought."""
        return (height, width) if self._any_shape else (rung(height), rung(width))

    def request(self, height: int, width: int) -> Any:
        """What infers an input of that height and width, which :meth:`fitting` gave."""
        key = (_ANY, _ANY) if self._any_shape else (height, width)
        request = self._ready.pop(key, None)
        if request is None:
            self._make_room(height * width)
            compiled = self._core.compile_model(shaped(self._model, self._spec, *key), self._device, self._options)
            request = compiled.create_infer_request()
        self._ready[key] = request
        return request

    def release(self) -> None:
        """Give back what the results between the layers took."""
        for request in self._ready.values():
            request.get_compiled_model().release_memory()

    def forget(self) -> None:
        """Drop all that is ready, and its memory."""
        self._ready.clear()
        self._largest = 0

    def _make_room(self, pixels: int) -> None:
        self._largest = max(self._largest, pixels)
        room = self._largest - pixels
        while self._ready and (len(self._ready) >= _SHAPES or sum(h * w for h, w in self._ready) > room):
            self._ready.popitem(last=False)


def shaped(model: Any, spec: ModelSpec, height: int, width: int) -> Any:
    """A copy of ``model`` for inputs of that size, -1 for any."""
    copy = model.clone()
    nhwc = spec.input_layout == "nhwc"
    copy.reshape([1, height, width, spec.channels] if nhwc else [1, spec.channels, height, width])
    return copy
