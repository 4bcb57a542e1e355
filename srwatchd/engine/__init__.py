"""Networks and what runs them. Importing the package itself loads neither OpenCV nor OpenVINO.

``base`` is the contract of every engine, ``opencv`` and ``openvino`` keep it, ``select`` chooses between them,
``smoke`` tells a working model from a broken one, ``picture`` takes a whole raster through a network tile by tile,
and ``budget`` says how large a tile may be.
"""

__all__: list[str] = []
