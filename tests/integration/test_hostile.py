"""Broken and hostile files through the daemon: each ends in one place, with a reason, and stops no other."""

from __future__ import annotations

import json
import os
import socket
import sys
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))
import commands
import hostile_files

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("unmeasured")]

NAMES = [
    "new\nline.png", "escape\x1b[31mred.png", "bell\x07.png", "tab\t.png", "back\\slash.png", "quote'\".png",
    "rtl\u202egnp.png", "percent%s{}.png", "-rf.png", "space .png", "dot..png", "ü.png", "emoji😀.png",
    b"latin\xe9.png", b"bad\xff\xfe.png", "n" * 251 + ".png", "ä" * 125 + ".png", "a.jpg",
    "<script>alert(1).png", "$(reboot).png", "C:\\nul.png",
]  # fmt: skip
ALIKE = [unicodedata.normalize("NFC", "é.png"), unicodedata.normalize("NFD", "é.png"), "a.png", "A.PNG"]
TWINNED = {unicodedata.normalize("NFD", "é.png"): [unicodedata.normalize("NFC", "é.png")], "A.PNG": ["a.png"]}
"""Names that are another one where letters are composed or case is not seen: the second gets a number."""
SECRET = b"the secret of the house\n"


@dataclass
class Dropped:
    """What was dropped into one inbox, by name, and what the daemon did."""

    root: Path
    status: int = -1
    log: bytes = b""
    sources: dict[bytes, bytes] = field(default_factory=dict)

    def __post_init__(self):
        (self.root / "in").mkdir()

    def drop(self, name, content):
        name = os.fsencode(name)
        path = os.path.join(os.fsencode(self.root / "in"), name)
        with open(path, "wb") as file:
            file.write(content)
        self.sources[name] = content

    def serve(self):
        folder = {"id": "a", "inbox": "in", "done": "done", "error": "err", "archive": "kept", "min_free": 1,
                  "model": commands.small_model(), "settle": 0.1, "grace": 1, "include": ["*"]}  # fmt: skip
        (self.root / "srwatchd.yaml").write_text(
            json.dumps({"version": 1, "log": {"format": "json"}, "folders": [folder]})
        )
        words = commands.command("once", "--config", self.root / "srwatchd.yaml")
        run = commands.subprocess.run(words, cwd=commands.ROOT, capture_output=True, timeout=280, check=False)
        self.status, self.log = run.returncode, run.stderr + run.stdout
        return self

    def names(self, place):
        top = os.fsencode(self.root / place)
        return set(os.listdir(top)) if os.path.isdir(top) else set()

    def place(self, name):
        """Where the source is now: exactly one of inbox, archive and error folder, byte for byte."""
        name = os.fsencode(name)
        found = [place for place in ("in", "kept", "err") if name in self.names(place)]
        assert len(found) == 1, (name, found, self.log[-2000:])
        assert (Path(os.fsdecode(os.fsencode(self.root / found[0]) + b"/" + name))).read_bytes() == self.sources[name]
        return found[0]

    def sidecar(self, name):
        path = os.fsencode(self.root / "err") + b"/" + os.fsencode(name) + b".error.json"
        with open(path, "rb") as file:
            text = file.read().decode("utf-8")
        assert all(character.isprintable() or character == "\n" for character in text)
        return json.loads(text)


@pytest.fixture(scope="module")
def broken(tmp_path_factory) -> Dropped:
    """One run with every broken file, and good ones among them."""
    dropped = Dropped(tmp_path_factory.mktemp("broken"))
    for files in (hostile_files.cut(), hostile_files.zero_tails(), hostile_files.flipped(), hostile_files.accepted()):
        for name, content in files.items():
            dropped.drop(name, content)
    for name, (content, _) in hostile_files.refused().items():
        dropped.drop(name, content)
    return dropped.serve()


@pytest.fixture(scope="module")
def named(tmp_path_factory) -> Dropped:
    """One run with good pictures of hostile names, and things in the inbox that are no files."""
    dropped = Dropped(tmp_path_factory.mktemp("named"))
    for number, name in enumerate([*NAMES, *ALIKE]):
        dropped.drop(name, commands.png(shade=number))
    secret = dropped.root / "secret.txt"
    secret.write_bytes(SECRET)
    secret.chmod(0o600)
    os.symlink(secret, dropped.root / "in" / "link.png")
    os.symlink("/etc", dropped.root / "in" / "folder")
    os.symlink("loop.png", dropped.root / "in" / "loop.png")
    os.link(secret, dropped.root / "in" / "hard.png")
    dropped.sources[b"hard.png"] = SECRET
    os.mkfifo(dropped.root / "in" / "fifo.png")
    here = os.getcwd()
    os.chdir(dropped.root / "in")
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("socket.png")
    finally:
        os.chdir(here)
    return dropped.serve()


