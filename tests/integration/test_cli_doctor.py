"""srwatchd doctor, and the examinations it is made of."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.append(str(Path(__file__).parent))
from commands import files_below, ledger_lines, prepared, running, srwatchd

from srwatchd.config import load
from srwatchd.daemon import examination, examine_intake, examine_machine
from srwatchd.daemon.examination import _patiently
from srwatchd.daemon.examine_intake import examine_watches
from srwatchd.daemon.examine_machine import _clock, examine_sockets, network_sockets
from srwatchd.daemon.examine_places import View, examine_folder, examine_state, lock_holder
from srwatchd.daemon.finding import Level
from srwatchd.errors import FatalError, HostError
from srwatchd.intake.look import prepare_leases
from srwatchd.worker.confinement import Measure


@pytest.fixture
def config(tmp_path):
    return prepared(tmp_path / "hot")


def diagnosis(config):
    done = srwatchd("doctor", "--config", config, "--json")
    report = json.loads(done.stdout)
    return done.returncode, {f"{each['topic']} {each['subject']}": each for each in report["findings"]}


def levels(findings):
    return {f"{each.topic} {each.subject}": each.level for each in findings}


def folders(config):
    """The findings about the one folder of a configuration, without a daemon."""
    loaded = load(config)
    view = View.of(loaded, None)
    return levels([*examine_folder(loaded.folders[0], view), *examine_state(view)])


def bad(found):
    return {name: level.value for name, level in found.items() if level is not Level.OK}


# -- as a user runs it ---------------------------------------------------------------------------------------------


def test_a_fresh_folder_is_in_order_and_stays_as_it_is(config):
    """Exit 0; every kind of thing was looked at; not a byte was left or changed."""
    before = files_below(config.parent)
    status, found = diagnosis(config)
    assert status == 0, [each for each in found.values() if each["level"] == "problem"]
    topics = {name.split()[0] for name in found}
    assert topics >= {"daemon", "state", "ledger", "folder", "id", "private", "lock", "space", "model", "engine"}
    assert topics >= {"codec", "network", "memory", "limits", "sandbox", "clock", "versions", "inotify"}
    assert found["daemon process"]["found"] == "not running"
    assert [name for name in files_below(config.parent) if "scratch" not in name] == before


def test_a_problem_is_exit_6_with_a_remedy(config):
    """In words, too."""
    shutil.rmtree(config.parent / "hot" / "pictures" / "done")
    done = srwatchd("doctor", "--config", config)
    assert done.returncode == 6
    assert "problem folder" in done.stdout
    assert "what to do:" in done.stdout
    assert "1 problems" in done.stdout


def test_a_running_daemon_is_named_and_not_disturbed(config):
    """It holds its locks, opens no network socket, and notices nothing of the examination."""
    with running(config) as daemon:
        before = len(ledger_lines(config))
        status, found = diagnosis(config)
        assert status == 0
        assert found["daemon process"]["found"].startswith(f"running, process {daemon.pid}")
        assert str(daemon.pid) in found["lock pictures"]["found"]
        assert found["network sockets"]["level"] == "ok"
        assert daemon.poll() is None
        assert len(ledger_lines(config)) == before


# -- the state and the folders -------------------------------------------------------------------------------------


def test_what_was_never_made_is_no_problem(tmp_path):
    """A new configuration says what will be made."""
    path = tmp_path / "srwatchd.yaml"
    path.write_text("folders: [{id: a, inbox: in, done: out, error: err, model: m}]\n")
    assert bad(folders(path)) == {}


def test_a_wrong_disk_is_told_from_a_new_one(config):
    """A folder that was served and has no id now is not mounted, or another one."""
    private = config.parent / "hot" / "pictures" / "in" / ".srwatchd"
    (private / "id").write_text("{}")
    assert bad(folders(config)) == {"id pictures": "problem"}
    (private / "id").write_text(json.dumps({"inbox": "1", "state": "another"}))
    assert bad(folders(config)) == {"id pictures": "problem"}
    (private / "id").unlink()
    assert bad(folders(config)) == {"id pictures": "problem"}


def test_the_private_folder_is_ours_and_private(config):
    """Another mode is a warning, a link in its place a problem."""
    private = config.parent / "hot" / "pictures" / "in" / ".srwatchd"
    private.chmod(0o755)
    assert bad(folders(config)) == {"private pictures": "warning"}
    private.rename(private.parent / "moved")
    private.symlink_to("moved")
    assert bad(folders(config)) == {"private pictures": "problem"}


def test_a_lock_of_another_process_is_seen_without_taking_it(config):
    """The kernel's table of locks tells who."""
    path = config.parent / "hot" / "pictures" / "in" / ".srwatchd" / "lock"
    assert lock_holder(path) is None
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert lock_holder(path) == os.getpid()
        assert bad(folders(config)) == {"lock pictures": "problem"}
    assert lock_holder(path.parent / "nothing") is None


