"""POST /api/v1/upscale of a real console, by a real daemon: a picture in, the enlarged one out, and nothing left."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
from commands import files_below, png, size_of, small_model, small_scale, srwatchd, stopped, wait_for
from console_bench import Console
from daemon_bench import Service

from srwatchd.codec.vips import pyvips
from srwatchd.config import find_models

pytestmark = pytest.mark.timeout(300)

MODEL = small_model()
FOLDER = f"upscale-{MODEL}"
BIG = 300_000


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A daemon with a folder behind the endpoint, and a console."""
    root = tmp_path_factory.mktemp("upscale")
    settings = {"upscale": {"models": [MODEL], "in_flight": 2, "timeout": "60 s"}, "upload": {"max_size": BIG}}
    with Service(root, {"a": {}}, console=settings) as service, Console(service.config) as console:
        yield service, console


def place(service):
    return service.root / "var/console/upscale" / MODEL


def left(service):
    """What lies in the folders behind the endpoint."""
    return [each for each in files_below(place(service)) if not each.startswith("in/.srwatchd/")]


def asked(console, content, *, model=MODEL, **options):
    query = {} if model is None else {"model": model}
    return console.client.post("/api/v1/upscale", params=query, content=content, **options)


def refusal(answer, status):
    assert answer.status_code == status, answer.text
    return answer.json()["error"]


def in_work(service):
    """The jobs of the endpoint that are in work now."""
    return [each for each in service.ask("status")["jobs"]["running"] if each["folder"] == FOLDER and each["job"]]


def ended(console, job):
    """The job as the history has it, once it has read that it ended."""
    answer = console.client.get(f"/api/v1/jobs/{job}")
    return answer.json() if answer.status_code == 200 and answer.json()["outcome"] != "running" else None


@contextlib.contextmanager
def standing_still(service, role="infer"):
    """The workers of that role make no progress; a job begins and does not end."""
    pids = [each["pid"] for each in service.ask("status")["workers"] if each["role"] == role and each["pid"]]
    with stopped(pids):
        yield


def test_a_picture_in_the_enlarged_one_out(site, tmp_path):
    """As the body or in a form, in any order: a job of the daemon with its entry in the ledger, and nothing is left."""
    service, console = site
    answer = asked(console, png(24, 16))
    assert answer.status_code == 200, answer.text
    (tmp_path / "answer.png").write_bytes(answer.content)
    assert size_of(tmp_path / "answer.png") == (24 * small_scale(), 16 * small_scale())
    assert answer.headers["content-type"] == "image/png"
    assert float(answer.headers["x-srwatchd-seconds"]) > 0
    shown = wait_for(lambda: ended(console, answer.headers["x-srwatchd-job"]))
    assert (shown["folder"], shown["outcome"], shown["origin"]) == (FOLDER, "delivered", "console")
    assert (shown["user"], shown["address"]) == ("local", "127.0.0.1")
    for order in (1, -1):
        parts = [("file", ("My holiday.PNG", png(20, 16), "image/png")), ("model", (None, MODEL))][::order]
        form = console.client.post("/api/v1/upscale", files=parts)
        assert form.status_code == 200, form.text
        assert f'filename="My_holiday_x{small_scale()}.png"' in form.headers["content-disposition"]
    assert asked(console, png(), model=None).status_code == 200
    wait_for(lambda: not left(service))


@pytest.mark.parametrize(
    ("query", "accept", "kind"),
    [
        ({"format": "same"}, "image/webp", "png"),
        ({"format": "webp"}, "*/*", "webp"),
        ({"format": "jpeg"}, "*/*", "jpeg"),
        ({}, "image/tiff;q=0.9, text/html", "tiff"),
        ({}, "image/avif, image/png", "png"),
        ({}, "text/html, image/*", "png"),
    ],
)
def test_another_format_when_it_is_asked_for(site, query, accept, kind):
    """By ``format``, else by Accept; the picture is the same."""
    service, console = site
    query = {"model": MODEL, **query}
    answer = console.client.post("/api/v1/upscale", params=query, content=png(24, 16), headers={"Accept": accept})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == f"image/{kind}"
    image = pyvips().Image.new_from_buffer(answer.content, "")
    assert (image.width, image.height) == (24 * small_scale(), 16 * small_scale())
    top = image.numpy()[2, 2].astype(int)
    assert abs(top - (40, 60, 90)).max() < 25
    wait_for(lambda: not left(service))


def test_what_cannot_be_enlarged_gives_the_job_s_own_code(site):
    """422 with code and hint of docs/errors.md and the job; the picture is not kept."""
    service, console = site
    answer = asked(console, png(64, 64)[:200])
    assert refusal(answer, 422)["code"] == "incomplete"
    assert answer.headers["x-srwatchd-job"]
    assert refusal(asked(console, b"%PDF-1.7 " + bytes(999)), 422)["code"] == "unsupported_format"
    assert refusal(asked(console, b""), 422)["code"] == "empty"
    wait_for(lambda: not left(service))


