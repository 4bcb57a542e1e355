"""How the folders of a configuration may lie to each other."""

from __future__ import annotations

import itertools

import pytest

from srwatchd.config.places import findings


def folder(folder_id, **changes):
    """A folder apart from all others."""
    own = {name: f"{folder_id}/{name}" for name in ("inbox", "done", "error", "archive")}
    return {"id": folder_id, "model": "m", **own, **changes}


def found(tmp_path, *folders, **top):
    """The findings as (key path without "folders", message)."""
    data = {"folders": tuple(folders), **top}
    return [(found.path, found.message) for found in findings(data, tmp_path)]


def test_folders_apart_are_fine(tmp_path):
    """So are an inbox that feeds on another's done, shared error folders and a done inside a flat inbox."""
    chained = folder("b", inbox="a/done", error="a/error")
    flat = folder("c", recursive=False, done="c/inbox/done")
    assert found(tmp_path, folder("a"), chained, flat) == []


@pytest.mark.parametrize("name", ["done", "error", "archive"])
def test_nothing_is_delivered_into_a_recursive_inbox(tmp_path, name):
    """Its own or another's, however deep."""
    for inside in ("a/inbox/deep/er", "b/inbox/x"):
        ((path, message),) = found(tmp_path, folder("a", **{name: inside}), folder("b"))
        assert path == ("folders", 0, name)
        assert "recursive" in message


@pytest.mark.parametrize("name", ["done", "error", "archive"])
def test_an_inbox_is_not_its_own_target(tmp_path, name):
    """Not even a flat one."""
    ((path, message),) = found(tmp_path, folder("a", recursive=False, **{name: "a/inbox"}))
    assert path == ("folders", 0, name)
    assert "its own inbox" in message


@pytest.mark.parametrize("name", ["error", "archive"])
def test_only_results_feed_another_inbox(tmp_path, name):
    """Failures and sources would be worked on again."""
    ((path, message),) = found(tmp_path, folder("a", **{name: "b/inbox"}), folder("b"))
    assert path == ("folders", 0, name)
    assert "only done" in message


def test_an_archive_that_is_not_used_does_not_matter(tmp_path):
    """on_success: delete needs none."""
    assert found(tmp_path, folder("a", archive="a/inbox", on_success="delete")) == []


def test_an_archive_that_follows_from_done_is_told_once(tmp_path):
    """The problem is done's."""
    written = folder("a", done="a/inbox/done")
    del written["archive"]
    assert [path for path, _ in found(tmp_path, written)] == [("folders", 0, "done")]


def test_results_sources_and_failures_do_not_mix(tmp_path):
    """The three of one folder are three."""
    paths = [path for path, _ in found(tmp_path, folder("a", error="a/done", archive="a/./done"))]
    assert paths == [("folders", 0, "error"), ("folders", 0, "archive"), ("folders", 0, "archive")]


def test_an_inbox_belongs_to_one_folder(tmp_path):
    """Also under another spelling, and by way of a link."""
    (tmp_path / "a" / "inbox").mkdir(parents=True)
    (tmp_path / "alias").symlink_to("a")
    for spelling in ("a/inbox", "a//inbox/", "x/../a/inbox", str(tmp_path / "a/inbox"), "alias/inbox"):
        ((path, message),) = found(tmp_path, folder("a"), folder("b", inbox=spelling))
        assert path == ("folders", 1, "inbox")
        assert "inbox of folder 'a' too" in message


def test_an_inbox_within_a_recursive_inbox_is_refused(tmp_path):
    """In either order; a flat outer one takes nothing of the inner one."""
    inner = folder("b", inbox="a/inbox/b")
    assert [message[:8] for _, message in found(tmp_path, folder("a"), inner)] == ["lies in "]
    assert [message[:8] for _, message in found(tmp_path, inner, folder("a"))] == ["holds th"]
    assert found(tmp_path, folder("a", recursive=False), inner) == []


def test_one_directory_by_two_paths_is_one_place(tmp_path, monkeypatch):
    """A bind mount has another path but the same device and inode."""
    (tmp_path / "a" / "inbox").mkdir(parents=True)
    (tmp_path / "bound" / "below").mkdir(parents=True)
    real = findings.__globals__["_identity"]
    bound, inbox = tmp_path / "bound", tmp_path / "a" / "inbox"
    monkeypatch.setitem(findings.__globals__, "_identity", lambda path: real(inbox if path == bound else path))
    assert "too" in found(tmp_path, folder("a"), folder("b", inbox="bound"))[0][1]
    assert "recursive" in found(tmp_path, folder("a", done="bound/below"))[0][1]


@pytest.mark.parametrize(
    ("chain", "rings"),
    [("ab", []), ("aba", ["a -> b -> a"]), ("abca", ["a -> b -> c -> a"]), ("zabca", ["a -> b -> c -> a"])],
)
def test_a_ring_of_folders_is_found_once(tmp_path, chain, rings):
    """Chains end; rings would enlarge for ever. A chain that leads into a ring is not part of it."""
    folders = [folder(own, done=f"{after}/inbox") for own, after in itertools.pairwise(chain)]
    folders += [folder(chain[-1])] if chain[-1] not in chain[:-1] else []
    messages = [message for path, message in found(tmp_path, *folders) if path[-1] == "done"]
    assert [message.split("(")[1].split(")")[0] for message in messages] == rings


def test_ids_are_used_once(tmp_path):
    """The later one is told."""
    ((path, message),) = found(tmp_path, folder("a"), folder("b"), folder("a", **{n: f"c/{n}" for n in ("inbox",)}))[:1]
    assert path == ("folders", 2, "id")
    assert "used twice" in message


@pytest.mark.parametrize(
    ("top", "path"),
    [
        ({"state_dir": "a/inbox"}, ("state_dir",)),
        ({"state_dir": "a/inbox/state"}, ("state_dir",)),
        ({"models_dir": "a/inbox/m"}, ("models_dir",)),
        ({"audit": {"path": "a/inbox/l.jsonl"}}, ("audit", "path")),
        ({"audit": {"key_file": "a/inbox/key"}}, ("audit", "key_file")),
    ],
)
def test_the_service_keeps_out_of_every_inbox(tmp_path, top, path):
    """Flat or recursive; what follows from state_dir is told once."""
    for recursive in (True, False):
        assert [each for each, _ in found(tmp_path, folder("a", recursive=recursive), **top)] == [path]


@pytest.mark.parametrize("folders", [None, "x", (), ("x",), ({"id": 3, "inbox": 4, "done": ""},), ({"inbox": "a\0"},)])
def test_what_is_wrong_otherwise_is_left_to_others(tmp_path, folders):
    """Only places that are paths are compared; nothing raises."""
    assert findings({"folders": folders, "audit": 3, "state_dir": 4}, tmp_path) == ()