@pytest.mark.slow
@pytest.mark.parametrize("name", [*hostile_files.cut(), *hostile_files.zero_tails()])
def test_a_picture_without_its_end_is_refused(name, broken):
    """Cut at any tenth, or with zeros for its end, no picture passes for whole, and the reason is told."""
    assert broken.place(name) == "err"
    told = broken.sidecar(name)
    assert told["code"] in ("incomplete", "not_a_picture")
    assert told["hint"]


@pytest.mark.slow
@pytest.mark.parametrize("name", hostile_files.flipped())
def test_a_picture_with_changed_bytes_ends_somewhere(name, broken):
    """Changed bytes may pass unseen, but the file is in one place, and a refusal says why."""
    if broken.place(name) == "err":
        assert broken.sidecar(name)["code"] in (
            "incomplete",
            "not_a_picture",
            "unsupported_content",
            "unsupported_format",
        )


@pytest.mark.slow
@pytest.mark.parametrize("name", hostile_files.refused())
def test_each_attack_is_refused_for_its_reason(name, broken):
    """Bombs, floods of pieces, pages and foreign formats: each with its code, a message and what to do."""
    assert broken.place(name) == "err"
    told = broken.sidecar(name)
    assert told["code"] == hostile_files.refused()[name][1], told
    assert told["message"]
    assert told["hint"]
    assert len(told["attempts"]) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", hostile_files.accepted())
def test_odd_pictures_are_delivered(name, broken):
    """The smallest, the longest and those with a flood of harmless extras are enlarged like any other."""
    assert broken.place(name) == "kept", broken.sidecar(name)


@pytest.mark.slow
def test_no_worker_was_lost(broken):
    """None of all these killed, hung or starved a worker, and none was a defect."""
    log = broken.log.decode()
    assert broken.status == 3
    for word in ("worker_died", "worker_hung", "out_of_memory", "internal_error", "Traceback"):
        assert word not in log


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_any_name_is_kept(name, named):
    """Whatever it is called, a picture is enlarged, and its source archived under its own name."""
    assert named.place(name) == "kept"


@pytest.mark.slow
@pytest.mark.parametrize("name", TWINNED, ids=ascii)
def test_a_name_that_others_take_for_the_same_gets_a_number(name, named):
    """Archives are read over networks and copied to other systems; there the two would be one file."""
    alike = {os.fsencode(each) for each in (name, *TWINNED[name])}
    numbered = {each[:-4] + b" (1)" + each[-4:] for each in alike}
    assert len(named.names("kept") & alike) == 1
    assert len(named.names("kept") & numbered) == 1


@pytest.mark.slow
def test_every_name_has_its_own_result(named):
    """No two names share a result: a.jpg, a.png and A.PNG, composed and decomposed letters, long names cut short."""
    assert len(named.names("done")) == len(NAMES) + len(ALIKE)
    assert all(len(name) <= 255 for name in named.names("done"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["link.png", "folder", "loop.png", "fifo.png", "socket.png"])
def test_what_is_no_file_is_left_alone(name, named):
    """Links, pipes and sockets are neither followed nor moved, and nothing is made of them."""
    assert os.fsencode(name) in named.names("in")
    assert not any(name.split(".")[0].encode() in result for result in named.names("done"))


@pytest.mark.slow
def test_a_linked_secret_stays_secret(named):
    """A hard link to somebody's file is refused as no picture; the file itself is as it was."""
    assert named.place("hard.png") == "err"
    assert named.sidecar("hard.png")["code"] == "not_a_picture"
    assert (named.root / "secret.txt").read_bytes() == SECRET
    assert (named.root / "secret.txt").stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
@pytest.mark.parametrize("run", ["broken", "named"])
def test_nothing_unescaped_is_written(request, run):
    """Log, ledger and sidecars are lines of printable text, whatever names and contents were."""
    dropped = request.getfixturevalue(run)
    ledger = dropped.root / "var" / "audit" / "audit.jsonl"
    for text in (dropped.log, ledger.read_bytes()):
        for line in text.decode("utf-8").splitlines():
            assert line.isprintable()
            json.loads(line)
    for name in dropped.names("err"):
        if name.endswith(b".error.json"):
            dropped.sidecar(name.removesuffix(b".error.json"))


@pytest.mark.slow
def test_the_ledger_holds(named):
    """The chain is whole after names of every kind."""
    checked = commands.srwatchd("audit", "verify", "--config", named.root / "srwatchd.yaml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
