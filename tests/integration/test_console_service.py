"""A real console beside a real daemon: dropping, looking, steering, and what goes wrong with either."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time

import pytest
from commands import png, srwatchd, wait_for
from console_bench import Console, read_only
from daemon_bench import Service
from delivery_places import tmpfs

from srwatchd.control.socket import _address

pytestmark = pytest.mark.timeout(300)

FOLDERS = {
    "photos": {},
    "flat": {"recursive": False, "max_size": "100 kB", "min_size": 20, "exclude": ["*.skip"]},
    "marked": {"ready": "done_file"},
}
EVERYWHERE = "0.0.0.0"  # noqa: S104 - that is what is tried
ODD = {
    "%3Cb%3Ex.png": "<b>x.png",
    "line%0Abreak.png": "line\nbreak.png",
    "%E5%9B%BE%20%F0%9F%8C%B3.png": "图 🌳.png",
    "byte%FF.png": os.fsdecode(b"byte\xff.png"),
    "%E2%80%AEgnp.png": "\u202egnp.png",
    "x" * 251 + ".png": "x" * 251 + ".png",
}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with Service(tmp_path_factory.mktemp("console"), FOLDERS) as running:
        yield running


@pytest.fixture(scope="module")
def console(service):
    with Console(service.config) as running:
        yield running


def error(answer):
    return answer.status_code, answer.json()["error"]["code"]


def begin_upload(client, folder, name):
    """Send the beginning of a file, and no end."""
    head = f"PUT /api/v1/folders/{folder}/files/{name} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\n"
    client.sendall(head.encode() + b"x" * 600_000)


def hidden(service, folder):
    return [name for name in os.listdir(service.place(folder, "in")) if name.startswith(".srwatchd-")]


def test_a_dropped_picture_is_delivered_and_its_way_is_told(service, console):
    """From the upload's answer to the timeline, with who dropped it from where."""
    answer = console.put("photos", "sub/one.png", png())
    assert answer.status_code == 201
    assert answer.json() == {"folder": "photos", "name": "sub/one.png", "size": len(png())}
    job = console.job("sub/one.png", "delivered")
    assert (job["folder"], job["user"], job["address"], job["origin"]) == ("photos", "local", "127.0.0.1", "console")
    assert (job["source"]["width"], job["source"]["present"]) == (24, True)
    assert job["result"]["width"] == 24 * job["scale"]
    assert service.place("photos", "done").joinpath(job["result"]["name"]).is_file()
    timeline = console.get(f"/jobs/{job['job']}")["timeline"]
    actions = [each["action"] for each in timeline]
    assert actions[0] == "job.claimed"
    assert actions[-1] == "job.completed"
    wait_for(lambda: job["job"] in [each["job"] for each in console.get("/live")["recent"]])


@pytest.mark.parametrize("raw", ODD)
def test_a_name_of_any_kind_arrives_as_it_is(service, console, raw):
    """In the archive byte for byte; in an answer on one harmless line."""
    console.client.post("/api/v1/folders/photos/pause").raise_for_status()
    try:
        answer = console.put("photos", raw, png())
        assert answer.status_code == 201, answer.text
        assert answer.json()["name"].isprintable()
        assert os.path.lexists(service.place("photos", "in") / ODD[raw])
    finally:
        console.client.post("/api/v1/folders/photos/resume").raise_for_status()
    wait_for(lambda: os.path.lexists(service.place("photos", "archive") / ODD[raw]))


def test_a_taken_name_gets_a_number(service, console):
    """Also one that differs only in its case: many disks and people make no difference."""
    console.client.post("/api/v1/folders/photos/pause").raise_for_status()
    try:
        names = [console.put("photos", name, png()).json()["name"] for name in ("t.png", "t.png", "T.png")]
    finally:
        console.client.post("/api/v1/folders/photos/resume").raise_for_status()
    assert names == ["t.png", "t (1).png", "T (2).png"]


