"""Names that a destination's file system does not take: the picture's failure, never its folder's."""

from __future__ import annotations

import contextlib
import errno
import json
import os

import pytest
from custody_bench import Bench
from picky_places import make_picky

from srwatchd.errors import HINTS, PermanentError
from srwatchd.job import Event, Failure, State

WHY = Failure("name_refused", "not here", HINTS["name_refused"])
CODES = [errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG]


@pytest.fixture
def bench(tmp_path):
    with contextlib.closing(Bench(tmp_path)) as made:
        yield made


def claimed(bench, name):
    return bench.custody.claim(bench.drop(name, b"picture"))


def everywhere(bench):
    return bench.config.done, bench.config.archive, bench.config.error


@pytest.mark.parametrize("looks", [False, True])
@pytest.mark.parametrize("code", CODES, ids=errno.errorcode.get)
def test_a_result_that_cannot_be_called_so_is_the_pictures_failure(bench, monkeypatch, code, looks):
    """Its code says why; nothing is staged any more, and the source is still ours."""
    record = claimed(bench, "a:b.png")
    make_picky(monkeypatch, *everywhere(bench), code=code, looks=looks)
    with pytest.raises(PermanentError, match="a:b_x2") as caught:
        bench.finish(record)
    assert caught.value.code == "name_refused"
    assert bench.leftovers == []
    assert bench.files(bench.config.done) == {}
    assert bench.claimed == {f"{record.job}.src": b"picture"}


@pytest.mark.parametrize("looks", [False, True])
def test_a_sub_folder_that_cannot_be_called_so(bench, monkeypatch, looks):
    """It is known before anything is enlarged."""
    record = claimed(bench, "a:b/c.png")
    make_picky(monkeypatch, *everywhere(bench), looks=looks)
    with pytest.raises(PermanentError) as caught:
        bench.custody.stage(record, "a:b/c_x2.png")
    assert caught.value.code == "name_refused"
    assert list(bench.config.done.iterdir()) == []


@pytest.mark.parametrize("looks", [False, True])
@pytest.mark.parametrize("code", CODES, ids=errno.errorcode.get)
@pytest.mark.parametrize("name", ["a:b.png", "a:b/c.png", "ä:.png"])
def test_its_source_is_quarantined_in_plain_characters(bench, monkeypatch, name, code, looks):
    """The error folder, on the same file system, takes it under a name made of its own; the sidecar has both."""
    record = claimed(bench, name)
    make_picky(monkeypatch, *everywhere(bench), code=code, looks=looks)
    bench.custody.quarantine(record, WHY)
    plain = name.replace(":", "_").replace("ä", "a")
    found = bench.files(bench.config.error)
    assert set(found) == {plain, f"{plain}.error.json"}
    assert found[plain] == b"picture"
    assert json.loads(found[f"{plain}.error.json"])["path"] == name
    assert bench.private == set()
    assert bench.leftovers == []
    assert bench.lines()[-1]["srwatchd.error.path"] == str(bench.config.error / plain)


def test_plain_names_are_numbered_too(bench, monkeypatch):
    """Two names that become one do not overwrite each other."""
    records = [claimed(bench, "a:b.png"), claimed(bench, "a_b.png")]
    make_picky(monkeypatch, *everywhere(bench))
    for record in records:
        bench.custody.quarantine(record, WHY)
    assert {name for name in bench.files(bench.config.error) if name.endswith(".png")} == {"a_b.png", "a_b (1).png"}


@pytest.mark.parametrize("looks", [False, True])
def test_an_archive_that_does_not_take_the_name(bench, monkeypatch, looks):
    """The result is delivered under the name it should have, so its source is archived under a plain one."""
    record = claimed(bench, "a:b.png")
    make_picky(monkeypatch, bench.config.archive, looks=looks)
    assert bench.finish(record).state is State.DELIVERED
    assert bench.files(bench.config.done) == {"a:b_x2.png": b"result"}
    assert bench.files(bench.config.archive) == {"a_b.png": b"picture"}
    assert bench.private == set()


@pytest.mark.parametrize("looks", [False, True])
@pytest.mark.parametrize("kept", [False, True], ids=["staged file swept", "staged file there"])
def test_a_crash_before_the_refusal(bench, monkeypatch, looks, kept):
    """The name was recorded and not taken yet: recovery quarantines the source, or has the job run again."""
    record = bench.custody.fingerprint(claimed(bench, "a:b.png"))
    staged = bench.custody.stage(record, "a:b_x2.png")
    os.write(staged.fd, b"result")
    staged.seal()
    bench.claims.save(record.after(Event.DELIVER, result=staged.placement("a:b_x2.png")))
    staged.keep() if kept else staged.discard()
    make_picky(monkeypatch, *everywhere(bench), looks=looks)
    again = bench.restart()
    assert [each.state for each in again] == ([] if kept else [State.CLAIMED])
    assert set(bench.files(bench.config.error)) == ({"a_b.png", "a_b.png.error.json"} if kept else set())
    if kept:
        assert json.loads(bench.files(bench.config.error)["a_b.png.error.json"])["code"] == "name_refused"
        assert bench.leftovers == []
