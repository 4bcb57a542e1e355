"""How paths are written in unit files: in names of units, in lists, in command lines. See systemd.syntax(7)."""

from __future__ import annotations

from typing import Final

from srwatchd.errors import ConfigurationError, Problem

__all__ = ["command_word", "listed_path", "mount_unit"]

_PLAIN: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_.")
_LONGEST_NAME: Final = 255


def mount_unit(path: str, kind: str = "mount") -> str:
    """The name of the unit that mounts ``path``, an absolute one, as ``systemd-escape --path --suffix`` gives it.

    ``kind`` is the unit's suffix, ``mount`` or ``automount``. Raises ConfigurationError where systemd knows no name,
    because it would be longer than 255 bytes.
    """
    inner = "/".join(part for part in path.split("/") if part not in ("", "."))
    if not inner:
        return f"-.{kind}"
    raw = inner.encode("utf-8", "surrogateescape")
    escaped = "".join(_escaped(byte, first=not index) for index, byte in enumerate(raw))
    if len(name := f"{escaped}.{kind}") > _LONGEST_NAME:
        raise _unwritable(path, f"the name of its {kind} unit would be longer than {_LONGEST_NAME} bytes")
    return name


def listed_path(path: str) -> str:
    """One path in a list like ``ReadWritePaths=``: quoted where it must be, specifiers (%) doubled.

    A backslash stands for itself there. Raises ConfigurationError for a line break and for what is not UTF-8, which a
    unit file cannot hold.
    """
    text = _checked(path).replace("%", "%%")
    if not any(char.isspace() or char in "'\"" for char in text):
        return text
    # A quoted word ends at its quote and goes on at once with the next one, as in a shell.
    return '"\'"'.join(f"'{part}'" for part in text.split("'")).replace("''\"", '"').replace("\"''", '"')


def command_word(word: str) -> str:
    """One word of ``ExecStart=``: quotes and backslashes escaped, specifiers (%) and variables ($) taken literally."""
    text = _checked(word).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{text}"' if any(char.isspace() or char in "'\";" for char in text) else text


def _escaped(byte: int, *, first: bool) -> str:
    if byte == ord("/"):
        return "-"
    if byte in _PLAIN and not (first and byte == ord(".")):
        return chr(byte)
    return f"\\x{byte:02x}"


def _checked(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise _unwritable(text, "it is not UTF-8") from None
    if any(char < " " and char != "\t" for char in text):
        raise _unwritable(text, "it has a line break or another control character")
    return text


def _unwritable(path: str, why: str) -> ConfigurationError:
    message = f"{path!a} cannot be written in a unit file: {why}; rename the folder"
    return ConfigurationError((Problem("", 0, "folders", message),))
