"""Both ends of the control socket: what is asked arrives, what is answered comes back, and nobody is kept waiting."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import stat
import threading

import pytest

from srwatchd.control import socket as control
from srwatchd.control.socket import ControlServer, NotRunningError, call
from srwatchd.errors import (
    FatalError,
    HostError,
    InstanceError,
    ModelError,
    PermanentError,
    RequestError,
    TransientError,
)

SILENCE = 30.0


@contextlib.contextmanager
def serving(path, answer):
    """A server of ``answer`` at ``path``, in a thread with a loop of its own."""
    started = threading.Event()
    places = {}

    async def serve():
        server = ControlServer(path, answer)
        server.listen()
        await server.start()
        places["loop"], places["end"] = asyncio.get_running_loop(), asyncio.Event()
        started.set()
        await places["end"].wait()
        await server.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert started.wait(SILENCE)
        yield
    finally:
        places["loop"].call_soon_threadsafe(places["end"].set)
        thread.join()


@contextlib.contextmanager
def standing_in(path, behave):
    """One connection accepted at ``path`` and handed to ``behave``, as by a daemon that is unwell."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen()

    def serve():
        connection, _ = listener.accept()
        with connection:
            behave(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        listener.close()


async def echo(request):
    return {"heard": request}


async def by_command(request):
    """What the daemon does with a request: it needs a command, and knows only one."""
    if request["command"] != "status":
        raise ValueError(f"there is no command {request['command']!r}")
    return "fine"


def connected(path):
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(SILENCE)
    client.connect(str(path))
    return client


def said(client):
    """All that the server answers until it closes."""
    with client.makefile("rb") as stream:
        return stream.read()


def opened():
    """What this process has open, by what it leads to: other tests' leavings may be closed at any time."""
    found = set()
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one that listed them
            found.add(os.readlink(f"/proc/self/fd/{descriptor}"))
    return found


@pytest.fixture
def path(memory_path):
    return memory_path / "control.sock"  # short enough for a client that only knows connect(2)


def test_round_trip(path):
    """The command and every field arrive as they were, any text in them; the answer comes back as it was made."""
    fields = {"names": ["über.png", "\udcff.png", 'a"\n.png'], "folder": None, "depth": [1, {"two": 2.5}]}
    with serving(path, echo):
        assert call(path, "retry", **fields) == {"heard": {"command": "retry", **fields}}


def test_one_server_answers_many(path):
    """Each request has a connection of its own, and one after the other is answered."""
    with serving(path, echo):
        assert [call(path, "status", number=n)["heard"]["number"] for n in range(20)] == list(range(20))


def test_a_long_answer_arrives_whole(path):
    """A status of many folders is far longer than a socket's buffer."""

    async def answer(_request):
        return ["x" * 1000] * 3000

    with serving(path, answer):
        assert call(path, "status") == ["x" * 1000] * 3000


@pytest.mark.parametrize(
    "error",
    [
        FatalError("configuration", "there is no folder 'b'", hint="look"),
        InstanceError("another_instance", "taken"),
        ModelError("model_missing", "gone"),
        HostError("disk_full", "no room", path="/srv/in"),
        PermanentError("empty", "nothing in it"),
        TransientError("source_busy", "open"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_error_of_the_daemon_comes_back_as_it_was(path, error):
    """Same class, code, message, hint and path: the command line can end with the exit status that belongs to it."""

    async def answer(_request):
        raise error

    with serving(path, answer), pytest.raises(type(error)) as caught:
        call(path, "pause")
    assert type(caught.value) is type(error)
    assert caught.value.to_wire() == error.to_wire()


@pytest.mark.parametrize(
    "request_line",
    [
        b"hello\n",
        b"\n",
        b"{}\n",
        b"[]\n",
        b"7\n",
        b"null\n",
        b'{"command": "dance"}\n',
        b"\xff\xfe\n",
        b"[" * 500 + b"\n",
    ],
)
def test_nonsense_is_answered_and_harms_nobody(path, request_line):
    """What is no request gets an error that says so; the next client is served."""
    with serving(path, by_command):
        with connected(path) as client:
            client.sendall(request_line)
            answer = json.loads(said(client))
        assert "was not understood" in answer["error"]["message"]
        assert call(path, "status") == "fine"


def test_what_the_daemon_does_not_understand_is_an_error_at_the_client(path):
    """A newer client than its daemon is told which command there is not."""
    with serving(path, by_command), pytest.raises(RequestError, match="there is no command 'dance'"):
        call(path, "dance")


def test_half_a_request_is_not_acted_upon(path):
    """A client that dies while it asks has asked for nothing."""
    heard = []

    async def answer(request):
        heard.append(request)
        return "fine"

    with serving(path, answer):
        with connected(path) as client:
            client.sendall(b'{"command": "sto')
            client.shutdown(socket.SHUT_WR)
            assert "error" in json.loads(said(client))
        with connected(path) as client:
            client.sendall(b'{"command": "sto')
        connected(path).close()
        assert call(path, "status") == "fine"
    assert [request["command"] for request in heard] == ["status"]


def test_a_client_that_leaves_before_the_answer_harms_nobody(path):
    """Ctrl-C at a command line is nothing to the daemon."""
    gone = threading.Event()

    async def answer(request):
        if request["command"] == "slow":
            await asyncio.to_thread(gone.wait)
            return "x" * (1 << 20)
        return "fine"

    with serving(path, answer):
        with connected(path) as client:
            client.sendall(b'{"command": "slow"}\n')
        gone.set()
        assert call(path, "status") == "fine"


def test_idle_clients_do_not_keep_others_waiting(path):
    """However many connect and say nothing."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(serving(path, echo))
        for _ in range(20):
            stack.enter_context(connected(path))
        assert call(path, "status")["heard"]["command"] == "status"


def test_a_client_that_says_nothing_is_sent_away(path, monkeypatch):
    """It does not hold a descriptor of the daemon for ever."""
    monkeypatch.setattr(control, "_READ_TIMEOUT", 0.05)
    with serving(path, echo), connected(path) as client:
        assert said(client) == b""


def test_as_many_names_as_a_command_line_holds(path):
    """``srwatchd retry`` of a whole error folder, 2 MiB of names that JSON makes three times as long."""
    names = ["é" * 100] * 10_000
    with serving(path, echo):
        assert call(path, "retry", names=names)["heard"]["names"] == names


def test_a_request_beyond_all_measure_does_not_fill_the_memory(path):
    """It is not read to its end, and the client is told instead of being shown a broken pipe."""
    with serving(path, echo):
        with pytest.raises(NotRunningError):
            call(path, "retry", names=["x" * 1000] * 20_000)
        assert call(path, "status")["heard"]["command"] == "status"


def test_the_socket_of_a_dead_daemon_is_replaced(path):
    """A power cut leaves the socket behind; the next daemon needs no person."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
    assert stat.S_ISSOCK(path.stat().st_mode)
    with pytest.raises(NotRunningError):
        call(path, "status")
    with serving(path, by_command):
        assert call(path, "status") == "fine"


def test_the_socket_goes_with_its_server(path):
    """After an orderly stop nothing is left that looks like a daemon."""
    with serving(path, echo):
        assert path.exists()
    assert not path.exists()


def test_group_and_owner_may_steer(path):
    """Mode 0660 whatever the umask: the unit's group steers, nobody else."""
    before = os.umask(0o077)
    try:
        with serving(path, echo):
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
    finally:
        os.umask(before)


@pytest.mark.parametrize("length", [100, 106, 107, 108, 200, 900])
def test_any_length_of_path(memory_path, length):
    """A state directory may lie as deep as it likes: both ends reach sockets beyond the 107 bytes of an address."""
    directory = memory_path
    while len(os.fsencode(directory)) + 100 + len("/s") < length:
        directory /= "d" * 98
    name = "s" * max(1, min(100, length - len(os.fsencode(directory)) - 1))
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    before = opened()
    with serving(path, by_command):
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert call(path, "status") == "fine"
    assert not path.exists()
    assert opened() <= before


@pytest.mark.parametrize("made", ["nothing", "no folder", "a file as folder", "an ordinary file", "far and nothing"])
def test_nobody_there(tmp_path, made):
    """Every form of absence is one error with exit status 5 and the hint how to start the daemon."""
    path = tmp_path / "control.sock"
    if made == "no folder":
        path = tmp_path / "missing" / "control.sock"
    elif made == "a file as folder":
        (tmp_path / "file").touch()
        path = tmp_path / "file" / "control.sock"
    elif made == "an ordinary file":
        path.touch()
    elif made == "far and nothing":
        path = tmp_path / ("d" * 120) / "control.sock"
    with pytest.raises(NotRunningError) as caught:
        call(path, "status")
    assert caught.value.exit_code == 5
    assert caught.value.code == "not_running"
    assert str(path) in caught.value.message
    assert "srwatchd run" in caught.value.hint


@pytest.mark.parametrize("last_words", [b"", b'{"ok": {"fol'])
def test_a_daemon_that_dies_while_it_answers(path, last_words):
    """No answer and half an answer are both no answer."""

    def behave(connection):
        connection.recv(1 << 16)
        connection.sendall(last_words)

    with standing_in(path, behave), pytest.raises(NotRunningError):
        call(path, "status")


def test_a_daemon_that_dies_before_it_has_read(path):
    """A connection that breaks with the request unread is no answer either, not a fault of this program."""
    with standing_in(path, lambda connection: connection.recv(1)), pytest.raises(NotRunningError):
        call(path, "status", note="x" * 1000)


def test_a_daemon_that_does_not_answer(path):
    """The client gives up after its timeout, and says that the daemon is busy, not absent."""
    answered = threading.Event()
    with standing_in(path, lambda _: answered.wait(SILENCE)):
        with pytest.raises(FatalError, match=r"within 0\.05 s") as caught:
            call(path, "status", timeout=0.05)
        answered.set()
    assert type(caught.value) is FatalError
    assert caught.value.code == "not_answering"


def _message_without_permission(path):
    with pytest.raises(FatalError) as caught:
        call(path, "status")
    assert type(caught.value) is FatalError
    assert "group" in caught.value.hint
    assert str(path) in caught.value.message
    return caught.value.code


@pytest.mark.skipif(os.geteuid() == 0, reason="root may use every socket")
def test_not_permitted(path):
    """Who may not write the socket is told by which group he could."""
    with serving(path, echo):
        path.chmod(0)
        assert _message_without_permission(path) == "not_writable"


def test_what_the_kernel_refuses(path, monkeypatch):
    """EACCES, for machines where the tests are root: told apart from a daemon that is not there."""

    class Refused(socket.socket):
        def connect(self, _address):
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(control.socket, "socket", Refused)
    assert _message_without_permission(path) == "not_writable"
