"""srwatchd.daemon.errands: back from the error folder into the inbox, and only into the right one."""

from __future__ import annotations

import contextlib
import json
import os

import pytest
from custody_bench import Crash, Faults
from daemon_standin import folder
from delivery_places import bind

from srwatchd.audit import Ledger
from srwatchd.daemon.errands import finish_cut_off, put_back
from srwatchd.errors import HostError
from srwatchd.intake.inbox import Inbox


@pytest.fixture
def ledger(tmp_path):
    kept = Ledger(tmp_path / "audit.jsonl")
    kept.open()
    yield kept
    kept.close()


def made(root, **changes):
    """A hot folder with its marked inbox and its other folders."""
    config = folder(root, **changes)
    for place in (config.inbox, config.done, config.error):
        place.mkdir(parents=True, exist_ok=True)
    Inbox.open(config.inbox, state_id="s", create=True).close()
    return config


def actions(root):
    return [json.loads(line)["event.action"] for line in (root / "audit.jsonl").read_text().splitlines()]


def quarantined(config, name):
    """A picture in the error folder with its sidecar."""
    place = os.path.join(os.fsencode(config.error), os.fsencode(name))
    os.makedirs(os.path.dirname(place), exist_ok=True)
    for path, content in ((place, b"picture"), (place + b".error.json", json.dumps({"folder": config.id}).encode())):
        with open(path, "wb") as file:
            file.write(content)


@pytest.mark.parametrize(
    "name", ["a.png", "sub/b.png", b"\xff\n \x1b.png", "\N{LATIN SMALL LETTER E WITH ACUTE}" * 121]
)
def test_it_goes_back_without_its_sidecar(tmp_path, ledger, name):
    """Whatever it is called; the error folder is empty afterwards."""
    config = made(tmp_path)
    quarantined(config, name)
    text = os.fsdecode(name)
    assert put_back(config, {text}, ledger) == [text]
    assert os.path.exists(os.path.join(os.fsencode(config.inbox), os.fsencode(name)))
    assert not [files for _, _, files in os.walk(config.error) if files]


def test_nothing_is_put_into_an_inbox_that_is_not_there(tmp_path, ledger):
    """The share is not mounted: its mount point is no inbox, and the picture stays where it is seen."""
    config = made(tmp_path)
    quarantined(config, "a.png")
    config.inbox.rename(tmp_path / "elsewhere")
    config.inbox.mkdir()
    with pytest.raises(HostError) as caught:
        put_back(config, set(), ledger)
    assert caught.value.code == "folder_unmarked"
    assert (config.error / "a.png").exists()
    assert not any(config.inbox.iterdir())


def test_a_shared_error_folder_is_divided_by_who_quarantined(tmp_path, ledger):
    """Two hot folders, one error folder: each picture goes back to the inbox that it came from."""
    shared = tmp_path / "errors"
    first, second = made(tmp_path, id="a", error=shared), made(tmp_path, id="b", error=shared)
    quarantined(first, "one.png")
    quarantined(second, "two.png")
    assert put_back(first, set(), ledger) == ["one.png"]
    assert put_back(second, set(), ledger) == ["two.png"]
    assert (first.inbox / "one.png").exists()
    assert (second.inbox / "two.png").exists()


def test_nothing_is_moved_without_a_record(tmp_path, ledger, monkeypatch):
    """While the ledger cannot be written the picture stays where it is, with its sidecar."""
    config = made(tmp_path)
    quarantined(config, "a.png")

    def refused(_entries):
        raise HostError("ledger_unwritable", "the disk is full")

    monkeypatch.setattr(ledger, "append", refused)
    with pytest.raises(HostError, match="full"):
        put_back(config, set(), ledger)
    assert sorted(path.name for path in config.error.iterdir()) == ["a.png", "a.png.error.json"]
    assert [path.name for path in config.inbox.iterdir()] == [".srwatchd"]


@pytest.fixture(params=["one mount", "two mounts"])
def place(request, memory_path):
    """Makes a hot folder whose inbox and error folder are on one mount, or on two."""
    with contextlib.ExitStack() as stack:

        def folder_in(root):
            (root / "a").mkdir(parents=True)
            if request.param == "two mounts":
                stack.enter_context(bind(root / "a" / "error", root / "behind"))
            config = made(root)
            quarantined(config, "sub/a.png")
            return config

        yield folder_in


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_crash_at_every_step_of_the_way_back(place, memory_path, after):
    """The picture is in one place, whole; asked again it is in the inbox, and nothing is left over."""
    number, struck = 0, True
    while struck:
        number += 1
        root = memory_path / str(number)
        config = place(root)
        ledger = Ledger(root / "audit.jsonl")
        ledger.open()
        with contextlib.suppress(Crash), Faults(at=number, after=after) as faults:
            put_back(config, set(), ledger)
        ledger.close()
        ledger.open()
        finish_cut_off(config, ledger)
        found = [path for each in (config.inbox, config.error) for path in each.rglob("*.png")]
        assert [path.read_bytes() for path in found] == [b"picture"], number
        assert not list(config.inbox.glob("sub/.srwatchd-*")), number
        put_back(config, set(), ledger)
        assert (config.inbox / "sub/a.png").read_bytes() == b"picture"
        assert {path.name for path in (config.inbox / ".srwatchd").iterdir()} <= {"id", "lock"}
        assert actions(root).count("control.retrying") >= 1
        assert actions(root).count("control.retried") >= 1
        ledger.close()
        struck = faults.struck
    assert number > 5
