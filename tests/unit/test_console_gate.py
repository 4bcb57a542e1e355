"""Who is let in: users, tokens, sessions, and how often a password may be guessed."""

from __future__ import annotations

import asyncio
import json
import os
import stat

import pytest

from srwatchd.console.gate import SESSION_SECONDS, Gate, Guesses
from srwatchd.console.refusals import DeclinedError
from srwatchd.console.users import UsersFile
from srwatchd.errors import FatalError

PASSWORD = "a long enough one"  # noqa: S105 - of nobody


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def users(tmp_path):
    return UsersFile(tmp_path / "state" / "console")


@pytest.fixture
def gate(users, clock):
    made = Gate(users, alone=True, monotonic=clock)
    yield made
    made.close()


def log_in(gate, name="anna", said=PASSWORD, address="192.0.2.1"):
    return asyncio.run(gate.log_in(name, said, address))


def person(gate, **given):
    return gate.person(**{"cookie": None, "token": None, "address": "192.0.2.1", **given})


def test_alone_and_without_users_everybody_is_the_operator(gate, users):
    """The first user or token ends that at once."""
    assert person(gate).role == "operator"
    users.add_token("monitor", "viewer")
    assert person(gate) is None
    assert not gate.open


def test_where_others_can_connect_nobody_is_let_in_without_users(users):
    """Not even when the last user is removed while it runs."""
    gate = Gate(users, alone=False)
    assert not gate.open
    assert person(gate) is None
    gate.close()


def test_a_session_lasts_until_its_time_the_password_or_the_user_is_over(gate, users, clock):
    """Each of them ends it."""
    users.add_user("bob", "viewer", PASSWORD)
    users.add_user("anna", "operator", PASSWORD)
    for end in ("time", "password", "user"):
        _, cookie = log_in(gate)
        assert person(gate, cookie=cookie).name == "anna"
        if end == "time":
            clock.now += SESSION_SECONDS
        elif end == "password":
            users.add_user("anna", "operator", PASSWORD)
        else:
            users.remove_user("anna")
        assert person(gate, cookie=cookie) is None
    assert person(gate, cookie="made up") is None


def test_a_session_that_is_ended_is_over(gate, users):
    """Logging out is not only the browser's business."""
    users.add_user("anna", "operator", PASSWORD)
    _, cookie = log_in(gate)
    gate.log_out(cookie)
    assert person(gate, cookie=cookie) is None


def test_a_role_that_is_changed_holds_at_once(gate, users):
    """With the password, which is asked for again."""
    users.add_user("anna", "viewer", PASSWORD)
    assert log_in(gate)[0].role == "viewer"
    users.add_user("anna", "operator", PASSWORD)
    assert log_in(gate)[0].role == "operator"


def test_a_token_is_taken_whole_and_a_wrong_one_hides_behind_no_cookie(gate, users):
    """A program that sends a token means it."""
    users.add_user("anna", "operator", PASSWORD)
    token = users.add_token("scanner", "operator")
    _, cookie = log_in(gate)
    assert person(gate, token=token).name == "scanner"
    assert person(gate, token=token[:-1]) is None
    assert person(gate, token="", cookie=cookie) is None
    users.remove_token("scanner")
    assert person(gate, token=token) is None


@pytest.mark.parametrize(
    ("name", "password"), [("anna", "wrong one"), ("nobody", PASSWORD), ("", ""), ("anna", "\ud800")]
)
def test_a_wrong_name_and_a_wrong_password_read_the_same(gate, users, name, password):
    """Nobody learns who is a user."""
    users.add_user("anna", "operator", PASSWORD)
    with pytest.raises(DeclinedError) as refused:
        log_in(gate, name, password)
    assert (refused.value.status, refused.value.code) == (401, "login_refused")


def test_guessing_ends_after_ten_from_one_address(gate, users, clock):
    """The right password is not even looked at then; another address gets in; a minute later so does the first."""
    users.add_user("anna", "operator", PASSWORD)
    gate._by_address = Guesses(2, clock)
    for _ in range(2):
        with pytest.raises(DeclinedError, match="wrong"):
            log_in(gate, said="wrong one")
    with pytest.raises(DeclinedError) as limited:
        log_in(gate)
    assert limited.value.status == 429
    assert 1 <= int(limited.value.headers["Retry-After"]) <= 61
    assert log_in(gate, address="192.0.2.2")
    clock.now += 61
    assert log_in(gate)


def test_a_network_of_ipv6_counts_as_one_guesser(gate, users, clock):
    """One machine has 2**64 addresses there."""
    users.add_user("anna", "operator", PASSWORD)
    gate._by_address = Guesses(1, clock)
    with pytest.raises(DeclinedError, match="wrong"):
        log_in(gate, said="wrong one", address="2001:db8::1")
    with pytest.raises(DeclinedError) as limited:
        log_in(gate, address="2001:db8::2")
    assert limited.value.status == 429


def test_right_guesses_do_not_count_and_memory_is_bounded(clock):
    """A user who logs in every second stays welcome; a million names leave no trace for ever."""
    guesses = Guesses(2, clock)
    for _ in range(10):
        guesses.made("anna")
        guesses.right("anna")
    assert guesses.wait("anna") == 0
    for number in range(10_000):
        guesses.made(str(number))
    assert len(guesses._made) <= 8192


def test_the_file_is_its_owners_alone_and_holds_no_secret(users, tmp_path):
    """Neither a password nor a token can be read out of it."""
    users.add_user("anna", "operator", PASSWORD)
    token = users.add_token("scanner", "viewer")
    path = tmp_path / "state/console/users.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    text = path.read_text()
    assert PASSWORD not in text
    assert token not in text


@pytest.mark.parametrize("content", ["", "{", "[]", '{"users": {"a": {"role": "king"}}, "tokens": {}}', '{"users": 1}'])
def test_a_file_that_cannot_be_read_lets_nobody_in(gate, users, content):
    """Least of all everybody, as if there were no users; and it is not overwritten."""
    users.add_user("anna", "operator", PASSWORD)
    path = users._place / "users.json"
    path.write_text(content)
    assert users.read().locked
    assert not gate.open
    assert person(gate) is None
    with pytest.raises(FatalError, match="cannot be read"):
        users.add_user("bob", "viewer", PASSWORD)
    assert path.read_text() == content


def test_a_link_in_its_place_is_not_followed(users, tmp_path):
    """Somebody else's file makes no users."""
    users.add_user("anna", "operator", PASSWORD)
    path = users._place / "users.json"
    os.rename(path, tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert users.read().locked


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "a b", "x" * 65, "a\nb", "ä"])
def test_names_are_plain(users, name):
    """They stand in the ledger and in logs."""
    with pytest.raises(FatalError, match="no name"):
        users.add_user(name, "viewer", PASSWORD)


def test_short_passwords_and_taken_tokens_are_refused(users):
    """Said before anything is written."""
    with pytest.raises(FatalError, match="less than 8"):
        users.add_user("anna", "viewer", "short")
    users.add_token("scanner", "viewer")
    with pytest.raises(FatalError, match="already"):
        users.add_token("scanner", "operator")
    assert json.loads((users._place / "users.json").read_text())["tokens"]["scanner"]["role"] == "viewer"
