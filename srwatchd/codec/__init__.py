"""Pictures in and out: recognise, decode, encode, verify.

:mod:`~srwatchd.codec.sniff` and :mod:`~srwatchd.codec.formats` are pure and may be imported anywhere; everything else
loads libvips or OpenCV when it is first called and belongs in a codec worker.
"""

__all__: list[str] = []
