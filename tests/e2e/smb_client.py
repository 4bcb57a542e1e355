"""A client of Samba that does what Windows and macOS do, step by step: sets a size first, pauses, dies, comes back."""

from __future__ import annotations

import contextlib
import uuid
from typing import TYPE_CHECKING, Self

from smbprotocol.connection import Connection
from smbprotocol.file_info import FileBasicInformation, FileEndOfFileInformation, FileRenameInformation, InfoType
from smbprotocol.open import (
    CreateDisposition,
    CreateOptions,
    FileAttributes,
    FilePipePrinterAccessMask,
    ImpersonationLevel,
    Open,
    ShareAccess,
    SMB2SetInfoRequest,
)
from smbprotocol.session import Session
from smbprotocol.tree import TreeConnect

if TYPE_CHECKING:
    from smbprotocol.structure import Structure

__all__ = ["SmbClient", "SmbFile"]

_PIECE = 60_000
_LONG_AGO = 132_223_104_000_000_000  # 2020-01-01 in units of 100 ns since 1601


class SmbClient:
    """One connection to the share `scans`. Leaving the block closes it in order; :meth:`die` does not."""

    def __init__(self, port: int, user: str, password: str) -> None:
        self._connection = Connection(uuid.uuid4(), "127.0.0.1", port)
        self._connection.connect()
        self._session = Session(self._connection, user, password)
        self._session.connect()
        self._tree = TreeConnect(self._session, r"\\127.0.0.1\scans")
        self._tree.connect()
        self._dead = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._dead:
            self._connection.disconnect(close=True)

    def die(self) -> None:
        """The cable is pulled: nothing is closed, and nobody says goodbye."""
        self._dead = True
        with contextlib.suppress(Exception):
            self._connection.transport.close()

    def open(self, path: str, *, existing: bool = False) -> SmbFile:
        """A file for reading and writing, made anew unless it is to be ``existing``."""
        file = Open(self._tree, path.replace("/", "\\"))
        rights = FilePipePrinterAccessMask
        file.create(
            ImpersonationLevel.Impersonation,
            rights.GENERIC_READ | rights.GENERIC_WRITE | rights.DELETE,
            FileAttributes.FILE_ATTRIBUTE_NORMAL,
            ShareAccess.FILE_SHARE_READ,
            CreateDisposition.FILE_OPEN if existing else CreateDisposition.FILE_OVERWRITE_IF,
            CreateOptions.FILE_NON_DIRECTORY_FILE,
        )
        return SmbFile(self, file)

    def set_info(self, file: Open, info: Structure) -> None:
        request = SMB2SetInfoRequest()
        request["info_type"] = InfoType.SMB2_0_INFO_FILE
        request["file_info_class"] = info.INFO_CLASS
        request["file_id"] = file.file_id
        request["buffer"] = info
        sent = self._connection.send(request, self._session.session_id, self._tree.tree_connect_id)
        self._connection.receive(sent)


class SmbFile:
    """An open file on the server."""

    def __init__(self, client: SmbClient, file: Open) -> None:
        self._client = client
        self._file = file

    def write(self, content: bytes, offset: int = 0) -> None:
        for start in range(0, len(content), _PIECE):
            self._file.write(content[start : start + _PIECE], offset + start)

    def set_size(self, size: int) -> None:
        info = FileEndOfFileInformation()
        info["end_of_file"] = size
        self._client.set_info(self._file, info)

    def set_times(self) -> None:
        """A time long ago, as a copy keeps it."""
        info = FileBasicInformation()
        info["last_write_time"] = _LONG_AGO
        info["file_attributes"] = 0
        self._client.set_info(self._file, info)

    def rename(self, path: str) -> None:
        """To another name in the share, while it is open."""
        info = FileRenameInformation()
        info["replace_if_exists"] = False
        info["file_name"] = path.replace("/", "\\")
        self._client.set_info(self._file, info)

    def close(self) -> None:
        self._file.close()
