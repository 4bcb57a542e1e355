"""Who may use the console: users with passwords and tokens for programs, in ``state_dir/console/users.json``.

The file has mode 0600 and belongs to the owner of the state directory, whoever gave the command. Passwords are kept as
scrypt (RFC 7914), tokens, which are 256 random bits, as SHA-256. A file that cannot be read lets nobody in.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from srwatchd.errors import FatalError
from srwatchd.storage import host_errors, open_directory, write_durably

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from srwatchd.console.shapes import Role

__all__ = ["NAME", "SHORTEST_PASSWORD", "Entry", "Users", "UsersFile"]

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
SHORTEST_PASSWORD: Final = 8
_FILE: Final = "users.json"
_LOCK: Final = "users.lock"
_LARGEST: Final = 1 << 20
_COST: Final = {"n": 1 << 14, "r": 8, "p": 5}
"""16 MiB and some tenths of a second for one guess."""
_MOST_MEMORY: Final = 64 << 20
_ROLES: Final = ("viewer", "operator")
_TOKEN: Final = "srw_"  # noqa: S105 - how a token begins, so that it is recognised where it was left by mistake


@dataclass(frozen=True, slots=True)
class Entry:
    """A user or a token. ``mark`` changes with the password, so that older sessions end."""

    name: str
    role: Role
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Users:
    """What the file says. ``locked``: it is there and cannot be read, so that nobody gets in."""

    users: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    tokens: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    locked: bool = False

    @property
    def nobody(self) -> bool:
        """Whether no user and no token was ever added."""
        return not (self.users or self.tokens or self.locked)

    def user(self, name: str) -> Entry | None:
        """The user of that name."""
        found = self.users.get(name)
        return None if found is None else Entry(name, found["role"], found["hash"])

    def checked(self, name: str, password: str) -> Entry | None:
        """The user, if the password is right; takes as long for a name that is not known."""
        found = self.users.get(name, _NO_USER)
        right = hmac.compare_digest(_derived(password, found), bytes.fromhex(found["hash"]))
        return self.user(name) if right and found is not _NO_USER else None

    def token(self, token: str) -> Entry | None:
        """Whom a token stands for."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
        for name, each in self.tokens.items():
            if hmac.compare_digest(each["sha256"], digest):
                return Entry(name, each["role"])
        return None


class UsersFile:
    """The file in the console's folder ``place``; it is read again whenever it has changed."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._seen: tuple[int, ...] = (-1,)
        self._users = Users()

    def read(self) -> Users:
        """What the file says now."""
        seen: tuple[int, ...] = ()
        try:
            facts = os.stat(self._place / _FILE, follow_symlinks=False)
            seen = (facts.st_ino, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size)
        except FileNotFoundError:
            pass
        except OSError:
            return Users(locked=True)
        if seen != self._seen:
            self._seen, self._users = seen, _parsed(self._place / _FILE) if seen else Users()
        return self._users

    def add_user(self, name: str, role: Role, password: str) -> bool:
        """Add a user, or give one another role and password; whether it is new. Raises FatalError, HostError."""
        _check_name(name)
        if len(password) < SHORTEST_PASSWORD:
            raise FatalError(
                "login_refused", f"the password has less than {SHORTEST_PASSWORD} characters", hint=_LONGER
            )
        kept = {"role": role, "salt": secrets.token_hex(16), **_COST}
        kept["hash"] = _derived(password, kept).hex()
        with self._changing() as data:
            new = name not in data["users"]
            data["users"][name] = kept
        return new

    def remove_user(self, name: str) -> bool:
        """Remove a user, whose sessions end at once; False when there is none."""
        with self._changing() as data:
            return data["users"].pop(name, None) is not None

    def add_token(self, name: str, role: Role) -> str:
        """A new token; nobody can find it out again. Raises FatalError when the name is taken."""
        _check_name(name)
        token = _TOKEN + secrets.token_urlsafe(32)
        with self._changing() as data:
            if name in data["tokens"]:
                hint = "Choose another name, or remove that token first."
                raise FatalError("login_refused", f"there is a token {name!r} already", hint=hint)
            data["tokens"][name] = {"role": role, "sha256": hashlib.sha256(token.encode()).hexdigest()}
        return token

    def remove_token(self, name: str) -> bool:
        """Remove a token; False when there is none."""
        with self._changing() as data:
            return data["tokens"].pop(name, None) is not None

    @contextlib.contextmanager
    def _changing(self) -> Iterator[dict[str, dict[str, Any]]]:
        """The file's content, written back at the end of the block; one at a time."""
        with host_errors(self._place, "keeping the console's users in"):
            owner = _make(self._place)
            folder = open_directory(self._place)
            try:
                lock = os.open(_LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
                try:
                    if owner is not None:
                        os.fchown(lock, *owner)
                    fcntl.flock(lock, fcntl.LOCK_EX)
                    users = self.read()
                    if users.locked:
                        hint = "Repair or remove the file; without it there are no users."
                        message = f"{str(self._place / _FILE)!r} cannot be read"
                        raise FatalError("configuration", message, hint=hint)
                    data: dict[str, dict[str, Any]] = {"users": dict(users.users), "tokens": dict(users.tokens)}
                    yield data
                    text = json.dumps({"version": 1, **data}, indent=1, sort_keys=True)
                    write_durably(_FILE, text.encode("ascii"), dir_fd=folder, mode=0o600)
                    if owner is not None:
                        os.chown(_FILE, *owner, dir_fd=folder, follow_symlinks=False)
                finally:
                    os.close(lock)
            finally:
                os.close(folder)


def _make(place: Path) -> tuple[int, int] | None:
    """Make the folder; for root the owner that everything in it gets."""
    state = place.parent
    state.mkdir(mode=0o750, parents=True, exist_ok=True)
    facts = state.stat()
    owner = (facts.st_uid, facts.st_gid) if os.geteuid() == 0 else None
    if not place.is_dir():
        place.mkdir(mode=0o700, exist_ok=True)
        if owner is not None:
            os.chown(place, *owner, follow_symlinks=False)
    return owner


def _parsed(path: Path) -> Users:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            data = json.loads(file.read(_LARGEST))
        users = {name: _checked_user(each) for name, each in data["users"].items()}
        tokens = {name: _checked_token(each) for name, each in data["tokens"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Users(locked=True)
    return Users(users, tokens)


def _checked_user(told: dict[str, Any]) -> dict[str, Any]:
    bytes.fromhex(told["salt"]), bytes.fromhex(told["hash"])
    if told["role"] not in _ROLES or not all(isinstance(told[key], int) for key in _COST):
        raise ValueError("no user")
    return told


def _checked_token(told: dict[str, Any]) -> dict[str, Any]:
    if told["role"] not in _ROLES or not isinstance(told["sha256"], str):
        raise ValueError("no token")
    return told


def _check_name(name: str) -> None:
    if NAME.fullmatch(name) is None:
        hint = "Use letters, digits and . _ @ -, at most 64 of them."
        raise FatalError("login_refused", f"{name!r} is no name for a user or a token", hint=hint)


def _derived(password: str, kept: Mapping[str, Any]) -> bytes:
    return hashlib.scrypt(
        password.encode("utf-8", "surrogatepass"),
        salt=bytes.fromhex(cast("str", kept["salt"])),
        n=kept["n"],
        r=kept["r"],
        p=kept["p"],
        maxmem=_MOST_MEMORY,
        dklen=32,
    )


_LONGER: Final = "Choose a longer one: a few words are good."
_NO_USER: Final[dict[str, Any]] = {"role": "viewer", "salt": secrets.token_hex(16), "hash": "00" * 32, **_COST}
