"""Daemons with a life of their own: started, reloaded, stopped, drained, and refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from commands import ROOT, png, wait_for
from daemon_bench import Service

from srwatchd.audit import verify
from srwatchd.control.socket import NotRunningError, call
from srwatchd.errors import FatalError


def sources(service, folder="a"):
    """Every source by where it is."""
    found = {}
    for place in ("in", "archive", "error"):
        for path in service.place(folder, place).rglob("*"):
            if path.is_file() and path.suffix in (".png", ".src"):
                found.setdefault(place, []).append(path.name)
    return found


def test_reload(tmp_path):
    """A good file takes effect whole; a bad one is refused whole, with its reason, and the old one stays."""
    with Service(tmp_path, {"a": {}}) as service:
        pid = service.ask("status")["pid"]
        for bad in (
            lambda: service.write({"a": {}, "b": {"colour": "red"}}),
            lambda: service.write({"a": {}, "b": {"model": "no_such_model"}}),
            lambda: service.write({"a": {}, "b": {}}, state_dir="elsewhere"),
            lambda: service.config.write_text("{"),
        ):
            before = len(service.logged("configuration refused, the old one stays"))
            bad()
            service.process.send_signal(signal.SIGHUP)
            wait_for(lambda: len(service.logged("configuration refused, the old one stays")) > before)  # noqa: B023
            assert [folder["id"] for folder in service.ask("status")["folders"]] == ["a"]
        service.write({"b": {}})
        service.process.send_signal(signal.SIGHUP)
        wait_for(lambda: service.place("b", "in").joinpath(".srwatchd/id").exists())
        service.await_answer()
        assert [folder["id"] for folder in service.ask("status")["folders"]] == ["b"]
        assert service.ask("status")["pid"] == pid
        service.drop("b", "one.png", png())
        service.await_file("b", "archive", "one.png")
        actions = [line["event.action"] for line in service.ledger()]
        assert actions.count("configuration.refused") == 4
        assert actions.count("configuration.loaded") == 2
    assert verify(tmp_path / "var/audit/audit.jsonl", None).ok


def test_stop_in_the_middle_of_work_loses_nothing(tmp_path):
    """SIGTERM with pictures in work: exit 0, each is in its inbox or finished, and the next start goes on."""
    service = Service(tmp_path, {"a": {}})
    with service:
        slow = [each["pid"] for each in service.ask("status")["workers"] if each["role"] == "infer"]
        for pid in slow:
            os.kill(pid, signal.SIGSTOP)  # or all could be over before anybody has seen one in work
        for number in range(6):
            service.drop("a", f"{number}.png", png(300, 200, shade=number))
        wait_for(lambda: service.ask("status")["jobs"]["in_work"])
        for pid in slow:
            os.kill(pid, signal.SIGCONT)
    found = sources(service)
    assert sorted(name for names in found.values() for name in names) == [f"{number}.png" for number in range(6)]
    assert not list(service.place("a", "in").glob(".srwatchd/*.json"))
    assert not list(tmp_path.rglob(".srwatchd-*"))
    assert service.once() == 0
    assert len(list(service.place("a", "done").iterdir())) == 6
    assert len(list(service.place("a", "archive").iterdir())) == 6
    with pytest.raises(NotRunningError):
        service.ask("status")


def test_requests_stop_and_reload(tmp_path):
    """What signals do can be asked for over the socket, too."""
    service = Service(tmp_path, {"a": {}})
    service.start()
    service.await_answer()
    service.ask("reload")
    wait_for(lambda: len([line for line in service.ledger() if line["event.action"] == "configuration.loaded"]) == 2)
    service.await_answer()
    service.ask("stop")
    assert service.process.wait(60) == 0
    assert service.ledger()[-1]["event.action"] == "daemon.stopped"


def test_once(tmp_path):
    """0 when all is delivered, 3 when some is in error, 75 when something is left, and never a daemon that stays."""
    service = Service(tmp_path, {"a": {}, "b": {}})
    service.place("a", "in").mkdir(parents=True)
    service.drop("a", "good.png", png())
    assert service.once() == 0
    assert len(list(service.place("a", "done").iterdir())) == 1
    service.drop("a", "half.png", png()[:-60])
    service.drop("b", "good.png", png())
    assert service.once() == 3
    assert service.place("a", "error").joinpath("half.png").exists()
    assert len(list(service.place("b", "done").iterdir())) == 1
    with service.place("a", "in").joinpath("open.png").open("wb") as file:
        file.write(png()[:-9])
        file.flush()
        assert service.once() == 75
    assert service.place("a", "in").joinpath("open.png").exists()


@pytest.mark.parametrize("why", ["paused", "active hours", "gone"])
def test_once_leaves_what_must_not_be_touched(tmp_path, why):
    """A paused folder, one outside its hours, one that is not there: 75, without waiting for them."""
    from datetime import datetime, timedelta

    later = datetime.now().astimezone() + timedelta(hours=8)
    hours = [f"{later:%H}:00-{later + timedelta(hours=1):%H}:00"]
    service = Service(tmp_path, {"a": {"active_hours": hours} if why == "active hours" else {}})
    service.place("a", "in").mkdir(parents=True)
    assert service.once() == 0
    service.drop("a", "one.png", png())
    if why == "paused":
        done = subprocess.run(
            [sys.executable, "-P", "-m", "srwatchd", "pause", "--config", str(service.config)], cwd=ROOT, check=False
        )
        assert done.returncode == 0
    if why == "gone":
        os.rename(service.place("a", "in"), tmp_path / "hidden")
    assert service.once() == 75
    assert not list(service.place("a", "done").iterdir())


def test_beside_a_running_daemon(tmp_path):
    """A second daemon or a drain of the same state ends with 69 and touches nothing."""
    service = Service(tmp_path, {"a": {}})
    with service:
        first = service.process
        assert service.once() == 69
        assert service.start().wait(60) == 69
        service.process = first
        assert service.ask("status")["pid"] == first.pid


def test_an_inbox_of_another_state_is_held(tmp_path):
    """Two states, one inbox: the second daemon serves, holds that folder, and says whose it is."""
    first = Service(tmp_path, {"a": {}})
    with first:
        pass
    second = Service(tmp_path, {"a": {}}, state_dir="other")
    second.start()
    try:
        socket = tmp_path / "other" / "control.sock"

        def held():
            assert second.process.poll() is None
            try:
                return call(socket, "status")["folders"][0]["hold"]
            except FatalError:  # not there yet, or still starting
                return None

        assert wait_for(held)["code"] == "folder_foreign"
    finally:
        assert second.stop() == 0


def test_held_and_taken_up_again(tmp_path):
    """Done is gone: held and in the status as a person's business; back again: it goes on by itself."""
    with Service(tmp_path, {"a": {}}) as service:
        done = service.place("a", "done")
        os.rename(done, tmp_path / "away")
        hold = wait_for(lambda: service.folder("a")["hold"])
        assert hold["code"] == "folder_missing"
        assert str(done) in hold["message"]
        assert service.ask("status")["needs_person"]
        service.drop("a", "one.png", png())
        os.rename(tmp_path / "away", done)
        service.await_file("a", "archive", "one.png")
        assert service.folder("a")["hold"] is None
        actions = [line["event.action"] for line in service.ledger()]
        assert actions.index("folder.held") < actions.index("folder.resumed")