def test_a_file_in_a_folders_place_and_a_full_disk_are_problems(config):
    """Each with what to do."""
    done = config.parent / "hot" / "pictures" / "done"
    done.rmdir()
    done.write_text("")
    config.write_text(config.read_text().replace("min_free: 1\n", "min_free: 100TB\n"))
    assert bad(folders(config)) == {
        "folder pictures done": "problem",
        "space pictures error": "problem",
        "space pictures archive": "problem",
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")
def test_a_mount_that_is_read_only_or_in_memory_is_told(config):
    """Read-only done is a problem, a state in memory a warning."""
    done, state = config.parent / "hot" / "pictures" / "done", config.parent / "var"
    identity, known = (state / "id").read_text(), (state / "folders.json").read_text()
    mounted = []
    try:
        for place, options in ((done, "ro,size=1M"), (state, "size=2G")):
            words = ["/bin/mount", "-t", "tmpfs", "-o", options, "srwatchd-test", place]
            if subprocess.run(words, capture_output=True, check=False).returncode:
                pytest.skip("mounting is not allowed here")
            mounted.append(place)
        (state / "id").write_text(identity)
        (state / "folders.json").write_text(known)
        state.chmod(0o750)
        assert bad(folders(config)) == {"folder pictures done": "problem", f"state {state}": "warning"}
    finally:
        for place in mounted:
            subprocess.run(["/bin/umount", place], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away")
def test_another_users_state_asks_for_that_user(config):
    """What root may do says nothing about the daemon's user."""
    for place in (config.parent / "var", config.parent / "hot" / "pictures" / "in" / ".srwatchd"):
        os.chown(place, 1234, 1234)
    assert bad(folders(config)) == {f"state {config.parent / 'var'}": "warning"}
    os.chown(config.parent / "var", 0, 0)
    assert bad(folders(config)) == {"private pictures": "problem"}


def test_a_key_that_cannot_be_read_is_a_problem(config):
    """Without its key the ledger does not open."""
    config.write_text(config.read_text() + "audit:\n  key_file: key\n")
    ledger = f"ledger {config.parent / 'var' / 'audit' / 'audit.jsonl'}"
    assert bad(folders(config)) == {ledger: "problem"}
    (config.parent / "key").write_bytes(b"k" * 32)
    assert bad(folders(config)) == {}


def test_a_hung_mount_does_not_hang_the_doctor(monkeypatch):
    """It becomes a finding, and so does whatever a look raises."""
    gate = threading.Event()
    with monkeypatch.context() as hurried:
        hurried.setattr(examination, "_PATIENCE", 0.05)
        [hung] = asyncio.run(_patiently("folder", "a", lambda: [gate.wait()]))
    gate.set()
    assert (hung.level, "hangs" in hung.found) == (Level.PROBLEM, True)

    def fails(error):
        raise error

    for error in (OSError(5, "Input/output error"), HostError("io_error", "Input/output error")):
        [found] = asyncio.run(_patiently("folder", "a", lambda error=error: fails(error)))
        assert "Input/output error" in found.found


# -- how drops are noticed -----------------------------------------------------------------------------------------


def noticed(config):
    return levels(examine_intake.examine_intake(load(config).folders[0]))


def test_leases_and_events_are_tried_and_leave_nothing(config, monkeypatch):
    """A file in use is told from a complete one, an event arrives, the probe is gone."""
    monkeypatch.setattr(examine_intake, "_EVENT_SECONDS", 60.0)
    prepare_leases()
    before = files_below(config.parent)
    assert noticed(config) == {"lease pictures": Level.OK, "events pictures": Level.OK}
    assert files_below(config.parent) == before


def test_leases_that_say_nothing_and_events_that_do_not_come_are_warnings(config, monkeypatch):
    """Work goes on by settling and scanning."""

    class Deaf:
        def __init__(self, *_args, **_options):
            pass

        def stop(self):
            pass

    monkeypatch.setattr(examine_intake, "Watcher", Deaf)
    monkeypatch.setattr(examine_intake, "_EVENT_SECONDS", 0.05)
    monkeypatch.setattr("srwatchd.intake.look._ask_lease", lambda _descriptor: examine_intake.Lease.UNKNOWN)
    assert noticed(config) == {"lease pictures": Level.WARNING, "events pictures": Level.WARNING}


def test_polling_needs_no_events(config):
    """And a folder that is not there is not tried."""
    config.write_text(config.read_text().replace("  #watch_mode: auto", "  watch_mode: poll"))
    assert noticed(config)["events pictures"] is Level.OK
    shutil.rmtree(config.parent / "hot" / "pictures" / "in" / ".srwatchd")
    assert noticed(config) == {"lease pictures": Level.OK}


def test_inotify_limits_are_held_against_the_folders(config, tmp_path, monkeypatch):
    """Too few watches are a warning with the command that raises them."""
    for name, value in (("max_user_watches", "3"), ("max_user_instances", "128"), ("max_queued_events", "x")):
        (tmp_path / name).write_text(value)
    monkeypatch.setattr(examine_intake, "_INOTIFY", tmp_path)
    inbox = config.parent / "hot" / "pictures" / "in"
    for number in range(4):
        (inbox / str(number)).mkdir()
    found = list(examine_watches(load(config).folders))
    assert levels(found) == {"inotify max_user_watches": Level.WARNING, "inotify max_user_instances": Level.OK}
    assert "sysctl fs.inotify.max_user_watches=" in found[0].remedy


# -- the machine ---------------------------------------------------------------------------------------------------


def test_memory_is_held_against_machine_and_control_group(config, monkeypatch):
    """More than there is is a problem, most of it a warning."""

    def memory(**bounds):
        monkeypatch.setattr(examine_machine, "_cgroup_limits", lambda _process: bounds)
        found = levels(examine_machine.examine_machine(load(config), process=os.getpid()))
        return found["memory memory_limit"]

    assert memory() is Level.OK
    assert memory(group=(1 << 30) + 1) is Level.WARNING
    assert memory(group=1 << 29) is Level.PROBLEM


def test_a_network_socket_is_found():
    """One that listens is a problem; a local one is nobody's business."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert network_sockets(os.getpid()) == []
        with socket.create_server(("127.0.0.1", 0)):
            assert [each.split()[0] for each in network_sockets(os.getpid())] == ["tcp"]
            assert examine_sockets([os.getpid(), 1 << 22]).level is Level.PROBLEM
    assert examine_sockets([os.getpid()]).level is Level.OK


def test_a_clock_that_was_never_set_is_a_warning():
    """The order in the ledger does not need it, active hours do."""
    assert (_clock(86_400.0).level, _clock(1_800_000_000.0).level) == (Level.WARNING, Level.OK)


def test_versions_and_limits(config, monkeypatch):
    """A missing dependency is a problem, a missing engine or a rival build a warning, few open files too.

    Both builds of ONNX Runtime are here, which lie over the same files as well.
    """
    there = {"openvino": None, "click": None, "opencv-python": "4"}

    def version(name):
        found = there.get(name, "1.0" if not name.startswith("opencv-") or "contrib-python-headless" in name else None)
        if found is None:
            raise metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(examine_machine.metadata, "version", version)
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (256, 256))
    found = bad(levels(examine_machine.examine_machine(load(config), process=os.getpid())))
    assert {name: level for name, level in found.items() if not name.startswith("memory")} == {
        "versions click": "problem",
        "versions openvino": "warning",
        "versions onnxruntime": "warning",
        "versions opencv-python": "warning",
        "limits open files": "warning",
    }


# -- models and the daemon -----------------------------------------------------------------------------------------


def test_an_altered_model_and_an_unknown_one_are_problems(config, monkeypatch):
    """Named with what to do; nothing is loaded for them."""
    found = load(config)
    specs, _ = examination._models(found)
    assert [spec.name for spec in specs] == [found.folders[0].model]
    shipped = examination.find_models(None)
    altered = {name: replace(spec, sha256="0" * 64) for name, spec in shipped.items()}
    monkeypatch.setattr(examination, "find_models", lambda _directory: altered)
    specs, findings = examination._models(found)
    assert specs == []
    assert levels(findings)[f"model {found.folders[0].model}"] is Level.PROBLEM
    monkeypatch.setattr(examination, "find_models", lambda _directory: {})
    assert [each.level for each in examination._models(found)[1]] == [Level.PROBLEM]


def test_a_daemon_that_does_not_answer_is_a_warning(config):
    """Its lock is seen, its silence told."""
    with (config.parent / "var" / "lock").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        report, [found] = examination._daemon(load(config))
    assert (report, found.level) == (None, Level.WARNING)
    assert str(os.getpid()) in found.found


def test_a_held_and_a_paused_folder_are_told(config, monkeypatch):
    """With the daemon's own reason and hint."""
    hold = {"message": "full", "hint": "free space"}
    folder = {"id": "pictures", "hold": hold, "paused": True}
    monkeypatch.setattr(examination, "call", lambda *_, **__: {"pid": 7, "version": "1", "folders": [folder]})
    _, findings = examination._daemon(load(config))
    assert [each.level for each in findings] == [Level.OK, Level.PROBLEM, Level.WARNING]


def test_what_the_workers_could_not_give_up_is_a_warning():
    """An old kernel or a strict container leaves workers with more than they need; work goes on."""

    def worker(*measures):
        return SimpleNamespace(role="codec", confinement=measures)

    whole, partly = Measure("seccomp", active=True), Measure("landlock", active=False, detail="old kernel")
    assert examination._confined([worker()]) == []
    assert [each.level for each in examination._confined([worker(whole)])] == [Level.OK]
    [found] = examination._confined([worker(whole, partly)])
    assert (found.level, "landlock (old kernel)" in found.remedy) == (Level.WARNING, True)


@pytest.mark.parametrize(
    "error", [PermissionError(13, "denied"), TimeoutError("silent"), FatalError("not_running", "x")]
)
def test_a_control_socket_that_cannot_be_used_is_a_warning(config, monkeypatch, error):
    """The rest of the examination goes on without the daemon's word."""

    def call(*_, **__):
        raise error

    monkeypatch.setattr(examination, "call", call)
    report, [found] = examination._daemon(load(config))
    assert (report, found.level, bool(found.remedy)) == (None, Level.WARNING, True)


def test_an_engine_that_does_not_start_is_a_problem(config):
    """With the reason that the worker gives; the rest of the report is there."""
    config.write_text(config.read_text() + "engine:\n  device: npu\n")
    status, found = diagnosis(config)
    model = load(config).folders[0].model
    assert (status, found[f"engine {model}"]["level"]) == (6, "problem")
    assert found["network sockets"]["level"] == "ok"
