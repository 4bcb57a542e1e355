from __future__ import annotations

import os

import pytest
from intake_standin import Folder

from srwatchd.intake.names import display, enters, marked, numbered, wanted


@pytest.mark.parametrize(
    "name",
    [
        ".a.jpg.Xy12",
        "._a.jpg",
        ".nfs000123",
        ".fuse_hidden1",
        "~$a.png",
        "a.png~",
        "a.tmp",
        "A.PART",
        "a.partial",
        "a.filepart",
        "a.crdownload",
        "a.download",
        "Thumbs.db",
        "desktop.ini",
        "sub/.hidden",
        ".stfolder/a.jpg",
        "@eaDir/a.jpg",
        ".Trash-1000/files/a.jpg",
        "__MACOSX/a.jpg",
        "x/__macosx/y/a.jpg",
        ".srwatchd/j.src",
    ],
)
def test_names_junk_is_never_wanted(name):
    """Half-written files and what file managers leave are never taken, whatever the patterns say."""
    assert not wanted(name, Folder(include=("*",)))


@pytest.mark.parametrize(
    "name", ["a.jpg", "ünï.png", "sub/deep/a.JPG", "a b.tif", "a\nb.jpg", "\udcff.jpg", "tmp", "a.tmp/b.jpg"]
)
def test_names_pictures_are_wanted(name):
    """Any other name is, also one that no text encoding knows."""
    assert wanted(name, Folder())


@pytest.mark.parametrize(
    ("include", "exclude", "name", "expected"),
    [
        (("*.jpg",), (), "A.JPG", True),
        (("*.jpg",), (), "sub/a.jpg", True),
        (("*.jpg",), (), "a.png", False),
        (("raw/*",), (), "raw/x/a.png", True),
        (("raw/*",), (), "a.png", False),
        ((), ("*_draft.*",), "sub/A_DRAFT.png", False),
        ((), ("old/*",), "old/a.png", False),
        (("*.png",), ("b*",), "b.png", False),
        (("[ab].png",), (), "b.png", True),
        (("*.png", "*.tif"), (), "b.tif", True),
    ],
)
def test_names_patterns(include, exclude, name, expected):
    """Patterns are tried on the path and on the base name, without case; exclude wins."""
    assert wanted(name, Folder(include=include, exclude=exclude)) is expected


def test_names_sub_folders_count_only_when_recursive():
    """A flat hot folder neither enters sub folders nor takes what lies in them."""
    assert not wanted("sub/a.jpg", Folder(recursive=False))
    assert not enters("sub", Folder(recursive=False))
    assert enters("sub/deep", Folder())
    assert not enters("sub/.git", Folder())


def test_names_markers_exist_only_in_done_file_mode():
    """A marker stands for its file, is no picture itself, and is an ordinary name elsewhere."""
    folder = Folder(ready="done_file")
    assert marked("sub/a.jpg.done", folder) == "sub/a.jpg"
    assert not wanted("sub/a.jpg.done", folder)
    assert marked("a.jpg", folder) is None
    assert marked(".x.done", folder) is None
    assert marked("a.jpg.done", Folder()) is None
    assert wanted("a.jpg.done", Folder())


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain name.jpg", "plain name.jpg"),
        ("Grüße 写真 😀.jpg", "Grüße 写真 😀.jpg"),
        ("a\nb\x1b[31m.jpg", "a\\u000ab\\u001b[31m.jpg"),
        ("gpj.\u202etxt", "gpj.\\u202etxt"),
        ("\udcff\udc80.jpg", "\\xff\\x80.jpg"),
        ("a\\nb", "a\\\\nb"),
        ("\u2028\u200b\U000e0001", "\\u2028\\u200b\\U000e0001"),
        ("\ud800", "\\ud800"),
    ],
)
def test_names_display_is_one_harmless_line(name, shown):
    """Nothing in a shown name moves a cursor, reverses a line or fails to encode."""
    assert display(name) == shown
    shown.encode("utf-8")


@pytest.mark.parametrize(
    "name", ["a.jpg", "ä" * 125 + ".jpg", "x" * 255, "y" * 251 + ".tif", "a." + "z" * 250, "\udcff" * 255]
)
def test_names_numbered_fits_into_a_name(name):
    """A number never makes a name too long, and never cuts a character in two."""
    result = numbered(name, 12)
    assert len(os.fsencode(result)) <= 255
    assert " (12)" in result
    assert os.fsdecode(os.fsencode(result)) == result


def test_names_numbered_keeps_the_extension():
    """The number goes before the extension."""
    assert numbered("a.b.jpg", 1) == "a.b (1).jpg"
    assert numbered("noext", 2) == "noext (2)"