@pytest.mark.parametrize(
    ("folder", "name", "content", "said"),
    [
        ("nowhere", "a.png", b"x" * 50, (404, "not_found")),
        ("flat", "sub/a.png", b"x" * 50, (422, "name_unwanted")),
        ("flat", "a.skip", b"x" * 50, (422, "name_unwanted")),
        ("flat", "a.part", b"x" * 50, (422, "name_unwanted")),
        ("flat", ".srwatchd/id", b"x" * 50, (422, "name_unwanted")),
        ("flat", "a.png", b"", (422, "empty")),
        ("flat", "a.png", b"x" * 19, (422, "too_small_file")),
        ("flat", "a.png", b"x" * 100_001, (413, "too_large_file")),
        ("flat", "%2e%2e%2fa.png", b"x" * 50, (422, "name_refused")),
    ],
)
def test_what_the_folder_would_never_take_is_refused_at_once(service, console, folder, name, content, said):
    """With nothing left in it, hidden or not."""
    assert error(console.put(folder, name, content)) == said
    wait_for(lambda: os.listdir(service.place("flat", "in")) == [".srwatchd"])


def test_a_body_without_a_size_is_counted(service, console):
    """A client that does not say how much it sends is stopped where it would be too much."""
    pieces = iter([b"x" * 60_000] * 10)
    assert error(console.put("flat", "a.png", pieces)) == (413, "too_large_file")
    wait_for(lambda: os.listdir(service.place("flat", "in")) == [".srwatchd"])


def test_a_folder_that_waits_for_a_marker_gets_one(console):
    """The console knows when a file is complete."""
    assert console.put("marked", "m.png", png()).status_code == 201
    console.job("m.png", "delivered")


def test_a_failed_picture_needs_a_person_who_tries_again(service, console):
    """It stands on top with its code and hint; the retry is in the ledger with who asked for it."""
    console.put("photos", "bad.png", png()[:-30])
    job = console.job("bad.png", "quarantined")
    assert job["code"] == "incomplete"
    assert job["hint"]
    assert job["retryable"]
    (wanted,) = wait_for(lambda: [each for each in console.get("/live")["attention"] if each["job"] == job["job"]])
    assert (wanted["kind"], wanted["code"], wanted["name"]) == ("error", "incomplete", "bad.png")
    answer = console.client.post(f"/api/v1/jobs/{job['job']}/retry")
    assert answer.json() == {"folder": "photos", "name": "bad.png"}
    line = next(each for each in service.ledger() if each["event.action"] == "control.retrying")
    assert (line["user.name"], line["source.ip"]) == ("local", "127.0.0.1")
    again = {"q": "bad.png", "outcome": "quarantined"}
    wait_for(lambda: console.get("/jobs", params=again)["total"] == 2)


def test_pausing_is_the_daemons_own(service, console):
    """With the user's name in the ledger; a viewer's eyes see it at once."""
    assert console.client.post("/api/v1/folders/flat/pause").json()["paused"]
    assert service.folder("flat")["paused"]
    assert not console.client.post("/api/v1/folders/flat/resume").json()["paused"]
    assert [line["user.name"] for line in service.ledger() if line["event.action"] == "control.paused"][-1] == "local"


def test_a_page_that_has_it_already_gets_no_body(console):
    """Short polling costs next to nothing."""
    first = console.client.get("/api/v1/live")
    for _ in range(20):
        again = console.client.get("/api/v1/live", headers={"If-None-Match": first.headers["etag"]})
        if again.status_code == 304:
            assert again.content == b""
            return
        first = again
    raise AssertionError("it never stood still")


