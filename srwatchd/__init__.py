"""srwatchd: an unattended, offline super-resolution daemon for hot folders."""

__version__ = "0.1.0"
