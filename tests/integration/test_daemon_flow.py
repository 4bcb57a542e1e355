"""One running daemon and many folders: what becomes of every kind of thing that is dropped."""

from __future__ import annotations

import json
import os
import socket
from datetime import datetime, timedelta

import pytest
from commands import PATIENCE, png, size_of, wait_for
from daemon_bench import Service

from srwatchd.audit import verify
from srwatchd.errors import FatalError, RequestError

LATER = datetime.now().astimezone() + timedelta(hours=8)
NIGHT = f"{LATER:%H}:00-{LATER + timedelta(hours=1):%H}:00"
FOLDERS = {
    "usual": {"weight": 2, "output": {"filename": "{stem}_big"}},
    "first": {"done": "second/in", "archive": "first/archive", "recursive": False},
    "second": {"recursive": False, "exclude": ["*.skip"]},
    "night": {"active_hours": [NIGHT]},
    "marked": {"ready": "done_file"},
    "busy": {"max_hold": "1 s"},
    "paused": {},
    "small": {"max_size": "1 kB", "on_success": "delete"},
}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with Service(tmp_path_factory.mktemp("service"), FOLDERS) as running:
        yield running
    assert verify(running.root / "var/audit/audit.jsonl", None).ok
    assert running.logged("stopped")


def sidecar(service, folder, name):
    """The reason beside a quarantined source, which comes after it."""
    service.await_file(folder, "error", name)
    return json.loads(service.await_file(folder, "error", f"{name}.error.json").read_text())


def test_dropped_delivered_archived_recorded(service):
    """Enlarged in done, byte for byte in the archive, every step in the ledger, one line in the log."""
    source = service.drop("usual", "sub/one.png", png())
    result = service.await_delivered("usual", "sub/one_big.png", archived="sub/one.png")
    scale = size_of(result)[0] // 24
    assert size_of(result) == (24 * scale, 16 * scale)
    assert service.place("usual", "archive").joinpath("sub/one.png").read_bytes() == png()
    lines = service.lines_of(source)
    assert [line["event.action"] for line in lines] == [
        "job.claimed",
        "job.delivering",
        "job.delivered",
        "job.archiving",
        "job.completed",
    ]
    assert lines[-1]["srwatchd.source.width"] == 24
    assert lines[-1]["srwatchd.model.scale"] == scale
    wait_for(lambda: any(line["name"] == "sub/one.png" for line in service.logged("delivered")))
    (line,) = [line for line in service.logged("delivered") if line["name"] == "sub/one.png"]
    assert (line["result"], line["job"]) == ("sub/one_big.png", lines[0]["trace.id"])
    assert oct(result.stat().st_mode & 0o777) == "0o664"


def test_the_status_shows_every_folder(service):
    """Folders, workers and jobs, with an engine and its reason for each folder."""
    status = service.ask("status")
    assert [folder["id"] for folder in status["folders"]] == list(FOLDERS)
    assert {worker["role"] for worker in status["workers"]} == {"codec", "infer"}
    assert status["pid"] == service.process.pid
    assert status["config"] == str(service.config)
    assert all(folder["engine"] and folder["engine_reason"] for folder in status["folders"])
    assert service.folder("usual")["hold"] is None


def test_done_of_one_folder_is_the_inbox_of_another(service):
    """A chain enlarges twice, each step with a record of its own."""
    service.drop("first", "two.png", png())
    result = service.await_delivered("second", f"{_stem(service, 'two')}.png", archived=f"{_step(service, 'two')}.png")
    scale = size_of(service.place("second", "archive") / f"{_step(service, 'two')}.png")[0] // 24
    assert size_of(result)[0] == 24 * scale * scale
    service.await_file("first", "archive", "two.png")


def _scale(service):
    return next(line for line in service.ledger() if line["event.action"] == "model.selected")["srwatchd.model.scale"]


def _step(service, stem):
    return f"{stem}_x{_scale(service)}"


def _stem(service, stem):
    return _step(service, _step(service, stem))