def test_the_history_is_searched_and_paged(service, console):
    """By name, by folder, by outcome, from page to page without a gap or a repeat."""
    for number in range(5):
        console.put("photos", f"page-{number}.png", png())
    for number in range(5):
        console.job(f"page-{number}.png", "delivered")
    seen, cursor = [], None
    while True:
        page = console.get("/jobs", params={"q": "PAGE-", "limit": 2, **({"cursor": cursor} if cursor else {})})
        assert page["total"] == 5
        seen += [each["name"] for each in page["jobs"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert sorted(seen) == [f"page-{number}.png" for number in range(5)]
    assert console.get("/jobs", params={"folder": "flat"})["total"] == 0
    assert console.get("/jobs", params={"q": "100%"})["total"] == 0
    assert console.get("/jobs", params={"since": "2999-01-01T00:00:00Z"})["total"] == 0
    assert console.get("/jobs", params={"until": "2999-01-01T00:00:00+02:00", "user": "local"})["total"] > 0
    assert error(console.client.get("/api/v1/jobs", params={"since": "yesterday"})) == (422, "bad_request")
    assert error(console.client.get("/api/v1/jobs/none")) == (404, "not_found")


def test_the_ledger_is_shown_verified_and_taken_away(service, console):
    """Its own bytes in an export; a verification's word in its state."""
    console.put("photos", "audited.png", png())
    console.job("audited.png", "delivered")
    lines = service.ledger()  # as it is now: what earlier tests dropped may still be in work
    last = lines[-1]["event.sequence"]
    wait_for(lambda: console.get("/ledger", params={"limit": 1})["lines"][0]["sequence"] >= last)
    newest = console.get("/ledger", params={"limit": 3})
    numbers = [each["sequence"] for each in newest["lines"]]
    assert numbers == sorted(numbers, reverse=True)
    older = console.get("/ledger", params={"limit": 3, "before": newest["next"]})
    assert [each["sequence"] for each in older["lines"]] == [numbers[-1] - 1, numbers[-1] - 2, numbers[-1] - 3]
    first = console.get("/ledger", params={"after": 0, "limit": 2})
    assert [each["sequence"] for each in first["lines"]] == [1, 2]
    claims = console.get("/ledger", params={"action": "job.claimed", "limit": 500})
    assert {each["action"] for each in claims["lines"]} == {"job.claimed"}
    claimed = [each["event.sequence"] for each in lines if each["event.action"] == "job.claimed"]
    assert [each["sequence"] for each in claims["lines"] if each["sequence"] <= last] == claimed[::-1]
    exported = console.client.get("/api/v1/ledger/export").content
    assert (service.root / "var/audit/audit.jsonl").read_bytes().startswith(exported)
    assert console.client.get("/api/v1/ledger/export?format=csv").text.startswith("@timestamp,")
    assert console.client.post("/api/v1/ledger/verify").status_code == 202
    said = wait_for(lambda: (v := console.get("/ledger/state")["verification"])["state"] != "running" and v)
    assert (said["state"], said["by"], said["faults"]) == ("whole", "local", 0)


def test_a_client_that_goes_away_leaves_nothing(service, console):
    """In the middle of an upload the browser is closed."""
    with socket.create_connection(("127.0.0.1", console.port)) as client:
        head = (
            "PUT /api/v1/folders/photos/files/gone.png HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\n"
        )
        client.sendall(head.encode() + b"x" * 600_000)
        wait_for(lambda: hidden(service, "photos"))
    wait_for(lambda: not hidden(service, "photos"))
    assert not (service.place("photos", "in") / "gone.png").exists()


def test_a_stop_in_the_middle_of_an_upload_leaves_nothing(service):
    """SIGTERM: the file is removed and the process ends. SIGKILL: the next start removes it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with Console(service.config) as console, socket.create_connection(("127.0.0.1", console.port)) as client:
            begin_upload(client, "photos", "cut.png")
            wait_for(lambda: hidden(service, "photos"))
            console.process.send_signal(number)
            console.process.wait(20)
            assert bool(hidden(service, "photos")) == (number == signal.SIGKILL)
    with Console(service.config):
        wait_for(lambda: not hidden(service, "photos"))


def test_too_many_uploads_are_told_to_come_again(tmp_path):
    """503 with Retry-After; the others go on."""
    with (
        Service(tmp_path, {"a": {}}, console={"upload": {"at_once": 1}}) as service,
        Console(service.config) as console,
    ):
        with socket.create_connection(("127.0.0.1", console.port)) as client:
            begin_upload(client, "a", "slow.png")
            wait_for(lambda: hidden(service, "a"))
            answer = console.put("a", "b.png", png())
            assert error(answer) == (503, "too_many_uploads")
            assert answer.headers["retry-after"] == "2"
        wait_for(lambda: not hidden(service, "a"))
        assert console.put("a", "b.png", png()).status_code == 201


def test_a_full_disk_ends_an_upload_and_harms_nothing(tmp_path):
    """507, at once when the size is known; in the middle when it is not. Nothing is left in either case."""
    inbox = tmp_path / "small"
    folders = {"a": {"inbox": str(inbox)}}
    with tmpfs(inbox, "size=2m"), Service(tmp_path, folders) as service, Console(service.config) as console:
        assert error(console.put("a", "a.png", b"x" * 5_000_000)) == (507, "disk_full")
        pieces = iter([b"x" * 500_000] * 10)
        assert error(console.put("a", "a.png", pieces)) == (507, "disk_full")
        wait_for(lambda: os.listdir(inbox) == [".srwatchd"])
        assert console.put("a", "a.png", png()).status_code == 201
        console.job("a.png", "delivered")


def test_an_inbox_that_is_not_the_marked_one_takes_nothing(tmp_path):
    """An absent share's empty mount point is no inbox."""
    with Service(tmp_path, {"a": {}}) as service, Console(service.config) as console:
        os.rename(service.place("a", "in"), tmp_path / "away")
        service.place("a", "in").mkdir()
        assert error(console.put("a", "a.png", png())) == (503, "folder_unmarked")
        assert os.listdir(service.place("a", "in")) == []
        service.place("a", "in").rmdir()
        os.rename(tmp_path / "away", service.place("a", "in"))


def test_without_a_daemon_it_shows_what_it_knows(tmp_path):
    """Not there yet, killed, not answering: the pages stay, uploads wait in the inbox, and it is said on top."""
    service = Service(tmp_path, {"a": {}})
    with Console(service.config) as console:
        live = console.get("/live")
        assert not live["daemon"]["running"]
        assert live["attention"][0]["kind"] == "daemon"
        assert live["folders"][0]["state"] == "unknown"
        assert console.client.get("/api/v1/health").status_code == 503
        assert error(console.put("a", "a.png", png())) == (503, "folder_unmarked")
        assert error(console.client.post("/api/v1/folders/a/pause")) == (503, "not_running")
        assert console.get("/ledger")["lines"] == []
        assert console.get("/ledger/state")["last_sequence"] == 0
        with service:
            wait_for(lambda: console.client.get("/api/v1/health").json()["status"] == "ok")
            console.put("a", "a.png", png())
            console.job("a.png", "delivered")
        wait_for(lambda: console.client.get("/api/v1/health").json()["status"] == "down")
        assert console.put("a", "later.png", png()).status_code == 201
        assert console.get("/jobs")["total"] == 1
        deaf = tmp_path / "var" / "control.sock"
        with socket.socket(socket.AF_UNIX) as listener:
            with _address(deaf) as address:
                listener.bind(address)
            listener.listen()
            wait_for(lambda: console.get("/live")["daemon"]["code"] == "not_answering")
        deaf.unlink()


def test_a_state_that_cannot_be_written_keeps_nobody_from_looking(tmp_path):
    """Only uploads are refused: who dropped them could not be left."""
    with Service(tmp_path, {"a": {}}) as service:
        service.drop("a", "a.png", png())
        service.await_delivered("a", f"a_x{service_scale()}.png", archived="a.png")
    with read_only(tmp_path / "var") as mounted:
        if not mounted:
            pytest.skip("a read-only mount takes root")
        with Console(service.config) as console:
            console.job("a.png", "delivered")
            assert error(console.put("a", "b.png", png()))[0] == 503
            wait_for(lambda: os.listdir(service.place("a", "in")) == [".srwatchd"])


def service_scale():
    from commands import small_scale

    return small_scale()


def test_others_come_in_only_with_a_user(tmp_path):
    """No user, no listening elsewhere; then a password, a session, roles, a token, over TLS."""
    pair = make_certificate(tmp_path)
    service = Service(tmp_path, {"a": {}}, console={"tls": pair, "allowed_hosts": ["box.example"]})
    refused = srwatchd("console", "--config", service.config, "--host", EVERYWHERE, "--port", "0")
    assert refused.returncode == 78
    assert "srwatchd console user add" in refused.stderr
    for name, role in (("anna", "operator"), ("vic", "viewer")):
        words = ("user", "add", name, "--role", role, "--password-stdin", "--config", service.config)
        assert srwatchd("console", *words, input="a long one\n").returncode == 0
    token = srwatchd("console", "--config", service.config, "token", "add", "scan", "--role", "operator").stdout.strip()
    assert srwatchd("console", "user", "list", "--config", service.config).stdout.split() == [
        *("user", "anna:", "operator", "user", "vic:", "viewer", "token", "scan:", "operator")
    ]
    with Console(service.config, "--host", EVERYWHERE, verify=False) as console:
        console.reconnect(f"https://127.0.0.1:{console.port}")
        assert error(console.client.get("/api/v1/live")) == (401, "login_needed")
        assert error(console.put("a", "a.png", png())) == (401, "login_needed")
        assert console.client.get("/api/v1/health").status_code == 503
        assert console.client.get("/").status_code == 200
        with console.connect(Authorization=f"Bearer {token}") as program:
            assert program.get("/api/v1/session").json()["user"] == "scan"
            assert error(program.post("/api/v1/folders/a/pause")) == (503, "not_running")
        for name, said in (("vic", (403, "not_allowed")), ("anna", (503, "not_running"))):
            answer = console.client.post("/api/v1/session", json={"name": name, "password": "a long one"})
            assert answer.json()["user"] == name
            cookie = answer.headers["set-cookie"]
            assert cookie.startswith("__Host-srwatchd=")
            assert {"HttpOnly", "Secure", "SameSite=strict"} <= set(cookie.split("; "))
            assert error(console.client.post("/api/v1/folders/a/pause")) == said
            del console.client.headers["X-Srwatchd"]
            assert error(console.client.post("/api/v1/folders/a/pause")) == (403, "cross_site")
            console.client.headers["X-Srwatchd"] = "1"
            assert console.client.delete("/api/v1/session").status_code == 204
            assert error(console.client.get("/api/v1/live")) == (401, "login_needed")


def make_certificate(tmp_path):
    pair = {"certificate": str(tmp_path / "tls.pem"), "key": str(tmp_path / "tls.key")}
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    words += ["-subj", "/CN=localhost", "-keyout", pair["key"], "-out", pair["certificate"]]
    subprocess.run(words, check=True, capture_output=True)
    return pair


def test_a_port_that_is_taken_and_a_wrong_certificate_are_said(tmp_path):
    """On one line each, with what to do."""
    service = Service(tmp_path, {"a": {}})
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = srwatchd("console", "--config", service.config, "--port", taken.getsockname()[1])
        assert done.returncode == 1
        assert "cannot listen" in done.stderr
    service.write({"a": {}}, console={"tls": {"certificate": str(service.config), "key": str(service.config)}})
    done = srwatchd("console", "--config", service.config, "--port", "0")
    assert (done.returncode, "PEM" in done.stderr) == (78, True)


def test_without_the_extra_it_says_what_to_install(tmp_path):
    """Also for a box without a network."""
    (tmp_path / "fastapi.py").write_text("raise ModuleNotFoundError('No module named fastapi', name='fastapi')\n")
    service = Service(tmp_path, {"a": {}})
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = srwatchd("console", "--config", service.config, env=environment)
    assert done.returncode == 1
    assert "pip install 'srwatchd[console]'" in done.stderr
    assert "--no-index" in done.stderr
    words = ("console", "user", "add", "anna", "--role", "viewer", "--password-stdin", "--config", service.config)
    assert srwatchd(*words, env=environment, input="a long one\n").returncode == 0


def test_a_connection_that_asks_for_nothing_holds_up_nobody(console):
    """Fifty pages that look and a hundred idle connections: an upload goes through meanwhile."""
    stop = threading.Event()

    def look():
        with console.connect() as client:
            while not stop.is_set():
                assert client.get("/api/v1/live").status_code == 200
                time.sleep(0.5)

    idle = [socket.create_connection(("127.0.0.1", console.port)) for _ in range(100)]
    lookers = [threading.Thread(target=look) for _ in range(10)]
    for each in lookers:
        each.start()
    try:
        assert console.put("photos", "busy.png", png(200, 200)).status_code == 201
    finally:
        stop.set()
        for each in lookers:
            each.join()
        for each in idle:
            each.close()
