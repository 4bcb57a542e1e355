"""srwatchd.daemon.log: what operators read, safe to print."""

from __future__ import annotations

import contextlib
import json
import logging

import pytest
import structlog

from srwatchd.daemon import log

HOSTILE = "a\x1b[31m\nb\u202ec\udcff\x07é"


@pytest.fixture
def written(capsys):
    """What has gone to standard error; the logging set-up is restored afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield lambda: capsys.readouterr().err
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_json_lines_are_one_line_each(written):
    """A name with newlines and escapes stays inside its line and its string."""
    log.configure(level="info", form="json")
    structlog.get_logger("x").info("delivered", name=HOSTILE, count=3)
    (line,) = written().splitlines()
    assert json.loads(line) == {
        "event": "delivered",
        "level": "info",
        "count": 3,
        "name": "a\\x1b[31m\nb\\u202ec\\udcff\\x07é",
        "timestamp": json.loads(line)["timestamp"],
    }


def test_the_console_shows_no_control_characters_of_a_name(written):
    """Neither colours nor line breaks nor a reversed direction come from a file's name."""
    log.configure(level="info", form="console")
    structlog.get_logger("x").warning("delivered", name="\x1b[2Ja\nb\u202e.png")
    text = written()
    assert "\x1b[2J" not in text
    assert "\u202e" not in text
    assert text.count("\n") == 1


def test_a_traceback_keeps_its_lines(written):
    """On a console a traceback is readable."""
    log.configure(level="info", form="console")
    with contextlib.suppress(ZeroDivisionError):
        try:
            _ = 1 // 0
        except ZeroDivisionError:
            structlog.get_logger("x").exception("failed")
            raise
    text = written()
    assert "ZeroDivisionError" in text
    assert text.count("\n") > 2


def test_the_level_is_kept(written):
    """Below the configured level nothing is written."""
    log.configure(level="error", form="json")
    structlog.get_logger("x").warning("no")
    structlog.get_logger("x").error("yes")
    assert [json.loads(line)["event"] for line in written().splitlines()] == ["yes"]


def test_auto_is_json_where_nobody_watches(written):
    """A journal or a file gets JSON."""
    log.configure(level="info", form="auto")
    structlog.get_logger("x").info("hello")
    assert json.loads(written())["event"] == "hello"


def test_a_log_on_a_full_disk_costs_lines_and_nothing_else(written, monkeypatch):
    """Nobody is told, but the service goes on."""
    with open("/dev/full", "w", buffering=1, encoding="utf-8") as full:
        monkeypatch.setattr("sys.stderr", full)
        log.configure(level="info", form="json")
        structlog.get_logger("x").info("delivered")
        monkeypatch.undo()
        with contextlib.suppress(OSError):
            full.close()
