"""The image as built, run as compose.yaml says: no network, read-only root, no capabilities, five mounts.

Takes minutes, a package index and root: ``pytest -m soak -s tests/e2e/test_image.py``, which also tells the sizes.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

import pytest
import yaml

sys.path.extend([str(Path(__file__).parent), str(Path(__file__).parents[1] / "integration")])
from commands import png, size_of, wait_for
from container import IMAGE, ROOT, Engine, inspected, missing, podman_options

CONFIG = "/etc/srwatchd/srwatchd.yaml"
OWNER = 10001
LIMITS = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=4096:4096")
"""podman's own are above what a test may ask for that runs in a container itself."""
PLACES = ("in", "done", "error", "archive")
VOLUMES = ("state", "origins", "console", "models")
NOTHING = {"jobs": {"running": []}}
"""In work while no daemon answers."""

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
    pytest.mark.timeout(1800),
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """A storage with the image in it."""
    made = Engine.at(tmp_path_factory.mktemp("containers"))
    try:
        made.build()
        yield made
    finally:
        made.remove()


@pytest.fixture
def run(engine, tmp_path):
    """Starts what compose.yaml says; each container and its named volume go with the test."""
    for each in PLACES:
        (tmp_path / each).mkdir()
        (tmp_path / each).chmod(0o2775)
        os.chown(tmp_path / each, OWNER, OWNER)
    options = podman_options({f"/srv/pictures/{each}": tmp_path / each for each in PLACES})
    with contextlib.ExitStack() as stack:
        stack.callback(engine.podman, "volume", "rm", "--force", *VOLUMES, check=False)
        stack.callback(engine.podman, "rm", "--force", "--time", "0", "--ignore", "desk", "box")

        def start(*more, words=()):
            plain = ["--detach", "--name", "box", "--pull", "never", *LIMITS]
            engine.podman("run", *plain, *options, *more, IMAGE, *words)

        yield start


def answers(engine):
    return engine.podman("healthcheck", "run", "box", check=False).returncode == 0


def ready(engine):
    """Wait until the health check is content; what it says itself when it ends instead."""
    wait_for(lambda: answers(engine) or inspected(engine, "box")["RestartCount"])
    assert answers(engine), engine.podman("logs", "box").stderr


def status(engine):
    done = engine.podman("exec", "box", "srwatchd", "status", "--config", CONFIG, "--json", check=False)
    return json.loads(done.stdout) if done.returncode in (0, 7) else None


def drop(tmp_path, name, content):
    """A picture of the right owner, complete at once."""
    staged = tmp_path / "in" / f".{name}"
    staged.write_bytes(content)
    os.chown(staged, OWNER, OWNER)
    staged.rename(tmp_path / "in" / name)


def names(tmp_path, place):
    return sorted(path.name for path in (tmp_path / place).iterdir() if not path.name.startswith("."))


def test_a_container_killed_in_the_middle_of_a_picture_finishes_it_when_it_runs_again(engine, run, tmp_path):
    """One result, one archived source, a ledger that verifies; also after the container is made anew (an upgrade)."""
    run()
    ready(engine)
    workers = [str(each["pid"]) for each in status(engine)["workers"] if each["role"] == "infer"]
    engine.podman("exec", "box", "sh", "-c", f"kill -STOP {' '.join(workers)}")  # so that it stays in the middle
    drop(tmp_path, "large.png", png(1600, 1200))
    wait_for(lambda: [job["stage"] for job in (status(engine) or NOTHING)["jobs"]["running"]] == ["upscale"])
    engine.podman("kill", "--signal", "KILL", "box")
    engine.podman("wait", "box")
    assert names(tmp_path, "done") == []
    engine.podman("start", "box")
    wait_for(lambda: names(tmp_path, "archive"))
    assert names(tmp_path, "done") == ["large_x3.png"]
    assert size_of(tmp_path / "done" / "large_x3.png") == (4800, 3600)

    engine.podman("stop", "box")
    assert inspected(engine, "box")["State"]["ExitCode"] == 0
    engine.podman("rm", "box")
    run()
    ready(engine)
    drop(tmp_path, "small.png", png())
    wait_for(lambda: len(names(tmp_path, "archive")) == 2)
    assert names(tmp_path, "done") == ["large_x3.png", "small_x3.png"]
    assert names(tmp_path, "error") == names(tmp_path, "in") == []
    engine.podman("exec", "box", "srwatchd", "audit", "verify", "--config", CONFIG)
    assert (tmp_path / "done" / "small_x3.png").stat().st_uid == OWNER


