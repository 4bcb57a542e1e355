"""srwatchd.errors: one tree, one list of codes, and errors that survive the way between processes."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import srwatchd
from srwatchd.errors import (
    HINTS,
    ConfigurationError,
    FatalError,
    HostError,
    InstanceError,
    JobError,
    ModelError,
    PermanentError,
    Problem,
    SrwatchdError,
    TransientError,
    from_wire,
)

RAISED = (TransientError, PermanentError, HostError, ModelError, FatalError, InstanceError)


@pytest.mark.parametrize("code", HINTS)
def test_every_code_says_what_to_do(code):
    """A hint is a sentence or more, and the error takes it over."""
    assert HINTS[code].endswith(".")
    assert PermanentError(code, "x").hint == HINTS[code]


def test_an_error_has_code_message_and_hint():
    """What every layer relies on; the message is also the text of the exception."""
    error = TransientError("worker_died", "it is gone", hint="wait")
    assert (error.code, error.message, error.hint, str(error)) == ("worker_died", "it is gone", "wait", "it is gone")


def test_an_unknown_code_is_a_defect():
    """A code that nobody can look up is found where it is raised."""
    with pytest.raises(KeyError):
        PermanentError("no_such_code", "x")


@pytest.mark.parametrize(
    ("kind", "parents"),
    [
        (TransientError, (JobError,)),
        (PermanentError, (JobError,)),
        (HostError, (SrwatchdError,)),
        (ConfigurationError, (FatalError,)),
        (InstanceError, (FatalError,)),
        (ModelError, (FatalError,)),
    ],
)
def test_the_tree(kind, parents):
    """What is caught where."""
    assert kind.__bases__ == parents
    assert issubclass(kind, SrwatchdError)


@pytest.mark.parametrize(
    ("kind", "status"), [(FatalError, 1), (ConfigurationError, 78), (InstanceError, 69), (ModelError, 70)]
)
def test_exit_statuses(kind, status):
    """Scripts and systemd units rely on these numbers."""
    assert kind.exit_code == status


def test_a_configuration_error_lists_every_problem():
    """One line each, as a compiler would."""
    problems = (Problem("a.yaml", 3, "folders.0.inbox", "is missing"), Problem("a.yaml", 9, "x", "is unknown"))
    error = ConfigurationError(problems)
    assert error.problems == problems
    assert error.message == "a.yaml:3: folders.0.inbox: is missing\na.yaml:9: x: is unknown"


@pytest.mark.parametrize("kind", RAISED)
def test_errors_survive_the_wire(kind):
    """Class, code, message and hint come out as they went in, whatever characters they hold."""
    error = kind("io_error", "\udcff\n\x00", hint="do")
    back = from_wire(error.to_wire())
    assert type(back) is kind
    assert (back.code, back.message, back.hint) == ("io_error", "\udcff\n\x00", "do")


def test_the_path_of_a_host_error_survives_too():
    """A hold names the place, also when a worker found it."""
    back = from_wire(HostError("disk_full", "full", path="/a").to_wire())
    assert isinstance(back, HostError)
    assert back.path == "/a"


@pytest.mark.parametrize(
    "wire",
    [
        {},
        {"class": "Exception", "code": "empty", "message": "m", "hint": "h"},
        {"class": "PermanentError", "code": "unheard_of", "message": "m", "hint": "h"},
        {"class": "SrwatchdError", "code": "empty", "message": "m", "hint": "h"},
        {"class": None, "code": None},
    ],
)
def test_anything_else_on_the_wire_is_an_internal_error(wire):
    """A message that makes no sense never raises: it is quarantined as a defect."""
    error = from_wire(wire)
    assert (type(error), error.code) == (PermanentError, "internal_error")
    assert error.message == wire.get("message", "unknown error")


def _codes():
    """Every literal code that the package raises, with its place."""
    names = {kind.__name__ for kind in (*RAISED, SrwatchdError)} | {"NotRunningError"}
    root = Path(srwatchd.__file__).parent
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in names and node.args:
                first = node.args[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield first.value, f"{path.relative_to(root)}:{node.lineno}"


def test_every_code_that_is_raised_is_in_the_list():
    """A misspelt code would only be found when it happens, at three in the morning."""
    assert [place for code, place in _codes() if code not in HINTS] == []
