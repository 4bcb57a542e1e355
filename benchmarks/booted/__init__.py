"""srwatchd on a machine with a booted systemd, treated as machines that nobody visits are treated.

``systemd-nspawn`` boots a Debian that ``mmdebstrap`` made once; srwatchd is installed on it from the archive for boxes
without a network, with the shipped unit; and then things happen to it. ::

    python -m benchmarks.booted                        everything
    python -m benchmarks.booted --short                a smoke of it, in about a minute once Debian is there
    python -m benchmarks.booted power --report FILE    some of it, with a page of results

Needs root, systemd-nspawn (Debian's systemd-container) and mmdebstrap. The Debian is kept in ``SRWATCHD_TEST_CACHE``,
by default ``~/.cache/srwatchd-tests``. Nothing of the host is touched: the machine's layers and disks are mounted in
mount namespaces of their own, and its network leads nowhere.
"""

from __future__ import annotations

__all__: list[str] = []
