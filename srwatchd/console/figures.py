"""What the console tells Prometheus besides the daemon's own figures: every metric, its labels and its help.

The table in docs/operations.md is made from :data:`METRICS`.
"""

from __future__ import annotations

import collections
import time
from typing import TYPE_CHECKING, Any, Final

from srwatchd import __version__
from srwatchd.daemon.figures import Metric
from srwatchd.notify.prometheus import Family

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from srwatchd.console.desk import Desk

__all__ = ["METRICS", "Counting", "Traffic", "console_figures"]

METRICS: Final = (
    Metric("console_build_info", "gauge", "Always 1; the console's version is in the label.", ("version",)),
    Metric("console_start_time_seconds", "gauge", "When the console began, seconds since 1970."),
    Metric("console_daemon_up", "gauge", "1 if the daemon answered just now; its own figures are absent at 0."),
    Metric("console_requests_total", "counter", "Requests that were answered.", ("route", "method", "status")),
    Metric("console_request_seconds_total", "counter", "Until they were answered in full.", ("route", "method")),
    Metric("console_requests_in_flight", "gauge", "Requests that are being answered."),
    Metric("console_received_bytes_total", "counter", "Bytes of requests' bodies."),
    Metric("console_sent_bytes_total", "counter", "Bytes of answers' bodies."),
    Metric("console_uploads_total", "counter", "Files that were put into inboxes."),
    Metric("console_upload_bytes_total", "counter", "And their bytes."),
    Metric("console_uploads_in_flight", "gauge", "Uploads under way."),
    Metric("console_renditions_total", "counter", "Pictures for pages: kept ones, made ones, failures.", ("outcome",)),
    Metric("console_rendition_seconds_total", "counter", "Spent on making them, waiting included."),
    Metric("console_renditions_in_flight", "gauge", "Being made or waiting for it."),
    Metric("console_renditions_bytes", "gauge", "Bytes of those that are kept; absent before the first."),
    Metric(
        "console_upscales_total", "counter", "POST /api/v1/upscale: answered, refused, or left by the client.",
        ("outcome",),
    ),
    Metric("console_upscale_seconds_total", "counter", "Until they were answered or refused."),
    Metric("console_upscales_in_flight", "gauge", "Pictures for which somebody waits."),
)  # fmt: skip

_OTHER: Final = "other"


class Traffic:
    """Counts of requests since the console began."""

    def __init__(self) -> None:
        self.started = time.time()
        self.requests: collections.Counter[tuple[str, str, str]] = collections.Counter()
        self.seconds: collections.defaultdict[tuple[str, str], float] = collections.defaultdict(float)
        self.in_flight = 0
        self.received = 0
        self.sent = 0


class Counting:
    """A layer around everything that counts what goes through."""

    def __init__(self, app: ASGIApp, *, traffic: Traffic) -> None:
        self._app = app
        self._traffic = traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        traffic, begin, status = self._traffic, time.monotonic(), "500"

        async def received() -> Message:
            """The next message of the request, counted."""
            message = await receive()
            traffic.received += len(message.get("body", b""))
            return message

        async def sent(message: Message) -> None:
            """Send a message of the answer; its bytes and its status are counted."""
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            traffic.sent += len(message.get("body", b""))
            await send(message)

        traffic.in_flight += 1
        try:
            await self._app(scope, received, sent)
        finally:
            traffic.in_flight -= 1
            route, method = _route(scope), scope["method"] if scope["method"] in _METHODS else _OTHER
            traffic.requests[route, method, status] += 1
            traffic.seconds[route, method] += time.monotonic() - begin


def console_figures(desk: Desk, *, daemon: bool) -> list[Family]:
    """Every metric of the console as it is now; ``daemon``: whether that answered."""
    found = {each.name: Family(f"srwatchd_{each.name}", each.kind, each.help, each.labels) for each in METRICS}
    traffic, renditions, upscaling = desk.traffic, desk.renditions, desk.upscaling
    found["console_build_info"].put(1, __version__)
    plain: dict[str, float] = {
        "start_time_seconds": traffic.started,
        "daemon_up": int(daemon),
        "requests_in_flight": traffic.in_flight,
        "received_bytes_total": traffic.received,
        "sent_bytes_total": traffic.sent,
        "uploads_total": desk.uploads.received_files,
        "upload_bytes_total": desk.uploads.received_bytes,
        "uploads_in_flight": desk.uploads.under_way,
        "rendition_seconds_total": renditions.counts.seconds,
        "renditions_in_flight": renditions.in_flight,
        "upscale_seconds_total": upscaling.counts.seconds,
        "upscales_in_flight": upscaling.in_flight,
    }
    for name, value in plain.items():
        found[f"console_{name}"].put(value)
    if renditions.shelf.used is not None:
        found["console_renditions_bytes"].put(renditions.shelf.used)
    tables: dict[str, dict[Any, float]] = {
        "requests_total": dict(traffic.requests),
        "request_seconds_total": dict(traffic.seconds),
        "renditions_total": {(each,): getattr(renditions.counts, each) for each in ("kept", "made", "failed")},
        "upscales_total": {(each,): getattr(upscaling.counts, each) for each in ("answered", "refused", "left")},
    }
    for name, table in tables.items():
        for labels, value in table.items():
            found[f"console_{name}"].put(value, *labels)
    return list(found.values())


def _route(scope: Scope) -> str:
    """The route's own path, so that there are as many as routes; pages and what leads nowhere are one each."""
    path = getattr(scope.get("route"), "path", None)
    if path is not None:
        return str(path)
    return "pages" if "endpoint" in scope else _OTHER


_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"})