def test_no_such_model(tmp_path):
    """70 before anything is touched."""
    service = Service(tmp_path, {"a": {"model": "no_such_model"}})
    assert service.once() == 70
    assert not service.place("a", "in").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_a_source_that_may_not_be_read(tmp_path):
    """It stays where it is, neither claimed nor in error, and the status names it and its remedy."""
    service = Service(tmp_path, {"a": {}})
    for parent in (tmp_path, *tmp_path.parents):
        if parent.owner() == "root" and parent != parent.parent:
            parent.chmod(parent.stat().st_mode | 0o055)
    os.chown(tmp_path, 65534, 65534)
    try:
        words = [sys.executable, "-P", "-c", "import srwatchd.cli"]
        subprocess.run(words, cwd=ROOT, user=65534, group=65534, extra_groups=[], check=True)
    except (PermissionError, subprocess.CalledProcessError):
        pytest.skip("another user cannot run this interpreter")
    service.start(user=65534, group=65534, extra_groups=[])
    try:
        service.await_answer()
        secret = tmp_path / "secret.png"
        secret.write_bytes(png())
        secret.chmod(0o600)  # before the daemon can see it
        source = secret.rename(service.place("a", "in") / "secret.png")
        service.drop("a", "open.png", png())
        service.await_file("a", "archive", "open.png")
        wait_for(lambda: service.folder("a")["waiting"] == 1)
        assert source.exists()
        assert not list(service.place("a", "error").iterdir())
    finally:
        assert service.stop() == 0
