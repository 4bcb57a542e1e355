"""Thumbnails, views, downloads and figures of a real console beside a real daemon."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from commands import small_scale, stopped, wait_for
from console_bench import Console
from daemon_bench import Service

from srwatchd.codec.vips import pyvips
from srwatchd.config import load
from srwatchd.pipeline.memory import plan_renditions

sys.path.append(str(Path(__file__).parents[1] / "golden"))
import pictures

pytestmark = pytest.mark.timeout(300)

ODD = b'b\xc3\xa4r "q" <b>\xff\xe2\x80\xae.jpg'
ODD_SHOWN = 'bär "q" <b>\\xff\\u202e.jpg'


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A daemon that has done some pictures, and a console."""
    root = tmp_path_factory.mktemp("pictures")
    scene = pictures.image(pictures.scene(400, 300))
    noise = np.random.default_rng(1).integers(0, 255, (1600, 1600, 3), np.uint8)
    with Service(root, {"a": {}, "b": {"max_size": "1 MB"}}) as service, Console(service.config) as console:
        service.drop("b", "large.png", pictures.encoded(pictures.image(noise), "png", compression=1))
        service.drop("a", "plain.png", pictures.encoded(scene, "png"))
        service.drop("a", "clear.webp", pictures.encoded(pictures.image(pictures.scene(90, 60, 4)), "webp"))
        service.drop("a", "gone.png", pictures.encoded(pictures.image(pictures.scene(60, 40)), "png"))
        service.drop("a", "swapped.png", pictures.encoded(pictures.image(pictures.scene(50, 40)), "png"))
        service.drop("a", ODD, pictures.encoded(pictures.with_metadata(scene, orientation=6), "jpeg"))
        service.drop("a", "cut.png", pictures.encoded(scene, "png")[:3000])
        yield service, console


def answered(console, job, path, *, status=200, **options):
    answer = console.client.get(f"/api/v1/jobs/{job['job']}/{path}", **options)
    assert answer.status_code == status, answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    return answer


def shown(answer):
    image = pyvips().Image.new_from_buffer(answer.content, "")
    return image.numpy().reshape(image.height, image.width, image.bands).astype(float)


def refused(answer):
    return answer.json()["error"]["code"]


def test_a_picture_before_and_after(site):
    """The same region of source and result shows the same, each in its own pixels; the thumbnail is the result's."""
    _, console = site
    job, scale = console.job("plain.png", "delivered"), small_scale()
    small = answered(console, job, "thumbnail")
    assert small.headers["content-type"] == "image/jpeg"
    assert shown(small).shape == (240, 320, 3)
    assert shown(answered(console, job, "thumbnail?max=100")).shape == (75, 100, 3)
    before = shown(answered(console, job, "view/source?x=40&y=30&width=100&height=80"))
    where = f"x={40 * scale}&y={30 * scale}&width={100 * scale}&height={80 * scale}"
    after = shown(answered(console, job, f"view/result?{where}"))
    assert before.shape == (80, 100, 3)
    assert after.shape == (80 * scale, 100 * scale, 3)
    assert np.abs(shown(answered(console, job, f"view/result?{where}&max=100")) - before).mean() < 6
    assert shown(answered(console, job, "view/source?x=350")).shape == (300, 50, 3)
    assert refused(answered(console, job, "view/source?x=400", status=400)) == "bad_request"
    for wrong in ("view/source?x=-1", "view/source?max=9000", "view/source?width=0", "view/both", "thumbnail?max=x"):
        answered(console, job, wrong, status=422)


def test_transparency_and_orientation(site):
    """What is transparent comes as PNG; what is stored lying down stands up."""
    _, console = site
    clear = answered(console, console.job("clear.webp", "delivered"), "view/source")
    assert clear.headers["content-type"] == "image/png"
    assert shown(clear)[:, :, 3].min() < 200
    turned = console.job(ODD_SHOWN, "delivered")
    image = pyvips().Image.new_from_buffer(answered(console, turned, "view/source").content, "")
    assert (image.width, image.height) == (300, 400)
    assert not [each for each in image.get_fields() if each.startswith(("exif", "xmp", "icc", "iptc"))]