def test_what_is_not_understood(site):
    """A model that is not offered is told with those that are; too large, no file, no form, no end of a form."""
    service, console = site
    unknown = refusal(asked(console, png(), model="nobody"), 404)
    assert (unknown["code"], MODEL in unknown["hint"]) == ("model_missing", True)
    others = sorted(set(find_models(None)) - {MODEL})
    assert refusal(asked(console, png(), model=others[0]), 404)["code"] == "model_missing"
    assert refusal(asked(console, bytes(BIG + 1)), 413)["code"] == "too_large_upload"
    large = {"file": ("a.png", bytes(BIG + 1), "image/png")}
    assert refusal(console.client.post("/api/v1/upscale", files=large), 413)["code"] == "too_large_upload"
    assert refusal(console.client.post("/api/v1/upscale", files={"model": (None, MODEL)}), 400)
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    for form in (b"--x\r\nno form at all", b"--x\r\n\r\nabc\r\n--x--", b"nothing", b"--x\r\nA: " + b"b" * 20000):
        assert refusal(asked(console, form, headers=kind), 400)["code"] == "bad_request"
    assert refusal(asked(console, png(), headers={"Content-Type": "multipart/form-data"}), 400)
    for query in ({"format": "heic"}, {"format": ""}):
        assert console.client.post("/api/v1/upscale", params=query, content=png()).status_code == 422
    both = [("file", ("a.png", png(), "image/png")), ("format", (None, "bmp"))]
    assert refusal(console.client.post("/api/v1/upscale", files=both), 422)["code"] == "bad_request"
    assert not left(service)


def test_one_too_many_is_told_to_come_again(site):
    """Above in_flight 429 with Retry-After; those before it are not disturbed."""
    service, console = site
    with ThreadPoolExecutor(2) as pool, console.connect(**{"X-Srwatchd": "1"}) as second:
        with standing_still(service):
            both = [pool.submit(each.post, "/api/v1/upscale", content=png()) for each in (console.client, second)]
            wait_for(lambda: len(in_work(service)) == 2)
            with console.connect(**{"X-Srwatchd": "1"}) as third:
                answer = third.post("/api/v1/upscale", content=png())
            assert refusal(answer, 429)["code"] == "too_many_requests"
            assert int(answer.headers["retry-after"]) >= 1
        assert [each.result().status_code for each in both] == [200, 200]
    assert asked(console, png()).status_code == 200


def test_who_waits_too_long_is_told_the_job(site):
    """504 with the job, which goes on; its result is there for whoever asks for it later."""
    service, _ = site
    impatient = service.root / "impatient.yaml"
    told = json.loads(service.config.read_text())
    told["console"]["upscale"]["timeout"] = "6 s"  # by then the daemon has begun, so that the job has a name
    impatient.write_text(json.dumps(told))
    with Console(impatient) as other:
        with standing_still(service):
            answer = asked(other, png())
            assert refusal(answer, 504)["code"] == "not_in_time"
            job = f"/api/v1/jobs/{answer.headers['x-srwatchd-job']}"
            wait_for(lambda: other.client.get(job).status_code == 200)
            assert refusal(other.client.get(f"{job}/download/result"), 409)["code"] == "not_finished"
        wait_for(lambda: other.client.get(f"{job}/download/result").status_code == 200)
    (result,) = left(service)
    (place(service) / result).unlink()


def client_of(console, content, size=None):
    """A client that has sent a picture, or the beginning of one of ``size`` bytes: its socket."""
    client = socket.create_connection(("127.0.0.1", console.port))
    lines = (f"Host: 127.0.0.1:{console.port}", f"Content-Length: {size or len(content)}", "", "")
    client.sendall("\r\n".join(("POST /api/v1/upscale HTTP/1.1", *lines)).encode() + content)
    return client


def test_a_client_that_goes_away_leaves_nothing(site):
    """What the daemon has begun is finished and its result removed; what it has not begun is taken back."""
    service, console = site
    with standing_still(service):
        clients = [client_of(console, png()) for _ in range(2)]
        wait_for(lambda: len(in_work(service)) == 2)
        for each in clients:
            each.close()
        wait_for(lambda: 'upscales_total{outcome="left"} 2' in console.client.get("/metrics").text)
    wait_for(lambda: not in_work(service) and not left(service))
    picture = png(64, 64)
    client = client_of(console, picture[:100], len(picture))
    wait_for(lambda: left(service))
    service.process.send_signal(signal.SIGSTOP)
    try:
        client.sendall(picture[100:])
        wait_for(lambda: [each for each in left(service) if not each.startswith("in/.")])
        client.close()
        wait_for(lambda: not left(service))
    finally:
        service.process.send_signal(signal.SIGCONT)
    assert asked(console, png()).status_code == 200


def test_half_a_body_is_no_picture(site):
    """A client that breaks off within its picture leaves nothing, not even a hidden file."""
    service, console = site
    client = client_of(console, bytes(2000), 5000)
    wait_for(lambda: len(os.listdir(place(service) / "in")) == 2)
    client.close()
    wait_for(lambda: os.listdir(place(service) / "in") == [".srwatchd"])


@pytest.mark.slow
def test_commands_know_the_folder(site):
    """status, doctor and check-config take it for what it is: an ordinary folder."""
    service, console = site
    assert srwatchd("check-config", service.config).returncode == 0
    assert service.folder(FOLDER)["state"] == "active"
    doctor = srwatchd("doctor", "--config", service.config, "--json")
    about = [each for each in json.loads(doctor.stdout)["findings"] if FOLDER in each["subject"]]
    assert about
    assert not [each for each in about if each.get("level") == "problem"], about
    (folder,) = [each for each in console.get("/folders")["folders"] if each["id"] == FOLDER]
    assert folder["upscale"] is True


def test_without_a_daemon_that_serves_it(site):
    """A pause and an absent daemon are told at once, so that a program can do something else."""
    service, console = site
    service.ask("pause", folder=FOLDER)
    try:
        assert refusal(asked(console, png()), 503)["code"] == "folder_paused"
    finally:
        service.ask("resume", folder=FOLDER)
    assert service.stop() == 0
    try:
        assert refusal(asked(console, png()), 503)["code"] == "not_running"
        assert not left(service)
    finally:
        service.start()
        service.await_answer()
    assert asked(console, png()).status_code == 200