def test_half_a_picture_waits_for_its_grace(service):
    """Then it goes to the error folder with its reason; a complete one of that name may come meanwhile."""
    source = service.drop("usual", "half.png", png(200, 200)[:-200])
    reason = sidecar(service, "usual", "half.png")
    assert reason["code"] == "incomplete"
    assert reason["path"] == "half.png"
    assert service.await_file("usual", "error", "half.png").read_bytes() == png(200, 200)[:-200]
    wait_for(lambda: service.lines_of(source)[-1]["event.action"] == "job.quarantined")
    assert reason["job"] == service.lines_of(source)[0]["trace.id"]


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("empty.png", b"", "empty"),
        ("text.jpg", b"this is no picture at all, whatever it is called\n" * 9, "not_a_picture"),
        ("page.pdf", b"%PDF-1.7\n" + b"0" * 500, "unsupported_format"),
    ],
)
def test_what_is_no_picture_goes_to_the_error_folder(service, name, content, code):
    """Each with its own reason and a hint."""
    service.drop("usual", name, content)
    reason = sidecar(service, "usual", name)
    assert reason["code"] == code
    assert reason["hint"]
    assert service.await_file("usual", "error", name).read_bytes() == content


def test_too_large_and_deleted_on_success(service):
    """Above max_size: error. Below, with on_success delete: nothing but the result is left."""
    service.drop("small", "large.png", png() + b"\0" * 2000)
    assert sidecar(service, "small", "large.png")["code"] == "too_large_file"
    service.drop("small", "fine.png", png())
    service.await_file("small", "done", f"{_step(service, 'fine')}.png")
    wait_for(lambda: not list(service.place("small", "in").rglob("*.src")))
    assert not list(service.place("small", "archive").glob("fine*"))


HOSTILE = [
    b"new\nline.png",
    b"esc\x1b[2J\x07.png",
    b"latin-\xff\xe9.png",
    "turned-\u202egnp.png".encode(),
    b"x" * 247 + b".png",
    "\U0001f600".encode() * 62 + b".png",
    b"-rf.png",
    b"'; rm -rf $HOME `id` .png",
    b" .png ",
]


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_are_harmless(service, name):
    """Delivered under a name made of theirs, archived byte for byte, and never raw in log or status."""
    service.drop("usual", name, png())
    archived = os.path.join(os.fsencode(service.place("usual", "archive")), name)
    wait_for(lambda: os.path.exists(archived))
    beginning = os.fsdecode(name)[:3]
    wait_for(lambda: any(line["name"].startswith(beginning) for line in service.logged("delivered")))
    assert all(line.isascii() and line.isprintable() for line in service.log.read_text().splitlines())
    assert json.dumps(service.ask("status")).isascii()
    assert verify(service.root / "var/audit/audit.jsonl", None).ok


def test_links_fifos_and_dot_files_are_left_alone(service):
    """Neither opened nor moved nor followed; what is a picture beside them is delivered."""
    inbox = service.place("usual", "in")
    outside = service.root / "outside.png"
    outside.write_bytes(png())
    (inbox / "link.png").symlink_to(outside)
    (inbox / "folder").symlink_to(service.root)
    os.mkfifo(inbox / "fifo.png")
    (inbox / ".hidden.png").write_bytes(png())
    service.drop("usual", "beside.png", png())
    service.await_delivered("usual", "beside_big.png", archived="beside.png")
    assert (inbox / "link.png").is_symlink()
    assert (inbox / "fifo.png").is_fifo()
    assert (inbox / ".hidden.png").exists()
    assert outside.exists()
    assert not list(service.place("usual", "done").glob("*link*"))


def test_the_same_name_twice_overwrites_nothing(service):
    """Results and archived sources of one name get numbers."""
    for number in (1, 2):
        service.drop("usual", "again.png", png(shade=number))
        name = "again_big.png" if number == 1 else "again_big (1).png"
        service.await_delivered("usual", name, archived="again.png" if number == 1 else "again (1).png")
    assert service.place("usual", "archive").joinpath("again.png").read_bytes() == png(shade=1)


