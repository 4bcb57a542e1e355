"""Pictures dropped through the real servers on loopback, set up as docs/shares.md says."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parents[1] / "integration"))
from commands import ROOT, small_model, small_scale, wait_for
from share_servers import ANNA, BERT, DAEMON, Servers, missing, remains, snippet

from srwatchd.audit import ACTIONS

if not (WHY := missing()):
    from share_scenes import SCENES, Stage, picture
else:
    SCENES = ()

pytestmark = [
    pytest.mark.skipif(bool(WHY), reason=f"the servers cannot be run: {WHY}"),
    pytest.mark.timeout(600),  # on a machine that has much else to do
]
_ABOVE = "/srv" if Path("/srv").is_dir() else "/var/lib"
"""sshd wants every folder above a chroot to be root's alone, which /tmp is not."""
QUICK = {"settle": "1 s", "grace": "12 s", "rescan_interval": "2 s"}
PAUSE = 2.5


@dataclass
class Site:
    """The servers, the two daemons, and what became of the scenes."""

    servers: Servers
    local: Path
    pause: float
    daemons: list[subprocess.Popen[bytes]] = field(default_factory=list)
    failures: dict[str, BaseException] = field(default_factory=dict)
    began: dict[str, float] = field(default_factory=dict)
    """When each scene began, by the clock of the ledger."""

    def place(self, folder: str, kind: str) -> Path:
        return self.servers.top / "srwatchd" / folder / kind

    def state(self, folder: str) -> Path:
        return self.servers.top / f"state-{folder}"

    def ledger(self, folder: str) -> list[dict[str, Any]]:
        """Its whole lines: the daemon may be writing another one, of which a reader can see a part."""
        lines = (self.state(folder) / "audit/audit.jsonl").read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def actions(self, folder: str, name: str) -> list[str]:
        """What the ledger tells of what was dropped under a name."""
        return [line["event.action"] for line in self.lines_of(folder, name)]

    def lines_of(self, folder: str, name: str) -> list[dict[str, Any]]:
        """The ledger's lines about what was dropped under a name."""
        path = str(self.place(folder, "in") / name)
        return [line for line in self.ledger(folder) if line.get("file.path") == path and "trace.id" in line]

    def ended(self, scene: Any) -> bool:
        last = {"delivered": "job.completed", "incomplete": "job.quarantined"}[scene.ends]
        return last in self.actions(scene.folder, scene.name)


_USER = ["setpriv", "--reuid", str(DAEMON.uid), "--regid", str(DAEMON.uid), "--clear-groups"]
_LEASE = ["--inh-caps=+lease", "--ambient-caps=+lease"]


def works(*words: str) -> bool:
    return subprocess.run(words, cwd=ROOT, capture_output=True, check=False).returncode == 0


@functools.cache
def others_can() -> bool:
    """Whether another user can run this Python at all; asked by a shell, as setpriv itself is still root's."""
    return works(*_USER, "--", "sh", "-c", '"$0" -P -c "import srwatchd.cli, click, structlog"', sys.executable)


def as_daemon(folder: str) -> list[str]:
    """The beginning of the command that serves ``folder``.

    `scans`: the daemon's user with CAP_LEASE, like the shipped unit, as far as this machine allows it; else root.
    `plain`: the daemon's user with no capability.
    """
    if folder == "plain":
        return [*_USER, "--"]
    if not others_can():
        return []
    return [*_USER, *_LEASE, "--"] if works(*_USER, *_LEASE, "--", "true") else [*_USER, "--"]


def start_daemon(site: Site, folder: str, times: dict[str, str]) -> None:
    """The document's folder in a configuration, and a daemon of its own user that serves it."""
    top, text = site.servers.top, site.servers.here(snippet("yaml"))
    if folder != "scans":
        text = text.replace("scans", folder)
    config, state = top / f"{folder}.yaml", site.state(folder)
    settings = {"model": small_model(), "min_free": 1, **times}
    text = text.replace("model: fsrcnn_x2", "\n    ".join(f"{key}: {value}" for key, value in settings.items()))
    config.write_text(f"state_dir: {state}\n{text}")
    state.mkdir()
    os.chown(state, DAEMON.uid, DAEMON.uid)
    env = {key: value for key, value in site.servers.env.items() if not key.startswith(("COVERAGE", "COV_"))}
    words = [*as_daemon(folder), sys.executable, "-P", "-m", "srwatchd", "run", "--config", str(config)]
    with (top / f"{folder}.log").open("wb") as log:
        site.daemons.append(subprocess.Popen(words, cwd=ROOT, env=env, stdout=log, stderr=log))


