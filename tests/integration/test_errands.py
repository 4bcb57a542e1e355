"""srwatchd.daemon.errands: back from the error folder into the inbox, and only into the right one."""

from __future__ import annotations

import json
import os

import pytest
from daemon_standin import folder

from srwatchd.audit import Ledger
from srwatchd.daemon.errands import put_back
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
