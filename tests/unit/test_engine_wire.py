"""engine.wire: messages as they are, whatever is in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srwatchd.engine.wire import Field, WireError, encode, field, first, integers, last, parse, text

FIELDS = st.lists(
    st.one_of(
        st.builds(Field, st.integers(1, 1 << 28), st.just(0), st.integers(0, (1 << 64) - 1)),
        st.builds(Field, st.integers(1, 1 << 28), st.just(2), st.binary(max_size=40)),
        st.builds(Field, st.integers(1, 1 << 28), st.just(5), st.binary(min_size=4, max_size=4)),
        st.builds(Field, st.integers(1, 1 << 28), st.just(1), st.binary(min_size=8, max_size=8)),
    ),
    max_size=20,
)


@given(FIELDS)
def test_there_and_back(fields: list[Field]) -> None:
    """What is unknown is kept, in its order."""
    assert parse(encode(fields)) == fields


@given(st.binary(max_size=200))
def test_anything_is_a_message_or_a_wire_error(data: bytes) -> None:
    """Bytes of a stranger raise nothing else; what is understood is written as something that means the same."""
    try:
        fields = parse(data)
    except WireError:
        return
    assert parse(encode(fields)) == fields


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x08", "in the middle of a number"),
        (b"\x0a\x05abc", "5 bytes are announced where 3 are left"),
        (b"\x0d\x00\x00", "4 bytes are announced"),
        (b"\x0b", "wire type 3"),
        (b"\x00\x00", "no message"),
        (b"\x08" + b"\xff" * 11, "longer than ten bytes"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "cut short"),
    ],
)
def test_damage_is_named(data: bytes, why: str) -> None:
    """Truncation and nonsense are told apart from a network."""
    with pytest.raises(WireError, match=why):
        parse(data)


def test_reading_fields() -> None:
    """Numbers are signed, the last one counts, repeated ones may be packed, texts may be no UTF-8."""
    message = parse(
        encode([field(1, -1), field(1, 7), field(2, b"\x01\x80\x01"), field(2, 5), field(3, b"a\xff"), field(4, "b")])
    )
    assert (last(message, 1), last(message, 9, 3)) == (7, 3)
    assert integers(message, 2) == [1, 128, 5]
    assert integers(message, 1) == [-1, 7]
    assert (text(message, 3), text(message, 4), text(message, 5)) == ("a\\xff", "b", "")
    with pytest.raises(WireError, match="a number where bytes belong"):
        first(message, 1)
    with pytest.raises(WireError, match="bytes where an integer belongs"):
        last(message, 3)
