"""YAML text to data that knows its lines."""

from __future__ import annotations

import os

import pytest

from srwatchd.config.document import MAX_BYTES, key_text, read_document


@pytest.fixture
def read(tmp_path):
    """Parse a text."""

    def read_text(text):
        path = tmp_path / "c.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_document(path)

    return read_text


def test_every_value_knows_its_line(read):
    """The line is the key's, or an item's own; what is not in the file has the line of what is around it."""
    document = read("a: 1\nb:\n  - x\n  - y:\n      z: 2\n")
    assert document.data == {"a": 1, "b": ("x", {"y": {"z": 2}})}
    assert document.line(("b", 1, "y", "z")) == 5
    assert document.line(("b", 0)) == 3
    assert document.line(("b", 1, "nothing", 7)) == 4
    assert read("").data == {}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0664", "0664"),
        ("1:30", "1:30"),
        ("2026-01-01", "2026-01-01"),
        ("0.5", 0.5),
        ("-3", -3),
        ("0", 0),
        ("~", None),
        ("off", False),
        ("=", "="),
    ],
)
def test_a_scalar_stays_what_it_looks_like(read, text, value):
    """YAML 1.1's octal, base-60 and date readings do not apply."""
    data = read(f"k: {text}\n").data
    assert data == {"k": value}
    assert type(data["k"]) is type(value)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "given twice, first on line 1"),
        ("a: 1\nb: [1, 2\n", 3, "not valid YAML"),
        ("a:\n\t- 1\n", 2, "not valid YAML"),
        ("a: 1\n---\nb: 2\n", 2, "not valid YAML"),
        ("a: 1\n7: 2\n", 2, "not plain text"),
        ("[1, 2]: 2\n", 1, "not plain text"),
        ("a: !!python/object:os.system x\n", 1, "tag"),
        ("a: !env x\n", 1, "tag"),
        ("a: !!binary aGk=\n", 1, "tag"),
        ("a: !!set {x}\n", 1, "tag"),
        ("a: !!int x\n", 1, "cannot be read as int"),
        ("a: !!bool x\n", 1, "cannot be read as bool"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", 3, "merge keys"),
        ("a: 1\nb: " + "9" * 5000 + "\n", 2, "cannot be read as int"),
        (b"a: 1\nb: \xff\n", 2, "not UTF-8"),
        ("a: 1\nb: \x07\n", 2, "not allowed in YAML"),
        ("a: *b\n", 1, "not valid YAML"),
        ("a: &b [*b]\n", 1, "contains itself"),
        ("a: " + "[" * 100 + "]" * 100, 1, "nested deeper"),
        ("a: 1\n" + "#" * MAX_BYTES, 1, "larger than 1 MiB"),
    ],
)
def test_what_is_wrong_with_a_text_has_its_line(read, text, line, message):
    """Nothing that a file may hold raises; it becomes a problem with its line."""
    (problem,) = read(text).problems
    assert (problem.line, message in problem.message) == (line, True), problem


def test_aliases_cannot_explode(read):
    """A few hundred bytes that stand for billions of values are refused after a bounded amount of work."""
    rows = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    rows += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    document = read("\n".join(rows))
    assert document.data is None
    assert "expand too far" in document.problems[0].message


def test_an_alias_within_reason_is_a_value(read):
    """Plain aliases work."""
    assert read("a: &x [1]\nb: *x\n").data == {"a": (1,), "b": (1,)}


def test_what_cannot_be_read_is_a_problem(tmp_path):
    """A missing file, a folder and a pipe are told, and the pipe does not block."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "none", tmp_path, tmp_path / "pipe"):
        (problem,) = read_document(path).problems
        assert problem.file == str(path)


def test_keys_are_written_as_people_say_them():
    """Lists by position in brackets."""
    assert key_text(("folders", 1, "output", "quality")) == "folders[1].output.quality"
    assert key_text(()) == "(file)"
    assert key_text(("a\nb\u202e",)) == "'a\\nb\\u202e'"
