"""srwatchd.worker.protocol: packets over a socket pair within this process."""

from __future__ import annotations

import contextlib
import os
import resource
import socket

import pytest

from srwatchd.worker import protocol


@pytest.fixture
def ends():
    ours, theirs = protocol.pair()
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"id": 1, "op": "decode", "params": {"depth": 16, "scale": 1.5, "none": None, "list": [1, "a"]}},
        {"name": "caf\u00e9 \U0001f600 \udcff\n\u202e"},
        {"psnr": float("inf")},
    ],
)
def test_messages_arrive_as_they_were_sent(ends, message):
    """Any plain data survives, names with undecodable bytes included."""
    ours, theirs = ends
    protocol.send(ours, protocol.encode(message))
    assert protocol.receive(theirs) == protocol.Received(message, ())


def test_largest_message_fits_one_packet(ends):
    """A message of exactly the limit is sent and received whole; one byte more is refused by its sender."""
    ours, theirs = ends
    room = protocol.MAX_MESSAGE - len(protocol.encode({"t": ""}))
    protocol.send(ours, protocol.encode({"t": "x" * room}))
    received = protocol.receive(theirs)
    assert received is not None
    assert len(received.message["t"]) == room
    with pytest.raises(protocol.ProtocolError, match=f"{protocol.MAX_MESSAGE + 1} bytes; at most"):
        protocol.encode({"t": "x" * (room + 1)})


@pytest.mark.parametrize("message", [{"value": object()}, {"value": b"bytes"}, {(1, 2): 3}])
def test_only_plain_data_is_encoded(message):
    """What JSON cannot hold is refused by its sender."""
    with pytest.raises(protocol.ProtocolError, match="not plain data"):
        protocol.encode(message)


@pytest.mark.parametrize("packet", [b"{", b"[1]", b"3", b"\xff\xfe", b"[" * 60_000, b'{"t":"' + b"x" * 70_000 + b'"}'])
def test_malformed_packets_are_refused(packet):
    """Nothing but a JSON object within the limit is accepted."""
    with pytest.raises(protocol.ProtocolError):
        protocol.decode(packet)


@pytest.mark.parametrize("count", [1, protocol.MAX_DESCRIPTORS])
def test_descriptors_travel_with_a_message(ends, count):
    """The receiver gets working copies that no program it starts inherits; the sender's stay open."""
    ours, theirs = ends
    pipes = [os.pipe() for _ in range(count)]
    protocol.send(ours, protocol.encode({"n": 1}), [write for _, write in pipes])
    received = protocol.receive(theirs)
    assert received is not None
    assert len(received.descriptors) == count
    for (read, write), copy in zip(pipes, received.descriptors, strict=True):
        assert not os.get_inheritable(copy)
        os.write(copy, b"hello")
        assert os.read(read, 10) == b"hello"
        for descriptor in (read, write, copy):
            os.close(descriptor)


def test_unsendable_descriptors_are_refused(ends):
    """Too many descriptors, or a closed one, are an error of the sender, and the socket stays usable."""
    ours, theirs = ends
    with pytest.raises(protocol.ProtocolError, match="at most 8"):
        protocol.send(ours, b"{}", [0] * 9)
    read, write = os.pipe()
    os.close(read)
    os.close(write)
    with pytest.raises(protocol.ProtocolError, match="not open"):
        protocol.send(ours, b"{}", [write])
    protocol.send(ours, b"{}")
    assert protocol.receive(theirs) == protocol.Received({}, ())


def test_the_end_of_the_conversation(ends):
    """A closed peer reads as None, also when it never read what it was sent; sending to it raises."""
    ours, theirs = ends
    protocol.send(ours, b"{}")
    theirs.close()
    assert protocol.receive(ours) is None
    with pytest.raises(ConnectionError):
        protocol.send(ours, b"{}")


def _open_count() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("packet", [b"nonsense", b"{" + b" " * protocol.MAX_MESSAGE + b"}"])
def test_descriptors_of_a_bad_packet_are_closed(ends, packet):
    """A malformed or oversized packet leaks no descriptor into its receiver."""
    ours, theirs = ends
    ours.sendmsg([packet], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, (0).to_bytes(4, "little"))])
    before = _open_count()
    with pytest.raises(protocol.ProtocolError):
        protocol.receive(theirs)
    assert _open_count() == before


def test_lost_descriptors_are_noticed(ends):
    """A receiver whose descriptor table is full says so instead of working with the wrong files."""
    ours, theirs = ends
    protocol.send(ours, b"{}", [0, 0, 0])
    before = _open_count()
    with _few_descriptors(), pytest.raises(protocol.ProtocolError, match="lost on the way"):
        protocol.receive(theirs)
    assert _open_count() == before


@contextlib.contextmanager
def _few_descriptors():
    """Room for exactly one more descriptor."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = os.dup(0)
    os.close(probe)
    resource.setrlimit(resource.RLIMIT_NOFILE, (probe + 1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
