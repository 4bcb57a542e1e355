"""pipeline.modelstore: what a crash, a full disk and a second command leave of the folder of models."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import modelstore_driver as driver
import pytest

from srwatchd.config import find_models
from srwatchd.errors import HostError, RefusedError
from srwatchd.pipeline.modelstore import ModelStore

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path):
    with ModelStore.open(tmp_path / "models") as opened:
        yield opened


def staged(store, name="net", content=b"a network"):
    path = store.staging / f"{name}.onnx"
    path.write_bytes(content)
    return replace(driver.spec(path), name=name)


@pytest.mark.parametrize("verb", ["take", "drop"])
def test_a_crash_leaves_the_old_state_or_the_new_one(tmp_path, verb):
    """Killed before every step on the disk: the model is whole or it is not there, and the next command just works."""
    words = [sys.executable, driver.__file__, str(tmp_path), verb]
    answer = subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
    steps = [json.loads(line) for line in answer.stdout.splitlines()]
    assert steps[-1]["lived"]
    assert len(steps) > 5, "nothing was interrupted"
    assert {step["there"] for step in steps} == {True, False}
    assert all(step["repeated"] == (verb == "take") and step["leftovers"] == [] for step in steps)


def test_all_or_none(store):
    """Of two models of which one has a name that is taken, none comes."""
    store.take([staged(store)])
    with pytest.raises(RefusedError, match="already: it was imported"):
        store.take([staged(store, "other"), staged(store)])
    assert set(store.imported) == {"net"}
    assert sorted(path.name for path in store.folder.iterdir()) == [".srwatchd-import", "manifest.yaml", "net.onnx"]


def test_a_shipped_name_is_taken(store):
    """An import never hides a model that came with the package."""
    shipped = next(iter(find_models(None)))
    with pytest.raises(RefusedError, match="comes with srwatchd"):
        store.take([staged(store, shipped)])


def test_no_file_of_another_model_is_replaced(store):
    """Two models whose files have one name cannot both be kept."""
    store.take([staged(store)])
    intruder = replace(staged(store, content=b"another"), name="other")
    with pytest.raises(RefusedError, match=r"another model has a file 'net\.onnx'"):
        store.take([intruder])
    assert driver.there(store.folder)


def test_one_command_at_a_time(store):
    """A second one says so at once instead of waiting or mixing its files in."""
    with pytest.raises(RefusedError, match="another command"), ModelStore.open(store.folder):
        pass


def test_a_full_disk_changes_nothing(store, monkeypatch):
    """The error names the disk; nothing is in the manifest."""

    def full(_descriptor):
        raise OSError(errno.ENOSPC, "full")

    model = staged(store)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HostError) as caught:
        store.take([model])
    assert caught.value.code == "disk_full"
    monkeypatch.undo()
    assert not driver.there(store.folder)


def test_readable_for_the_daemon(tmp_path):
    """Whoever imports with whatever umask: another user's daemon can read folder, manifest and files."""
    before = os.umask(0o077)
    try:
        with ModelStore.open(tmp_path / "a" / "models") as store:
            store.take([staged(store)])
    finally:
        os.umask(before)
    folder = tmp_path / "a" / "models"
    modes = {path.name: path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())}
    assert modes == {"models": 0o755, "manifest.yaml": 0o644, "net.onnx": 0o644}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away")
def test_folders_made_by_root_belong_to_the_state_s_owner(tmp_path):
    """An administrator who imports before the daemon's first start does not lock it out."""
    state = tmp_path / "state"
    state.mkdir()
    os.chown(state, 65534, 65534)
    with ModelStore.open(state / "models") as store:
        assert store.folder.stat().st_uid == 65534


def test_a_link_in_the_place_of_the_staging_folder_is_not_followed(tmp_path):
    """What it points to stays."""
    folder, outside = tmp_path / "models", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (outside / "kept").touch()
    (folder / ".srwatchd-import").symlink_to(outside)
    with ModelStore.open(folder):
        pass
    assert (outside / "kept").exists()