def test_the_container_has_nothing_that_it_does_not_need(engine, run):
    """Its own user, no capability, no interface but the loopback, nothing to write to but its mounts; no problem."""
    run()
    ready(engine)

    def shell(words):
        return engine.podman("exec", "box", "sh", "-c", words, check=False)

    told = dict(line.split(":", 1) for line in shell("cat /proc/1/status").stdout.splitlines())
    assert told["Uid"].split() == told["Gid"].split() == [str(OWNER)] * 4
    assert all(int(told[key], 16) == 0 for key in ("CapPrm", "CapEff", "CapBnd", "CapAmb"))
    assert told["NoNewPrivs"].strip() == "1"
    interfaces = [line.split(":")[0].strip() for line in shell("cat /proc/net/dev").stdout.splitlines()[2:]]
    assert interfaces == ["lo"]
    for place in ("/x", "/opt/srwatchd/x", "/etc/srwatchd/x", "/data/x"):
        assert "Read-only file system" in shell(f"touch {place}").stderr
    doctor = engine.podman("exec", "box", "srwatchd", "doctor", "--config", CONFIG, "--json", check=False)
    problems = [each for each in json.loads(doctor.stdout)["findings"] if each["level"] == "problem"]
    assert problems == []


ASK = """
import json, sys, urllib.request
method, path, token, size = sys.argv[1:]
data = sys.stdin.buffer.read() if int(size) else None
headers = {"Authorization": f"Bearer {token}", "X-Srwatchd": "1"}
request = urllib.request.Request(f"http://127.0.0.1:8470{path}", data, headers, method=method)
print(urllib.request.urlopen(request, timeout=30).read().decode())
"""


def test_the_console_is_the_image_s_second_command(engine, run, tmp_path):
    """A user first; then it sees the daemon, takes a picture, and can write neither results nor the ledger."""
    run()
    ready(engine)
    places = {f"/srv/pictures/{each}": tmp_path / each for each in PLACES}
    options = [*LIMITS, "--pull", "never", *podman_options(places, "console")]
    command = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["console"]["command"]
    refused = engine.podman("run", "--name", "desk", *options, "--restart=no", IMAGE, *command, check=False)
    assert refused.returncode == 78, refused.stderr
    engine.podman("rm", "desk")
    token_words = ("console", "token", "add", "test", "--role", "operator", "--config", CONFIG)
    made = engine.podman("run", "--name", "desk", *options, "--restart=no", IMAGE, *token_words)
    engine.podman("rm", "desk")
    engine.podman("run", "--detach", "--name", "desk", *options, IMAGE, *command)

    def ask(method, path, data=b""):
        words = ["exec", "--interactive", "desk", "/opt/srwatchd/bin/python", "-c", ASK, method, path]
        return engine.podman(*words, made.stdout.strip(), len(data), check=False, data=data)

    wait_for(lambda: '"daemon":true' in ask("GET", "/api/v1/health").stdout.replace(" ", ""))
    assert engine.podman("healthcheck", "run", "desk", check=False).returncode == 0
    assert ask("PUT", "/api/v1/folders/pictures/files/up.png", png()).returncode == 0
    wait_for(lambda: names(tmp_path, "archive") == ["up.png"])
    assert names(tmp_path, "done") == ["up_x3.png"]
    told = engine.podman("exec", "box", "cat", "/var/lib/srwatchd/audit/audit.jsonl").stdout
    assert '"srwatchd.origin": "console"' in told or '"srwatchd.origin":"console"' in told
    for place in ("/data/done/x", "/data/archive/x", "/var/lib/srwatchd/audit/x", "/etc/srwatchd/x"):
        assert "Read-only file system" in engine.podman("exec", "desk", "touch", place, check=False).stderr


def test_healthy_means_that_the_daemon_answers(engine, run, tmp_path):
    """Not before it runs; still when a folder is held, which ends the status with 7 and no restart would mend."""
    run("--entrypoint", "sleep", words=["infinity"])
    assert not answers(engine)
    engine.podman("rm", "--force", "--time", "0", "box")
    run()
    ready(engine)
    os.chown(tmp_path / "done", 0, 0)
    (tmp_path / "done").chmod(0o755)
    drop(tmp_path, "held.png", png())
    wait_for(lambda: (status(engine) or {"needs_person": False})["needs_person"])
    assert answers(engine)
    os.chown(tmp_path / "done", OWNER, OWNER)
    wait_for(lambda: names(tmp_path, "done") == ["held_x3.png"])


def test_the_image_goes_through_a_file_to_a_machine_without_a_registry(engine, tmp_path):
    """``save`` here and ``load`` there give the same image; its size is told."""
    file = tmp_path / "srwatchd.tar"
    there = Engine.at(tmp_path / "there")
    try:
        engine.podman("save", "--quiet", "--output", file, IMAGE)
        there.podman("load", "--quiet", "--input", file)
        ours, theirs = (json.loads(each.podman("image", "inspect", IMAGE).stdout)[0] for each in (engine, there))
        assert ours["Id"] == theirs["Id"]
        assert ours["Config"]["User"] == f"{OWNER}:{OWNER}"
        base, own = engine.sizes()
        told = {"base": base, "srwatchd": own, "file": file.stat().st_size}
        sys.stdout.write(", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in told.items()) + "\n")
        assert own < 500e6
    finally:
        there.remove()