def test_a_page_that_asks_again_gets_nothing_twice(site):
    """An unchanged picture is 304; it is kept on the disk, under a name that says nothing."""
    service, console = site
    job = console.job("plain.png", "delivered")
    tag = answered(console, job, "thumbnail").headers["etag"]
    again = answered(console, job, "thumbnail", status=304, headers={"If-None-Match": f'"other", {tag}'})
    assert again.content == b""
    assert again.headers["cache-control"] == "private, no-cache"
    kept = os.listdir(service.root / "var/console/renditions")
    assert f"{tag.strip(chr(34))}.jpg" in kept


def figure(console, name):
    told = console.client.get("/metrics").text
    return int(re.search(rf"^srwatchd_console_{re.escape(name)} (\d+)$", told, re.MULTILINE)[1])


@contextlib.contextmanager
def standing_still(service, console, job):
    """All of the console's workers make no progress; how many there are."""
    count = plan_renditions(load(service.config).console.memory_limit).workers
    rows = itertools.count(1)

    def started():
        """The workers' processes, once as many pictures were asked for at once as there can be."""
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(lambda y: answered(console, job, f"view/source?y={y}"), itertools.islice(rows, count)))
        pid = console.process.pid
        pids = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return pids if len(pids) == count else None

    with stopped(list(map(int, wait_for(started)))):
        yield count


def test_views_that_a_page_gives_up_are_not_made(site):
    """Who moves on in a large picture has no worker busy with what was left behind, but for what had begun."""
    service, console = site
    job = console.job("large.png", "quarantined")
    with standing_still(service, console, job) as workers:
        before, clients = figure(console, 'renditions_total{outcome="made"}'), []
        for x in range(32):
            clients.append(socket.create_connection(("127.0.0.1", console.port)))
            path = f"/api/v1/jobs/{job['job']}/view/source?x={x}"
            clients[-1].sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{console.port}\r\n\r\n".encode())
        wait_for(lambda: figure(console, "renditions_in_flight") == 32)
        for each in clients:
            each.close()
        wait_for(lambda: figure(console, "renditions_in_flight") == workers)
    wait_for(lambda: figure(console, "renditions_in_flight") == 0)
    assert figure(console, 'renditions_total{outcome="made"}') - before == workers


def test_downloads_are_the_files(site):
    """Byte for byte, whole and in parts, to be saved under a name that no header can be broken with."""
    service, console = site
    job = console.job("plain.png", "delivered")
    result = service.place("a", "done") / job["result"]["name"]
    whole = answered(console, job, "download/result")
    assert whole.content == result.read_bytes()
    assert whole.headers["content-type"] == "image/png"
    assert (
        whole.headers["content-disposition"]
        == f"attachment; filename=\"{result.name}\"; filename*=UTF-8''{result.name}"
    )
    tag, size = whole.headers["etag"], len(whole.content)
    parts = {"0-99": (0, 100), "100-": (100, size), "-50": (size - 50, size), f"{size - 1}-99999999": (size - 1, size)}
    for asked, (begin, end) in parts.items():
        part = answered(console, job, "download/result", status=206, headers={"Range": f"bytes={asked}"})
        assert part.content == whole.content[begin:end]
        assert part.headers["content-range"] == f"bytes {begin}-{end - 1}/{size}"
    beyond = answered(console, job, "download/result", status=416, headers={"Range": f"bytes={size}-"})
    assert beyond.headers["content-range"] == f"bytes */{size}"
    for ignored in ("bytes=5-1", "bytes=-", "lines=1-2", "bytes=0-1,4-5"):
        assert answered(console, job, "download/result", headers={"Range": ignored}).content == whole.content
    stale = {"Range": "bytes=0-9", "If-Range": '"another"'}
    assert answered(console, job, "download/result", headers=stale).content == whole.content
    answered(console, job, "download/result", status=206, headers={**stale, "If-Range": tag})
    answered(console, job, "download/result", status=304, headers={"If-None-Match": tag})
    odd = console.job(ODD_SHOWN, "delivered")
    told = answered(console, odd, "download/source").headers["content-disposition"]
    assert told == (
        "attachment; filename=\"b_r _q_ _b___.jpg\"; filename*=UTF-8''b%C3%A4r%20%22q%22%20%3Cb%3E%EF%BF%BD_.jpg"
    )


