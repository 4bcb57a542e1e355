"""Telling the service manager how the daemon is doing (the sd_notify protocol, without its library)."""

from __future__ import annotations

from srwatchd.notify.service import Notifier, watchdog_interval

__all__ = ["Notifier", "watchdog_interval"]
