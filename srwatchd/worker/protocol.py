"""What the supervisor and a worker say to each other: one JSON object per packet of an ``AF_UNIX`` socket.

The socket is ``SOCK_SEQPACKET``: reliable, in order, and a packet arrives whole or not at all, so there is no framing.
Open descriptors travel beside a packet with ``SCM_RIGHTS``. The conversation, always one request at a time::

    supervisor -> worker   {"role", "tasks", "data_limit", "nice", "oom_score_adjustment", "confinement"}   once, first
    worker -> supervisor   {"ready": {"pid", "confinement": [measures]}}              or {"error": wire}
    supervisor -> worker   {"id", "op", "params"}  + 0 to 8 descriptors
    worker -> supervisor   {"id", "progress": {...}}                                  any number
    worker -> supervisor   {"id", "result": {...}}                                    or {"id", "error": wire}

Pictures never travel in packets; they lie in files whose descriptors do.
"""

from __future__ import annotations

import array
import errno
import json
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "MAX_DESCRIPTORS",
    "MAX_MESSAGE",
    "ProtocolError",
    "Received",
    "decode",
    "encode",
    "pair",
    "receive",
    "send",
]

MAX_MESSAGE: Final = 64 * 1024
"""Bytes of one encoded message. Well below the default send buffer of every Linux, so that a packet always fits."""

MAX_DESCRIPTORS: Final = 8
"""Descriptors beside one message."""

_ITEM: Final = array.array("i").itemsize


class ProtocolError(ValueError):
    """A message that must not be sent, or that no honest peer sends. Nothing of it was transmitted or kept."""


@dataclass(frozen=True, slots=True)
class Received:
    """One message and the descriptors that came with it; the receiver owns and closes them."""

    message: dict[str, Any]
    descriptors: tuple[int, ...]


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends, both blocking and close-on-exec."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def encode(message: Mapping[str, Any]) -> bytes:
    """``message`` as one packet of ASCII. Raises :class:`ProtocolError` when it is too large or not plain data."""
    try:
        packet = json.dumps(message, separators=(",", ":")).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        raise ProtocolError(f"the message is not plain data: {error}") from error
    if len(packet) > MAX_MESSAGE:
        raise ProtocolError(f"the message has {len(packet)} bytes; at most {MAX_MESSAGE} can be sent")
    return packet


def decode(packet: bytes) -> dict[str, Any]:
    """The inverse of :func:`encode`; raises :class:`ProtocolError` for anything but a JSON object within the limit."""
    if len(packet) > MAX_MESSAGE:
        raise ProtocolError(f"a packet of more than {MAX_MESSAGE} bytes was received")
    try:
        message = json.loads(packet)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"a packet is not JSON: {error}") from error
    if not isinstance(message, dict):
        raise ProtocolError(f"a packet holds {type(message).__name__}, not an object")
    return message


def send(connection: socket.socket, packet: bytes, descriptors: Sequence[int] = ()) -> None:
    """Send one encoded message with copies of ``descriptors``; the caller still owns and closes its own.

    Raises :class:`ProtocolError` before anything is sent when there are too many descriptors or one is not open, and
    :class:`OSError` (mostly :class:`ConnectionError`, the peer is gone).
    """
    if len(descriptors) > MAX_DESCRIPTORS:
        raise ProtocolError(f"{len(descriptors)} descriptors; at most {MAX_DESCRIPTORS} go with a message")
    rights = array.array("i", descriptors)
    control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if descriptors else []
    try:
        connection.sendmsg([packet], control)
    except OSError as error:
        if descriptors and error.errno == errno.EBADF:
            raise ProtocolError(f"one of the descriptors {list(descriptors)} is not open") from error
        raise


def receive(connection: socket.socket) -> Received | None:
    """Wait for the next message; None when the peer is gone.

    Raises :class:`ProtocolError` for a malformed or truncated packet, after closing whatever came with it. Received
    descriptors are close-on-exec.
    """
    space = socket.CMSG_SPACE(MAX_DESCRIPTORS * _ITEM)
    try:
        packet, control, flags, _ = connection.recvmsg(MAX_MESSAGE, space, socket.MSG_CMSG_CLOEXEC)
    except ConnectionError:
        return None
    descriptors = _rights(control)
    try:
        return Received(_whole(packet, flags), descriptors) if packet else None
    except ProtocolError:
        for descriptor in descriptors:
            os.close(descriptor)
        raise


def _whole(packet: bytes, flags: int) -> dict[str, Any]:
    """The decoded packet, if neither it nor its descriptors were cut."""
    if flags & socket.MSG_CTRUNC:
        raise ProtocolError("descriptors were lost on the way: too many are open in this process")
    if flags & socket.MSG_TRUNC:
        raise ProtocolError(f"a packet of more than {MAX_MESSAGE} bytes was received")
    return decode(packet)


def _rights(control: Sequence[tuple[int, int, bytes]]) -> tuple[int, ...]:
    """The descriptors in ancillary data; an incomplete last number is left out."""
    found = array.array("i")
    for level, kind, data in control:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            found.frombytes(data[: len(data) - len(data) % _ITEM])
    return tuple(found)