def test_a_source_that_failed(site):
    """It can be fetched; it cannot be shown, and the answer says why as the job does."""
    service, console = site
    job = console.job("cut.png", "quarantined")
    for path in ("thumbnail", "view/source"):
        assert refused(answered(console, job, path, status=422)) == job["code"] == "incomplete"
    assert answered(console, job, "download/source").content == (service.place("a", "error") / "cut.png").read_bytes()
    for path in ("view/result", "download/result"):
        answer = answered(console, job, path, status=410)
        assert refused(answer) == "file_gone"
        assert answer.json()["error"]["message"] == "the job made no result: it ended as quarantined"


def test_files_that_are_gone_or_others(site):
    """Taken away, replaced under their name, or a link: never shown. Jobs that nobody knows are not found."""
    service, console = site
    job = console.job("gone.png", "delivered")
    (service.place("a", "done") / job["result"]["name"]).unlink()
    for path in ("view/result", "download/result"):
        assert refused(answered(console, job, path, status=410)) == "file_gone"
    assert shown(answered(console, job, "thumbnail")).shape == (40, 60, 3)
    (service.place("a", "archive") / "gone.png").unlink()
    assert refused(answered(console, job, "thumbnail", status=410)) == "file_gone"
    other = console.job("swapped.png", "delivered")
    archived = service.place("a", "archive") / "swapped.png"
    content = archived.read_bytes()
    answered(console, other, "download/source")
    archived.write_bytes(bytes([*content[:-1], content[-1] ^ 1]))
    assert "another file" in answered(console, other, "download/source", status=410).json()["error"]["message"]
    archived.unlink()
    archived.symlink_to(service.place("a", "archive") / "plain.png")
    assert refused(answered(console, other, "view/source", status=410)) == "file_gone"
    for path in ("thumbnail", "view/source", "download/result"):
        assert refused(answered(console, {"job": "nobody"}, path, status=404)) == "not_found"


def test_figures_of_both(site):
    """Prometheus reads the daemon's very figures and the console's own, counted by route."""
    parser = pytest.importorskip("prometheus_client.parser")
    _, console = site
    for name in ("clear.webp", "swapped.png", "plain.png"):
        job = console.job(name, "delivered")
    answered(console, job, "thumbnail")
    console.client.get("/api/v1/nothing-like-this")
    delivered = ("srwatchd_pictures_total", ("folder", "a"), ("outcome", "delivered"))

    def counted():
        answer = console.client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        figures = {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in parser.text_string_to_metric_families(answer.text)
            for sample in family.samples
        }
        return figures if figures.get(delivered, 0) >= 3 else None

    found = wait_for(counted)  # a moment after the ledger has the last of them
    assert found["srwatchd_console_daemon_up",] == 1
    route = ("route", "/api/v1/jobs/{job}/thumbnail")
    assert found["srwatchd_console_requests_total", ("method", "GET"), route, ("status", "200")] >= 1
    assert found["srwatchd_console_requests_in_flight",] >= 1
    assert found["srwatchd_console_renditions_total", ("outcome", "made")] >= 1
    assert found["srwatchd_console_sent_bytes_total",] > 1000
    assert not [each for each in found if "nothing-like-this" in str(each)]
