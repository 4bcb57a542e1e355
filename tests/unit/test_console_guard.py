"""The layer around the application: names, proxies, other sites, bodies, headers."""

from __future__ import annotations

import asyncio
import json

import pytest
from starlette.responses import PlainTextResponse

from srwatchd.config import Config
from srwatchd.console.guard import BODY_LIMIT, Guard
from srwatchd.console.origin import host_name
from srwatchd.console.refusals import DeclinedError
from srwatchd.console.uploads import name_of

SETTINGS = {"allowed_hosts": ("pictures.example.org",), "trusted_proxies": ("10.0.0.0/8", "::1")}


class Gate:
    open = True


class Desk:
    hosts = ("box.local",)

    def __init__(self, tmp_path):
        places = {name: tmp_path / name for name in ("inbox", "done", "error")}
        folders = ({"id": "a", "model": "fsrcnn_x2", **places},)
        self.config = Config(state_dir=tmp_path, folders=folders, console=SETTINGS)
        self.gate = Gate()


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


def ask(desk, method="GET", path="/api/v1/live", *, client="127.0.0.1", body=(), app=None, **headers):
    """One request; the status, the answer's headers, the error's code or the body."""
    given = [(b"host", b"localhost:8470")] if "host" not in headers else []
    given += [(key.replace("_", "-").encode(), value.encode()) for key, value in headers.items() if value is not None]
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "scheme": "http",
        "headers": given,
        "client": (client, 1),
        "server": ("192.0.2.9", 8470),
    }
    pieces = [*body, b""]
    sent = []

    async def receive():
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    async def send(message):
        sent.append(message)

    async def echo(scope, receive, send):
        size = 0
        while True:
            message = await receive()
            size += len(message["body"])
            if not message["more_body"]:
                break
        text = f"{scope['client'][0]} {scope['scheme']} {size}"
        await PlainTextResponse(text)(scope, receive, send)

    asyncio.run(Guard(app or echo, desk=desk)(scope, receive, send))
    status, answered = sent[0]["status"], {key.decode(): value.decode() for key, value in sent[0]["headers"]}
    text = b"".join(each.get("body", b"") for each in sent[1:]).decode()
    return status, answered, json.loads(text)["error"]["code"] if status >= 400 else text


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8470", 200),
        ("127.0.0.1:8470", 200),
        ("[::1]:8470", 200),
        ("box.local", 200),
        ("pictures.example.org.", 200),
        ("192.0.2.9:8470", 200),
        ("192.0.2.8:8470", 421),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("localhost@evil.example", 421),
        ("localhost:8470:1", 421),
        ("", 421),
    ],
)
def test_the_console_answers_to_its_own_names_only(desk, host, status):
    """Another name that leads here is how a page of another site would get in (DNS rebinding)."""
    found, _, said = ask(desk, host=host)
    assert found == status
    assert status == 200 or said == "wrong_host"


def test_two_hosts_or_none_are_refused(desk):
    """A proxy and the console could each believe another one."""
    assert host_name([]) is None
    assert host_name(["localhost", "localhost"]) is None


@pytest.mark.parametrize(
    ("client", "told", "seen"),
    [
        ("127.0.0.1", "203.0.113.5", "127.0.0.1"),
        ("10.0.0.2", "203.0.113.5", "203.0.113.5"),
        ("::1", "203.0.113.5", "203.0.113.5"),
        ("::ffff:10.0.0.2", "203.0.113.5", "203.0.113.5"),
        ("::ffff:127.0.0.1", "203.0.113.5", "127.0.0.1"),
        ("10.0.0.2", "6.6.6.6, 203.0.113.5", "203.0.113.5"),
        ("10.0.0.2", "203.0.113.5, 10.0.0.3", "203.0.113.5"),
        ("10.0.0.2", "203.0.113.5, <script>", "10.0.0.2"),
        ("10.0.0.2", "", "10.0.0.2"),
    ],
)
def test_only_a_trusted_proxy_says_where_a_request_comes_from(desk, client, told, seen):
    """And of what it says only the part that it has seen itself."""
    desk.gate.open = False
    _, _, text = ask(desk, client=client, x_forwarded_for=told, x_forwarded_proto="https")
    trusted = not client.endswith("127.0.0.1")
    assert text.split()[:2] == [seen, "https" if trusted else "http"]


def test_what_a_proxy_forwards_is_refused_while_nobody_has_to_log_in(desk):
    """A proxy that somebody has put before an open console would open it to everybody."""
    assert ask(desk, x_forwarded_for="203.0.113.5")[::2] == (403, "not_allowed")
    assert ask(desk, forwarded="for=203.0.113.5")[::2] == (403, "not_allowed")


FROM_US = {"origin": "http://localhost:8470", "sec_fetch_site": "same-origin"}


