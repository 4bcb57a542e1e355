"""The console behind nginx and behind Caddy, set up as docs/console.md says, in a network of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "integration"))
sys.path.append(str(Path(__file__).parent))
from browser_bench import Namespace, Service, dropped, missing
from commands import PATIENCE, ROOT, command, ledger_lines, png, small_model, wait_for
from proxy_servers import NAME, PROXIES, installed, proxy

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]

LARGE = 20_000_000
CLIENT = "127.0.0.7"


class Reached:
    """A console behind a proxy, and curl as a client of that, in the namespace."""

    def __init__(self, name, service, namespace, authority):
        self.name = name
        self.service = service
        self.namespace = namespace
        self.authority = authority
        self.url = f"https://{NAME}"

    def curl(self, path, *words, client=CLIENT, **headers):
        """Status, headers in lower case, body."""
        whole = [*self.namespace.words, "curl", "-s", "-i", "--cacert", self.authority, "--interface", client]
        whole += ["--resolve", f"{NAME}:443:127.0.0.1", "-H", "Expect:"]
        whole += [part for name, value in headers.items() for part in ("-H", f"{name.replace('_', '-')}: {value}")]
        whole += [*map(str, words), self.url + path]
        done = subprocess.run(whole, capture_output=True, check=False, timeout=120)
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        assert head, (done.returncode, done.stderr)
        first, *lines = head.decode().split("\r\n")
        named = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        return int(first.split()[1]), named, body

    def log_in(self, password, *, client):
        body = json.dumps({"name": "anna", "password": password})
        words = ["-X", "POST", "-H", "Content-Type: application/json", "-H", "X-Srwatchd: 1", "-d", body]
        return self.curl("/api/v1/session", *words, client=client)


@pytest.fixture(scope="module", params=PROXIES)
def reached(request, tmp_path_factory):
    if installed(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    folder = tmp_path_factory.mktemp(request.param)
    config = folder / "srwatchd.yaml"
    config.write_text(f"""
defaults: {{model: {small_model()}, min_free: 1, settle: 0.2, grace: 0.5}}
folders:
  - {{id: photos, inbox: photos/in, done: photos/done, error: photos/error}}
console: {{allowed_hosts: [{NAME}], trusted_proxies: [127.0.0.1]}}
""")
    words = command("console", "user", "add", "anna", "--role", "operator", "--password-stdin", "--config", config)
    subprocess.run(words, cwd=ROOT, input="a good password\n", text=True, check=True, capture_output=True)
    with (
        Namespace() as namespace,
        Service(config, namespace) as service,
        proxy(request.param, folder, namespace, service.url) as authority,
    ):
        yield Reached(request.param, service, namespace, authority)


@pytest.fixture(scope="module")
def token(reached):
    words = command("console", "token", "add", "scanner", "--role", "operator", "--config", reached.service.config)
    told = subprocess.run(words, cwd=ROOT, text=True, check=True, capture_output=True).stdout
    return f"Bearer {told.split()[-1]}"


def test_nobody_comes_in_without_a_login_or_under_another_name(reached):
    """The proxy's own machine is no exception; a name that is not in ``allowed_hosts`` gets nothing of the console."""
    assert reached.curl("/api/v1/health")[0] == 200
    assert reached.curl("/api/v1/live")[0] == 401
    status, headers, body = reached.curl("/", Host="elsewhere.example")
    assert b"srwatchd" not in body or status == 421, (status, headers, body)
    assert "content-security-policy" not in headers or status == 421


def test_an_upload_reaches_the_ledger_with_the_client_s_address(reached, token, tmp_path):
    """20 MB, streamed; the address is the client's own, whatever the client says in a header."""
    large = tmp_path / "large.png"
    large.write_bytes(png(40, 30) + os.urandom(LARGE))
    told = {"Authorization": token, "X_Forwarded_For": "192.0.2.9", "X_Forwarded_Proto": "http"}
    status, _, body = reached.curl("/api/v1/folders/photos/files/large.png", "-T", large, **told)
    assert (status, json.loads(body)["size"]) == (201, large.stat().st_size), body

    def claimed():
        lines = ledger_lines(reached.service.config)
        return next((line for line in lines if line.get("file.path", "").endswith("/large.png")), None)

    line = wait_for(claimed)
    assert (line["source.ip"], line["user.name"]) == (CLIENT, "scanner"), line


def test_what_is_refused_early_says_so_through_the_proxy(reached, token, tmp_path):
    """The console does not read a body that it will not take; its answer arrives all the same."""
    large = tmp_path / "large.part"
    large.write_bytes(os.urandom(LARGE))
    words = ("--http1.1", "-T", large)  # over HTTP/2 curl 7.88 stops sending at such an answer and may lose its body
    for _ in range(3):
        status, _, body = reached.curl("/api/v1/folders/photos/files/large.part", *words, Authorization=token)
        assert (status, json.loads(body)["error"]["code"]) == (422, "name_unwanted")


def test_wrong_passwords_of_one_count_for_that_one(reached):
    """Ten a minute from an address: the next one is not looked at, and somebody else still comes in."""
    answers = [reached.log_in("wrong", client="127.0.0.8")[0] for _ in range(11)]
    assert answers == [401] * 10 + [429]
    status, headers, _ = reached.log_in("a good password", client="127.0.0.9")
    assert status == 200
    assert {"httponly", "secure", "samesite=strict"} <= set(headers["set-cookie"].lower().split("; "))


def test_the_present_is_asked_for_again_without_a_body(reached, token):
    """ETag and If-None-Match pass the proxy."""
    reached.curl("/api/v1/live", Authorization=token)

    def unchanged():
        _, headers, _ = reached.curl("/api/v1/live", Authorization=token)
        return reached.curl("/api/v1/live", Authorization=token, If_None_Match=headers["etag"])[0] == 304

    wait_for(unchanged)


def test_a_browser_logs_in_drops_and_looks(reached, tmp_path):
    """The pages through the proxy: login, a drop of 20 MB, the queue live, the result."""
    from playwright.sync_api import sync_playwright

    (tmp_path / "seen.png").write_bytes(png(64, 48) + os.urandom(LARGE))
    program = reached.namespace.browser(tmp_path)
    words = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
    words.append(f"--host-resolver-rules=MAP {NAME} 127.0.0.1")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=words, timeout=PATIENCE * 1000)
        context = browser.new_context(locale="en-GB", ignore_https_errors=True, base_url=reached.url)
        context.set_default_timeout(PATIENCE * 1000)
        refused = []
        context.on("response", lambda answer: answer.status >= 400 and refused.append((answer.url, answer.status)))
        page = context.new_page()
        page.goto("/")
        page.get_by_label("Name").fill("anna")
        page.get_by_label("Password").fill("a good password")
        page.get_by_role("button", name="Log in").click()
        page.wait_for_selector(".choice")
        before = len(refused)
        dropped(page, "[data-folder=photos]", [tmp_path / "seen.png"])
        page.get_by_text("1 uploaded").wait_for()
        page.locator(".card", has_text="seen.png").click()
        page.wait_for_selector(".stage[data-busy=false]")
        assert refused[before:] == []
        browser.close()
