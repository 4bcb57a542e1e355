"""Who is let in: sessions, tokens, and how often a password may be guessed."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import secrets
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from srwatchd.console.refusals import DeclinedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from srwatchd.console.shapes import Role
    from srwatchd.console.users import Entry, UsersFile

__all__ = ["SESSION_SECONDS", "Gate", "Guesses", "Person"]

SESSION_SECONDS: Final = 12 * 3600
_MOST_SESSIONS: Final = 4096
_WINDOW_SECONDS: Final = 60.0
_FROM_ADDRESS: Final = 10
_FOR_NAME: Final = 20
"""More, so that somebody else's guesses do not soon keep a user out."""
_MOST_REMEMBERED: Final = 8192
_AT_ONCE: Final = 2
_QUEUE: Final = 8
_SITE_BITS: Final = 64


@dataclass(frozen=True, slots=True)
class Person:
    """Who is asking: the user's name, the role, and the address that the request came from."""

    name: str
    role: Role
    address: str


@dataclass(frozen=True, slots=True)
class _Session:
    name: str
    mark: str
    over: float


class Guesses:
    """Counts wrong passwords in the last minute by a key. ``monotonic`` is for tests."""

    def __init__(self, most: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._monotonic = monotonic
        self._made: OrderedDict[str, list[float]] = OrderedDict()

    def wait(self, key: str) -> float:
        """Seconds until another guess is taken; 0 for now."""
        recent = self._recent(key)
        return 0.0 if len(recent) < self._most else recent[-self._most] + _WINDOW_SECONDS - self._monotonic()

    def made(self, key: str) -> None:
        """A guess is about to be looked at; it counts until it turns out right."""
        self._made[key] = [*self._recent(key), self._monotonic()]
        self._made.move_to_end(key)
        while len(self._made) > _MOST_REMEMBERED:
            self._made.popitem(last=False)

    def right(self, key: str) -> None:
        """The last guess was right."""
        if self._made.get(key):
            self._made[key].pop()

    def _recent(self, key: str) -> list[float]:
        since = self._monotonic() - _WINDOW_SECONDS
        return [each for each in self._made.get(key, []) if each > since]


class Gate:
    """Knows whom to let in. ``alone``: only this machine can connect, and without users everybody is an operator."""

    def __init__(self, file: UsersFile, *, alone: bool, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._file = file
        self._alone = alone
        self._monotonic = monotonic
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._by_address = Guesses(_FROM_ADDRESS, monotonic)
        self._by_name = Guesses(_FOR_NAME, monotonic)
        self._thread = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="password")
        self._queue = 0

    @property
    def open(self) -> bool:
        """Whether nobody has to log in."""
        return self._alone and self._file.read().nobody

    def close(self) -> None:
        """Check nothing more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def person(self, *, cookie: str | None, token: str | None, address: str) -> Person | None:
        """Who sends these; a token is taken before a cookie. None for nobody that is known."""
        if token is not None:
            entry = self._file.read().token(token)
            return None if entry is None else Person(entry.name, entry.role, address)
        if self.open:
            return Person("local", "operator", address)
        entry = None if cookie is None else self._in_session(cookie)
        return None if entry is None else Person(entry.name, entry.role, address)

    async def log_in(self, name: str, password: str, address: str) -> tuple[Entry, str]:
        """The user and the cookie of a new session.

        Raises DeclinedError ``login_refused``, or ``login_limited`` without having looked at the password.
        """
        keys = ((self._by_address, _site(address)), (self._by_name, name))
        wait = max(guesses.wait(key) for guesses, key in keys)
        if wait > 0 or self._queue >= _QUEUE:
            retry = {"Retry-After": str(max(1, int(wait) + 1))}
            raise DeclinedError(429, "login_limited", "there were too many logins that failed", headers=retry)
        for guesses, key in keys:
            guesses.made(key)
        users = self._file.read()
        self._queue += 1
        try:
            loop = asyncio.get_running_loop()
            entry = await loop.run_in_executor(self._thread, users.checked, name, password)
        finally:
            self._queue -= 1
        if entry is None:
            raise DeclinedError(401, "login_refused", "the name or the password is wrong")
        for guesses, key in keys:
            guesses.right(key)
        return entry, self._begun(entry)

    def log_out(self, cookie: str) -> None:
        """End a session."""
        self._sessions.pop(_digest(cookie), None)

    def _begun(self, entry: Entry) -> str:
        cookie = secrets.token_urlsafe(32)
        self._sessions[_digest(cookie)] = _Session(entry.name, entry.mark, self._monotonic() + SESSION_SECONDS)
        while len(self._sessions) > _MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return cookie

    def _in_session(self, cookie: str) -> Entry | None:
        """The user of a session, unless it is over, or the user is gone or has another password by now."""
        key = _digest(cookie)
        session = self._sessions.get(key)
        if session is None:
            return None
        entry = self._file.read().user(session.name)
        if self._monotonic() >= session.over or entry is None or entry.mark != session.mark:
            del self._sessions[key]
            return None
        return entry


def _digest(cookie: str) -> str:
    return hashlib.sha256(cookie.encode("utf-8", "surrogateescape")).hexdigest()


def _site(address: str) -> str:
    """What one guesser can have many of counts as one: a network of IPv6."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, _SITE_BITS), strict=False))
    return address
