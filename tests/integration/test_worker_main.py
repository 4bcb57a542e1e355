"""srwatchd.worker.main: the child's loop, driven over a socket pair within this process."""

from __future__ import annotations

import os

import pytest
from worker_bench import no_descriptor_left

from srwatchd.errors import HINTS, PermanentError, TransientError, from_wire
from srwatchd.worker import main, protocol


@pytest.fixture
def ends():
    ours, theirs = protocol.pair()
    with ours, theirs:
        yield ours, theirs


def _table(name):
    def memory(params, fds, progress):
        raise MemoryError

    def echo(params, fds, progress):
        progress({"half": True})
        return {"params": params, "open": [os.fstat(fd).st_ino > 0 for fd in fds]}

    def verbose(params, fds, progress):
        raise TransientError("source_changed", "\U0001f600" * 100_000, hint="\x00" * 100_000)

    return {"memory": memory, "echo": echo, "verbose": verbose}[name]


TABLE = {name: _table(name) for name in ("memory", "echo", "verbose")}


def _replies(ends, requests):
    """What serve() answers to ``requests`` of (op, params, descriptors) before the supervisor hangs up."""
    ours, theirs = ends
    for number, (op, params, fds) in enumerate(requests):
        protocol.send(ours, protocol.encode({"id": number, "op": op, "params": params}), fds)
    ours.shutdown(1)
    main.serve(theirs, TABLE)
    theirs.shutdown(1)
    replies = []
    while (received := protocol.receive(ours)) is not None:
        replies.append(received.message)
    return replies


def test_progress_and_result_carry_the_number_of_their_request(ends):
    """Every request is answered in order; its descriptors are open during the op and closed after."""
    with no_descriptor_left():
        replies = _replies(ends, [("echo", {"a": 1}, [0, 1]), ("echo", {}, [])])
    assert replies == [
        {"id": 0, "progress": {"half": True}},
        {"id": 0, "result": {"params": {"a": 1}, "open": [True, True]}},
        {"id": 1, "progress": {"half": True}},
        {"id": 1, "result": {"params": {}, "open": []}},
    ]


def test_memory_that_ran_out_is_transient(ends):
    """A MemoryError asks for another attempt with smaller tiles."""
    (reply,) = _replies(ends, [("memory", {}, [])])
    error = from_wire(reply["error"])
    assert (type(error), error.code) == (TransientError, "out_of_memory")


def test_an_unknown_op_is_a_defect(ends):
    """Supervisor and worker of different minds are found out, with the traceback."""
    (reply,) = _replies(ends, [("unheard_of", {}, [])])
    error = from_wire(reply["error"])
    assert (type(error), error.code, error.hint) == (PermanentError, "internal_error", HINTS["internal_error"])
    assert "Traceback" in error.message


def test_any_error_fits_a_packet(ends):
    """The longest message and hint, in the most expensive characters, are shortened and not lost."""
    (reply,) = _replies(ends, [("verbose", {}, [])])
    error = from_wire(reply["error"])
    assert error.code == "source_changed"
    assert error.message.startswith("[...]\U0001f600")


def test_a_supervisor_that_is_gone_ends_the_loop(ends):
    """Nobody to answer to: the loop is over."""
    ours, theirs = ends
    protocol.send(ours, protocol.encode({"id": 0, "op": "memory", "params": {}}))
    ours.close()
    main.serve(theirs, TABLE)


def test_ops_are_named_by_module_and_attribute():
    """The table of ops is found by its dotted name."""
    assert main.load_tasks("os:environ") is os.environ