def await_daemon(site: Site, folder: str, daemon: subprocess.Popen[bytes]) -> None:
    """Wait until it serves."""

    def serves() -> bool:
        assert daemon.poll() is None, (site.servers.top / f"{folder}.log").read_text()
        audit = site.state(folder) / "audit/audit.jsonl"
        return audit.exists() and any(line["event.action"] == "configuration.loaded" for line in site.ledger(folder))

    wait_for(serves)


FOLDERS = ("scans", "plain") if not WHY and others_can() else ("scans",)


@contextlib.contextmanager
def served(times: dict[str, str], pause: float):
    top = Path(tempfile.mkdtemp(prefix="srwatchd-shares-", dir=_ABOVE))
    try:
        with Servers(top) as servers:
            site = Site(servers, servers.private / "clients", pause)
            site.local.mkdir()
            plain = "\n".join(
                f"install -d -o {DAEMON.uid} -g {DAEMON.uid} -m 2775 {top}/srwatchd/plain/{each}"
                for each in ("", "in", "done", "error", "archive")
            )
            assert servers.run("sh", "-euc", plain).returncode == 0
            try:
                for folder in FOLDERS:
                    start_daemon(site, folder, times)
                for folder, daemon in zip(FOLDERS, site.daemons, strict=True):
                    await_daemon(site, folder, daemon)
                yield site
            finally:
                for daemon in site.daemons:
                    daemon.terminate()
                statuses = [daemon.wait(30) for daemon in site.daemons]
        assert set(statuses) == {0}, [(top / f"{name}.log").read_text() for name in FOLDERS]
        wait_for(lambda: not list(remains(top)))
    finally:
        shutil.rmtree(top)


def play(site: Site, scene: Any) -> None:
    try:
        folder = site.local / scene.name.replace("/", " ")
        folder.mkdir()
        site.began[scene.name] = time.time()
        scene.play(Stage(site.servers, folder, site.pause), scene.name, scene.content)
    except BaseException as error:  # noqa: BLE001 - told by the scene's own test
        site.failures[scene.name] = error


def play_all(site: Site) -> None:
    played = [scene for scene in SCENES if scene.folder in FOLDERS]
    with ThreadPoolExecutor(len(played)) as pool:
        list(pool.map(lambda scene: play(site, scene), played))
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if all(site.ended(scene) for scene in played if scene.name not in site.failures):
            return
        time.sleep(0.3)


@pytest.fixture(scope="module")
def site():
    """All scenes played at once, everything at rest again and judged, before any test moves what is there."""
    with served(QUICK, PAUSE) as made:
        play_all(made)
        for scene in (each for each in SCENES if each.folder in FOLDERS and each.name not in made.failures):
            try:
                judge(made, scene)
            except (AssertionError, OSError) as error:
                made.failures[scene.name] = error
        yield made


def judge(site: Site, scene: Any) -> None:
    """The picture is whole where it has to be, exactly once, and nowhere else."""
    log = (site.servers.top / f"{scene.folder}.log").read_text()
    assert site.ended(scene), (log, site.actions(scene.folder, scene.name))
    stem = scene.name.rpartition(".")[0]
    archived, failed = (site.place(scene.folder, kind) / scene.name for kind in ("archive", "error"))
    results = [path.name for path in (site.place(scene.folder, "done") / stem).parent.iterdir()]
    result = f"{Path(stem).name}_x{small_scale()}.png"
    if scene.ends == "delivered":
        assert archived.read_bytes() == scene.content
        assert results.count(result) == 1
        assert not failed.exists()
    else:
        assert scene.content.startswith(failed.read_bytes().rstrip(b"\0"))
        told = json.loads(Path(f"{failed}.error.json").read_text())
        assert told["code"] == "incomplete", told
        assert result not in results
        assert not archived.exists()
    assert not (site.place(scene.folder, "in") / scene.name).exists()
    claims = [line for line in site.lines_of(scene.folder, scene.name) if line["event.action"] == "job.claimed"]
    assert len(claims) == 1
    if scene.folder == "plain":  # nobody can be asked whether it is still open: only quiet counts
        claimed = datetime.fromisoformat(claims[0]["@timestamp"]).timestamp()
        assert claimed - site.began[scene.name] >= 1.0
    known = (claims[0]["srwatchd.origin"], claims[0]["user.name"], claims[0].get("source.ip"))
    assert known == (scene.known, scene.who.name, "127.0.0.1" if scene.known == "samba" else None)


