"""Worker processes: where untrusted pictures meet native code, one crash away from the supervisor.

``pool`` and ``process`` are the supervisor's side (asyncio, no threads), ``main`` is the child's, ``protocol`` is what
they say to each other. This package imports nothing on its own, so that a child starts fast.
"""

__all__: list[str] = []