@pytest.mark.parametrize(
    ("method", "path", "headers", "passes"),
    [
        ("POST", "/api/v1/ledger/verify", {}, False),
        ("POST", "/api/v1/ledger/verify", {"x_srwatchd": "1"}, True),
        ("POST", "/api/v1/ledger/verify", {"x_srwatchd": "1", **FROM_US}, True),
        ("POST", "/api/v1/ledger/verify", FROM_US, False),
        ("POST", "/api/v1/ledger/verify", {"x_srwatchd": "1", "origin": "http://evil.example"}, False),
        ("POST", "/api/v1/ledger/verify", {"x_srwatchd": "1", "origin": "null"}, False),
        ("POST", "/api/v1/ledger/verify", {"x_srwatchd": "1", "origin": "https://localhost:8470"}, False),
        ("POST", "/api/v1/ledger/verify", {"x_srwatchd": "1", "origin": "http://localhost:1"}, False),
        ("POST", "/api/v1/ledger/verify", {"x_srwatchd": "1", "sec_fetch_site": "cross-site"}, False),
        ("POST", "/api/v1/ledger/verify", {"x_srwatchd": "1", "sec_fetch_site": "same-site"}, False),
        ("POST", "/api/v1/ledger/verify", {"authorization": "Bearer x"}, True),
        ("POST", "/api/v1/ledger/verify", {"authorization": "Basic x"}, False),
        ("PUT", "/api/v1/folders/a/files/b.png", {}, True),
        ("PUT", "/api/v1/folders/a/files/b.png", {"sec_fetch_site": "same-origin"}, False),
        ("PUT", "/api/v1/folders/a/files/b.png", {"origin": "http://evil.example"}, False),
        ("PUT", "/api/v1/folders/a/files/b.png", {"cookie": "srwatchd=x"}, False),
        ("POST", "/api/v1/upscale", {}, True),
        ("GET", "/api/v1/live", {"sec_fetch_site": "cross-site"}, False),
        ("GET", "/", {"sec_fetch_site": "cross-site"}, True),
        ("GET", "/api/v1/live", {"sec_fetch_site": "none"}, True),
    ],
)
def test_another_sites_page_can_do_nothing(desk, method, path, headers, passes):
    """Neither with a form nor with a script, whatever cookies the browser adds; plain curl can, on this machine."""
    status, _, said = ask(desk, method, path, **headers)
    assert (status, said == "cross_site") == ((200, False) if passes else (403, True))


def test_plain_curl_needs_the_header_once_there_are_users(desk):
    """Then there are sessions that could be ridden on."""
    desk.gate.open = False
    assert ask(desk, "PUT", "/api/v1/folders/a/files/b.png")[::2] == (403, "cross_site")


def test_a_body_is_bounded_whether_or_not_it_says_its_size(desk):
    """Files are not: their routes count themselves."""
    large = [b"x" * BODY_LIMIT, b"x"]
    told = {"content_length": str(BODY_LIMIT + 1), "x_srwatchd": "1"}
    assert ask(desk, "POST", "/api/v1/session", **told)[0] == 413
    assert ask(desk, "POST", "/api/v1/session", body=large, x_srwatchd="1")[0] == 413
    assert ask(desk, "PUT", "/api/v1/folders/a/files/b.png", body=large)[2].endswith(str(BODY_LIMIT + 1))


def test_every_answer_has_the_headers(desk):
    """A page's, an error's, a defect's."""

    async def defect(*_):
        raise RuntimeError("x")

    for answer in (ask(desk), ask(desk, host="evil.example"), ask(desk, app=defect)):
        headers = answer[1]
        assert "script-src 'self'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
    assert answer[::2] == (500, "internal_error")


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"a.png", "a.png"),
        (b"sub/a%20b.png", "sub/a b.png"),
        (b"a%2Fb.png", "a/b.png"),
        (b"%ff.png", "\udcff.png"),
        (b"%E5%9B%BE.png", "图.png"),
        (b"%3Cb%3E%0A.png", "<b>\n.png"),
        (b"..%2e.png", "....png"),
        (b"x" * 255, "x" * 255),
    ],
)
def test_any_name_that_a_disk_takes_is_a_name(raw, name):
    """Byte for byte."""
    assert name_of(raw) == name


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b".", b"..", b"../a", b"a/../b", b"%2e%2e/a", b"a/%2E%2E", b"/etc/passwd", b"%2Fetc", b"a//b", b"a/"),
        *(b"a%00b", b"x" * 256, b"%C3%A4" * 128, b"/".join([b"x" * 200] * 20)),
    ],
)
def test_no_name_leads_out_of_the_inbox(raw):
    """Nor is one tried that no disk takes."""
    with pytest.raises(DeclinedError) as refused:
        name_of(raw)
    assert (refused.value.status, refused.value.code) == (422, "name_refused")
