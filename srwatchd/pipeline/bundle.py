"""An offline bundle: models and their manifest in one plain tar, for a box without a network.

The same models give the same bytes. Only what :func:`write_bundle` writes is read: a ustar file of plain files with
plain names, ``manifest.yaml`` first, then ``SHA256SUMS``, then the models in the order of their names. Links, folders,
paths, sparse and compressed content are refused before anything of them is unpacked.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from srwatchd.config.manifests import manifest_text
from srwatchd.config.models import MANIFEST, read_manifest, verify_file
from srwatchd.errors import ModelError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from srwatchd.config.models import ModelSpec

__all__ = ["SUMS", "is_bundle", "unpack", "write_bundle"]

SUMS: Final = "SHA256SUMS"
_BLOCK: Final = 512
_MAGIC: Final = b"ustar\x0000"
_MAGIC_AT: Final = 257
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,98}")
_LARGEST_TEXT: Final = 1 << 20
_MOST: Final = 1000
_HINT: Final = "Make the bundle again with `srwatchd models export`, and copy it whole."


@dataclass(frozen=True, slots=True)
class _Member:
    """A file in a bundle: where its bytes are."""

    name: str
    offset: int
    size: int


def is_bundle(head: bytes) -> bool:
    """Whether a file that begins with ``head`` (a block of it) is a tar archive of any kind."""
    return head[_MAGIC_AT : _MAGIC_AT + 5] == b"ustar"


def write_bundle(models: Sequence[ModelSpec], target: BinaryIO) -> None:
    """Write ``models``, their files as recorded, into ``target``.

    Raises :class:`ModelError` when a file is missing or altered.
    """
    files: dict[str, Path] = {}
    for each in sorted(models, key=lambda one: one.name):
        verify_file(each)
        for path in (each.path, each.onnx):
            if path is not None and files.setdefault(path.name, path) != path:
                raise RefusedError("model_refused", f"two models have a file {path.name!r}; export them one by one")
    sums = "".join(f"{_digest(path)}  {name}\n" for name, path in sorted(files.items()))
    with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, text in ((MANIFEST, manifest_text(models)), (SUMS, sums)):
            archive.addfile(_plain(name, len(text.encode())), io.BytesIO(text.encode()))
        for name, path in sorted(files.items()):
            with path.open("rb") as file:
                archive.addfile(_plain(name, path.stat().st_size), file)


def unpack(source: int, folder: Path) -> list[ModelSpec]:
    """Unpack the bundle behind the descriptor ``source`` into the empty ``folder``; its models, files compared.

    Raises :class:`RefusedError` for anything but a whole bundle in which every file is as recorded.
    """
    members = _index(source)
    _copy(source, members[MANIFEST], folder / MANIFEST)
    try:
        models = list(read_manifest(folder / MANIFEST).values())
    except ModelError as error:
        raise _refused(f"its manifest is not valid: {error.message}") from error
    named = {path.name for each in models for path in (each.path, each.onnx) if path is not None}
    if not models or named != set(members) - {MANIFEST, SUMS}:
        raise _refused("its manifest and its files do not belong together")
    sums = _sums(os.pread(source, members[SUMS].size, members[SUMS].offset))
    for name in sorted(named):
        if _copy(source, members[name], folder / name) != sums.get(name):
            raise _refused(f"the file {name!r} in it is not the one that its {SUMS} speaks of")
    try:
        for each in models:
            verify_file(each)
    except ModelError as error:
        raise _refused(error.message) from error
    return models


def _index(source: int) -> dict[str, _Member]:
    """The files of a bundle by name; its two texts are there, and small."""
    members: dict[str, _Member] = {}
    for each in _members(source):
        if each.name in members:
            raise _refused(f"it holds {each.name!r} twice")
        members[each.name] = each
    if list(members)[:2] != [MANIFEST, SUMS]:
        raise _refused(f"it does not begin with {MANIFEST} and {SUMS}")
    for name in (MANIFEST, SUMS):
        if members[name].size > _LARGEST_TEXT:
            raise _refused(f"its {name} is larger than any can be")
    return members


def _plain(name: str, size: int) -> tarfile.TarInfo:
    """A header that tells nothing of the machine: no time, no owner."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _members(source: int) -> Iterator[_Member]:
    """The files of a bundle, from its headers. Only the form that we write is taken."""
    end, position = os.fstat(source).st_size, 0
    for _ in range(_MOST):
        header = os.pread(source, _BLOCK, position)
        if len(header) < _BLOCK:
            raise _refused("it is cut short")
        if not any(header):
            return
        name = header[:100].rstrip(b"\0").decode("ascii", "replace")
        kind, link = header[156:157], header[157:257].strip(b"\0")
        if header[_MAGIC_AT : _MAGIC_AT + 8] != _MAGIC or _octal(header[148:156]) != _checksum(header):
            raise _refused("it is damaged, or a tar file that srwatchd has not made")
        if kind != tarfile.REGTYPE or link or header[345:500].strip(b"\0") or not _NAME.fullmatch(name):
            raise _refused(f"it holds {name[:80]!r}, which is no plain file with a plain name")
        size = _octal(header[124:136])
        position += _BLOCK
        if size < 0 or size > end - position:
            raise _refused(f"it is cut short in {name!r}")
        yield _Member(name, position, size)
        position += -(-size // _BLOCK) * _BLOCK
    raise _refused(f"it holds more than {_MOST} files")


def _octal(digits: bytes) -> int:
    try:
        return int(digits.rstrip(b"\0 ") or b"0", 8)
    except ValueError:
        return -1


def _checksum(header: bytes) -> int:
    return sum(header[:148]) + 8 * ord(" ") + sum(header[156:])


def _copy(source: int, member: _Member, target: Path) -> str:
    """Copy a member's bytes into a new file; their sha256."""
    digest, done = hashlib.sha256(), 0
    with target.open("xb") as file:
        while chunk := os.pread(source, min(1 << 20, member.size - done), member.offset + done):
            digest.update(chunk)
            file.write(chunk)
            done += len(chunk)
    return digest.hexdigest()


def _sums(text: bytes) -> dict[str, str]:
    pairs = (line.split("  ", 1) for line in text.decode("ascii", "replace").splitlines())
    return {pair[1]: pair[0] for pair in pairs if len(pair) == len(("sha256", "name"))}


def _refused(what: str) -> RefusedError:
    return RefusedError("model_refused", f"the bundle is refused: {what}", hint=_HINT)