def test_outside_its_active_hours_a_folder_waits(service):
    """The picture stays where it is, and the status says why."""
    service.drop("night", "owl.png", png())
    wait_for(lambda: service.folder("night")["waiting"] == 1)
    service.drop("usual", "lark.png", png())
    service.await_delivered("usual", "lark_big.png", archived="lark.png")
    assert service.folder("night")["state"] == "outside active hours"
    assert service.place("night", "in").joinpath("owl.png").exists()


def test_a_marker_says_that_a_file_is_complete(service):
    """Without it nothing happens; with it the file goes at once, and the marker does not stay."""
    source = service.drop("marked", "whole.png", png())
    service.drop("usual", "other.png", png())
    service.await_delivered("usual", "other_big.png", archived="other.png")
    assert source.exists()
    service.drop("marked", "whole.png.done", b"")
    service.await_delivered("marked", f"{_step(service, 'whole')}.png", archived="whole.png")
    assert list(service.place("marked", "in").iterdir()) == [service.place("marked", "in") / ".srwatchd"]


def test_a_writer_that_never_closes(service):
    """After max_hold the file goes to the error folder although it is open."""
    with service.place("busy", "in").joinpath("open.png").open("wb") as file:
        file.write(png())
        file.flush()
        assert sidecar(service, "busy", "open.png")["code"] == "writer_never_closed"
    assert service.place("busy", "error").joinpath("open.png").read_bytes() == png()


def test_pause_resume(service):
    """A paused folder takes nothing; resumed it goes on; both are in the ledger."""
    service.ask("pause", folder="paused")
    assert service.folder("paused")["paused"]
    source = service.drop("paused", "later.png", png())
    service.drop("usual", "now.png", png())
    service.await_delivered("usual", "now_big.png", archived="now.png")
    assert source.exists()
    service.ask("resume", folder="paused")
    service.await_delivered("paused", f"{_step(service, 'later')}.png", archived="later.png")
    actions = [line["event.action"] for line in service.ledger() if line.get("srwatchd.folder") == "paused"]
    assert [action for action in actions if action.startswith("control")] == ["control.paused", "control.resumed"]


def test_retry(service):
    """Back into the inbox without its sidecar, tried again, in error again; unknown names are said to be missing."""
    service.drop("second", "bad.gif", b"nothing" * 50)
    first = sidecar(service, "second", "bad.gif")
    assert service.ask("retry", folder="second", names=["bad.gif", "no\n.png"]) == {
        "moved": ["bad.gif"],
        "missing": ["no\n.png"],
    }
    wait_for((service.place("second", "error") / "bad.gif.error.json").exists)
    assert sidecar(service, "second", "bad.gif")["job"] != first["job"]
    assert "control.retried" in [line["event.action"] for line in service.ledger()]


@pytest.mark.parametrize(
    "request_", [b"no json\n", b"[]\n", b'{"command": "dance"}\n', b"{}\n", b'{"command": "retry"}\n']
)
def test_a_request_that_makes_no_sense_is_answered(service, request_):
    """With an error, and the daemon goes on."""
    answer = _raw(service, request_)
    assert "not understood" in json.loads(answer)["error"]["message"]
    assert json.loads(answer)["error"]["code"] == "bad_request"
    assert service.ask("status")["pid"] == service.process.pid


def test_an_unknown_folder_is_an_error(service):
    """It is named, and so are the known ones."""
    with pytest.raises(FatalError, match="nowhere") as caught:
        service.ask("pause", folder="nowhere")
    assert "usual" in caught.value.hint
    with pytest.raises(RequestError, match="dance"):
        service.ask("dance")


def test_a_client_that_hangs_up_harms_nobody(service):
    """Half a request, or an answer that nobody reads."""
    for request in (b'{"comm', b'{"command": "status"}\n', b"x" * (2 << 20)):
        _raw(service, request, read=False)
    assert service.ask("status")["jobs"] is not None


def _raw(service, request, *, read=True):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(str(service.root / "var" / "control.sock"))
        try:
            client.sendall(request)
        except (BrokenPipeError, ConnectionResetError):
            return b""
        return client.makefile("rb").readline() if read else b""