@pytest.mark.slow
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_only_whole_pictures_are_processed(site, scene):
    """Whatever the client did on the way: whole ones are delivered, partial ones are told so after their grace."""
    if scene.folder not in FOLDERS:
        pytest.skip("this Python cannot be run by another user than root")
    if scene.name in site.failures:
        raise site.failures[scene.name]


@pytest.mark.slow
def test_results_belong_to_the_people_of_the_share(site):
    """Another member reads, moves and deletes results, archived and failed files, over Samba and SFTP."""
    suffix = f"_x{small_scale()}.png"
    got = site.local / "got.png"
    answer = site.servers.smbclient(f'get "done/smb put{suffix}" "{got}"; del "done/smb put{suffix}"', user=BERT)
    assert answer.returncode == 0, answer.stdout
    assert got.read_bytes().startswith(b"\x89PNG")
    words = f'rename "archive/smb put.png" "archive/seen.png"\nrm "error/sftp half.png"\nrm "done/sftp put{suffix}"\n'
    answer = site.servers.sftp(words, user=BERT)
    assert answer.returncode == 0, answer.stderr
    for kind in ("done", "archive", "error"):
        for path in site.place("scans", kind).rglob("*"):
            seen = path.stat()
            assert seen.st_gid == DAEMON.uid, path
            assert seen.st_mode & 0o060 == 0o060 or kind != "done", path
    assert not list(site.place("scans", "done").glob(f"s*p put{suffix}"))


@pytest.mark.slow
def test_clients_of_samba_do_not_see_the_private_folder(site):
    """`veto files` as the document has it: neither listed nor entered."""
    listed = site.servers.smbclient("cd in; ls; cd .srwatchd")
    assert ".srwatchd" not in listed.stdout.replace("cd \\in\\.srwatchd", "")
    assert "OBJECT_NAME_NOT_FOUND" in listed.stdout


@pytest.mark.slow
def test_an_overwritten_picture_is_processed_as_one_of_the_two(site):
    """Put twice under one name: what was taken is one whole picture or the other, and the last one is among them."""
    name, first, second = "smb overwrite.png", picture("first"), picture("second")
    files = [site.local / "first.png", site.local / "second.png"]
    for file, content in zip(files, (first, second), strict=True):
        file.write_bytes(content)
    words = "; ".join(f'put "{file}" "{name}"' for file in files)
    assert site.servers.smbclient(f"cd in; {words}", user=ANNA).returncode == 0
    archive = site.place("scans", "archive")

    def taken() -> list[bytes]:
        return [path.read_bytes() for path in archive.glob("smb overwrite*.png")]

    def at_rest() -> bool:
        told = site.actions("scans", name)
        return told.count("job.claimed") == sum(ACTIONS[action].role == "outcome" for action in told)

    wait_for(lambda: second in taken() and at_rest())
    assert set(taken()) <= {first, second}


@pytest.mark.slow
def test_the_doctor_finds_the_share_in_order(site):
    """The document's layout has no warning about the share, and the doctor says whose log it is."""
    config = site.servers.top / "scans.yaml"
    words = [*as_daemon("scans"), sys.executable, "-P", "-m", "srwatchd", "doctor", "--config", str(config), "--json"]
    answer = subprocess.run(words, cwd=ROOT, env=site.servers.env, capture_output=True, text=True, check=False)
    about = [each for each in json.loads(answer.stdout)["findings"] if each["topic"] == "share"]
    assert about
    assert {each["level"] for each in about} == {"ok"}, about


@pytest.mark.soak
def test_the_same_with_the_times_of_the_document():
    """Every scene with the default times of a share: minutes, as a client's break lasts."""
    with served({}, 8.0) as site:
        play_all(site)
        assert not site.failures
        for scene in (each for each in SCENES if each.folder in FOLDERS):
            judge(site, scene)
