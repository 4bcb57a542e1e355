"""Connections to the console: who sends no request is let go, who is in the middle of one is not."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest
import uvicorn

from srwatchd.console import wire
from srwatchd.console.wire import Lingering, PatientProtocol


async def application(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nX-Slow: ",
    ],
)
def test_who_sends_no_whole_request_is_let_go(begun, monkeypatch):
    """Whatever was sent of its headers; and the next one is served as before."""
    monkeypatch.setattr(wire, "_HEADERS_SECONDS", 0.3)

    async def try_it(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(begun)
        await reader.read()
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
        await asyncio.sleep(0.5)
        writer.write(b"xy")
        assert (await reader.readline()).split()[1] == b"200"
        writer.close()

    asyncio.run(served(try_it))


def test_one_too_many_is_let_go_at_once(monkeypatch):
    """The others stay."""
    monkeypatch.setattr(wire, "_MOST_CONNECTIONS", 2)

    async def try_it(port):
        kept = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        reader, extra = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        extra.close()
        for reader, writer in kept:
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readline()).split()[1] == b"200"
            writer.close()

    asyncio.run(served(try_it))


async def refusing(_scope, _receive, send):
    await send({"type": "http.response.start", "status": 422, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"no"})


@pytest.mark.parametrize("connection", ["close", "keep-alive"])
def test_a_refusal_arrives_whole_at_who_still_sends(connection, monkeypatch):
    """As behind a proxy, which sends all of the body before it looks; the connection is not reset under it."""
    monkeypatch.setattr(wire, "_LINGER_SECONDS", 30.0)  # however long 64 MiB take here

    async def try_it(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"PUT / HTTP/1.1\r\nHost: x\r\nConnection: {connection}\r\nContent-Length: {64 << 20}\r\n\r\n"
        writer.write(head.encode())
        for _ in range(64):
            writer.write(bytes(1 << 20))
            await writer.drain()
        assert (await reader.readline()).split()[1] == b"422"
        assert (await reader.readuntil(b"\r\n\r\nno")).endswith(b"no")
        writer.close()

    asyncio.run(served(try_it, Lingering(refusing)))


@pytest.mark.parametrize("limit", ["_LINGER_PAUSE_SECONDS", "_LINGER_SECONDS"])
def test_who_never_ends_is_let_go(limit, monkeypatch):
    """The rest of a body is read away as long as more comes, and for half a minute only."""
    monkeypatch.setattr(wire, limit, 0.3)

    async def try_it(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 999999\r\n\r\nx")
        answer = asyncio.create_task(reader.read())
        while limit == "_LINGER_SECONDS" and not answer.done():
            writer.write(b"x")
            await asyncio.sleep(0.05)
        assert (await answer).endswith(b"no")
        writer.close()

    asyncio.run(served(try_it, Lingering(refusing)))


async def served(try_it, application=application):
    """Run ``try_it`` beside a server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(application, http=PatientProtocol, lifespan="off", ws="none", log_config=None)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server._serve([listener]))
        async with asyncio.timeout(30):
            await try_it(listener.getsockname()[1])
        server.should_exit = server.force_exit = True
        await serving
