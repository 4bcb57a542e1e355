"""YAML text to plain data that knows its lines, with every problem of the text and with limits against bombs.

Only mappings with text keys, lists (as tuples) and plain scalars come out. Differences from YAML 1.1, all to keep a
value what it looks like: a number with a leading zero (``0664``) or a colon (``1:30``) stays text, so does a date;
merge keys, tags and repeated keys are problems.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import yaml

from srwatchd.errors import Problem

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MAX_BYTES", "Document", "KeyPath", "key_text", "printable", "read_document"]

MAX_BYTES: Final = 1 << 20
"""The largest file that is read at all."""
_MAX_NODES: Final = 100_000
_MAX_DEPTH: Final = 32
_TAG: Final = "tag:yaml.org,2002:"
_TEXT_TAGS: Final = frozenset({"str", "timestamp", "value", "merge"})
_KNOWN_TAGS: Final = _TEXT_TAGS | {"map", "seq", "null", "bool", "int", "float"}

KeyPath = tuple[str | int, ...]
"""Where a value stands: keys and list positions from the top."""


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: ``data`` (None when it could not be parsed), the line of every key path, and the problems."""

    file: str
    data: Any
    lines: dict[KeyPath, int]
    problems: tuple[Problem, ...]

    def line(self, path: KeyPath) -> int:
        """The line of ``path``, or of the nearest thing around it that is in the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def key_text(path: KeyPath) -> str:
    """``("folders", 1, "settle")`` as ``folders[1].settle``; the whole file as ``(file)``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{printable(part)}" for part in path)
    return text.removeprefix(".") or "(file)"


def printable(text: str) -> str:
    """``text`` itself, or with escapes when it holds characters that would garble a terminal or a log."""
    return text if text.isprintable() else repr(text)


def read_document(path: Path) -> Document:
    """Read and parse ``path``. Never raises for what the file is or holds: that is in ``problems``."""
    builder = _Builder(str(path))
    try:
        node = _compose(_read(path))
        data = {} if node is None else builder.build(node, ())
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        problem = builder.whole(1, f"cannot be read: {reason}; check the path and its permissions")
    except _RefusedError as error:
        problem = builder.whole(error.line, str(error))
    else:
        return Document(builder.file, data, builder.lines, tuple(builder.problems))
    return Document(builder.file, None, {}, (problem,))


def _compose(raw: bytes) -> yaml.Node | None:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _RefusedError(line, f"byte {raw[error.start]:#x} is not UTF-8; save the file as UTF-8") from None
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _RefusedError(line, f"character {error.character!r} is not allowed in YAML; remove it") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where, line = ("", 1) if mark is None else (f" (column {mark.column + 1})", mark.line + 1)
        reason = f"{error.problem or error.context}{where}; check indentation, colons and quotes"
        raise _RefusedError(line, f"is not valid YAML: {reason}") from None


class _RefusedError(Exception):
    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def _read(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _RefusedError(1, "is not a plain file; name the configuration file itself")
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise _RefusedError(1, f"is larger than {MAX_BYTES >> 20} MiB, which no configuration is; check the path")
    return data


class _Loader(yaml.SafeLoader):
    """PyYAML's safe composer with a limit on nesting, which it would otherwise answer with a full stack."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """A node as the library composes it; refused where it is nested too deeply."""
        if self.depth >= _MAX_DEPTH:
            untyped: Any = self
            line = untyped.peek_event().start_mark.line + 1
            raise _RefusedError(line, f"is nested deeper than {_MAX_DEPTH} levels; flatten it")
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


@dataclass(slots=True)
class _Builder:
    file: str
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    nodes: int = 0

    def whole(self, line: int, message: str) -> Problem:
        """A problem of the whole file, for which nothing of it can be used."""
        return Problem(self.file, line, key_text(()), message)

    def build(self, node: yaml.Node, path: KeyPath) -> Any:
        """The value of ``node``, whose line and problems are kept under ``path``; refused where it grows too large."""
        line = node.start_mark.line + 1
        self.nodes += 1
        if self.nodes > _MAX_NODES:
            raise _RefusedError(line, "its aliases (*name) expand too far; write the values out, or use defaults")
        if len(path) > _MAX_DEPTH:
            raise _RefusedError(line, "an alias (*name) contains itself; write the values out")
        self.lines.setdefault(path, line)
        if node.tag.removeprefix(_TAG) not in _KNOWN_TAGS:
            self._problem(line, path, f"tag {node.tag!r} is not supported; remove it")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return tuple(self.build(item, (*path, index)) for index, item in enumerate(node.value))
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = key_node.value
            if key_node.tag == f"{_TAG}merge":
                self._problem(line, path, "merge keys (<<) are not supported; put shared settings under defaults:")
            elif key_node.tag != f"{_TAG}str":
                written = repr(key) if isinstance(key, str) else "that is a list or a mapping"
                self._problem(line, path, f"key {written} is not plain text; put it in quotes if it is meant")
            elif key in result:
                first = self.lines[*path, key]
                self._problem(line, (*path, key), f"is given twice, first on line {first}; remove one of them")
            else:
                self.lines[*path, key] = line
                result[key] = self.build(value_node, (*path, key))
        return result

    def _scalar(self, node: yaml.Node, path: KeyPath) -> Any:
        text: str = node.value
        kind = node.tag.removeprefix(_TAG)
        if kind in _TEXT_TAGS or (kind in ("int", "float") and _misleading(text)):
            return text
        try:
            return _CONSTRUCT[kind](_CONSTRUCTOR, node)
        except (ValueError, KeyError):
            self._problem(node.start_mark.line + 1, path, f"{text[:40]!r} cannot be read as {kind}; put it in quotes")
            return None

    def _problem(self, line: int, path: KeyPath, message: str) -> None:
        self.problems.append(Problem(self.file, line, key_text(path), message))


def _misleading(number: str) -> bool:
    digits = number.lstrip("+-")
    return ":" in digits or (len(digits) > 1 and digits[0] == "0" and digits[1].isdigit())


_CONSTRUCTOR: Final = yaml.constructor.SafeConstructor()
_CONSTRUCT: Final[dict[str, Any]] = {
    "null": yaml.constructor.SafeConstructor.construct_yaml_null,
    "bool": yaml.constructor.SafeConstructor.construct_yaml_bool,
    "int": yaml.constructor.SafeConstructor.construct_yaml_int,
    "float": yaml.constructor.SafeConstructor.construct_yaml_float,
}
