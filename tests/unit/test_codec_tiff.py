from __future__ import annotations

import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srwatchd.codec.structure import Edit
from srwatchd.codec.tags import Field, Layout, Tiff
from srwatchd.codec.tiff import add_exif, check_tiff, exif_of, fitting_exif
from srwatchd.errors import PermanentError

WIDTH, HEIGHT = Field.number(256, 9), Field.number(257, 7)
MAKE = Field(271, 2, 6, b"Maker\0")
LONG_MAKE = Field(271, 2, 20, b"Maker of all things\0")


def reader(data):
    return lambda length, offset: data[offset : offset + length]


def tiff(*fields, big=False, following=0):
    """A little-endian TIFF with these tags in its first directory, sorted."""
    base = 16 if big else 8
    layout = Layout(base, big=big)
    offset = layout.directory(fields, following=following)
    head = struct.pack("<2sHHHQ", b"II", 43, 8, 0, offset) if big else struct.pack("<2sHI", b"II", 42, offset)
    return head + layout.content


def swapped(data):
    """The same classic TIFF with one SHORT and one LONG tag in the other order of bytes."""
    assert data[:4] == b"II*\0"
    offset, count = struct.unpack("<I", data[4:8])[0], struct.unpack_from("<H", data, 8)[0]
    entries = [struct.unpack_from("<HHII", data, offset + 2 + 12 * number) for number in range(count)]
    return (
        b"MM\0*" + struct.pack(">IH", 8, count) + b"".join(struct.pack(">HHII", *each) for each in entries) + bytes(4)
    )


def edited(data, edits):
    for edit in reversed(edits):
        data = data[: edit.offset] + edit.replacement + data[edit.offset + edit.length :]
    return data


def only(data):
    """The edits of the only page."""
    (page,) = check_tiff(reader(data), len(data))
    return page.edits


def tags(data):
    found = Tiff(reader(data), len(data))
    return {field.tag: field for field in found.fields(found.first, at_most=9999)}


def exif(*fields, below=(), place=()):
    r"""An EXIF block, with its mark."""
    layout = Layout(8)
    pointers = [Field.number(tag, layout.directory(part)) for tag, part in ((0x8769, below), (0x8825, place)) if part]
    offset = layout.directory([*fields, *pointers])
    return b"Exif\0\0" + struct.pack("<2sHI", b"II", 42, offset) + layout.content


@pytest.mark.parametrize("big", [False, True])
def test_a_tidy_file_is_read_as_it_is(big):
    """Nothing is edited where nothing is odd."""
    data = tiff(WIDTH, HEIGHT, big=big)
    assert only(data) == ()
    assert {tag: field.first() for tag, field in tags(data).items()} == {256: 9, 257: 7}


def test_the_other_order_of_bytes():
    """Values of a big-endian file arrive little-endian."""
    data = swapped(tiff(WIDTH, HEIGHT))
    assert only(data) == ()
    assert tags(data)[256].first() == 9


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(
    "odd",
    [
        Field(50000, 4, 1, bytes(4)),
        Field(305, 2, 3, b"abc"),
        Field(50001, 77, 1, bytes(4)),
        Field(33000, 4, 0, b""),
        Field(700, 1, 1 << 30, bytes(4)),
    ],
)
def test_tags_that_do_not_matter_are_not_shown(big, odd):
    """Private tags, texts without an end, unknown types, no values, values far outside: a strict decoder sees none."""
    data = tiff(WIDTH, HEIGHT, odd, big=big)
    shown = edited(data, only(data))
    assert set(tags(shown)) == {256, 257}
    assert shown[8 + 8 * big : len(data)] == data[8 + 8 * big :]


def test_an_order_that_is_none_is_mended():
    """Entries out of order are shown sorted, a tag that is there twice once."""
    layout = Layout(8)
    layout.directory([HEIGHT])
    entry = layout.content[2:14]
    data = tiff(WIDTH, HEIGHT)
    count = struct.unpack_from("<H", data, 8)[0]
    data = data[:8] + struct.pack("<H", count + 1) + entry + data[10:]
    shown = edited(data, only(data))
    found = Tiff(reader(shown), len(shown))
    assert [record.tag for record in found.records(found.first)[0]] == [256, 257]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "incomplete"),
        (b"II*\0", "incomplete"),
        (b"II*\0\x08\0\0\0", "incomplete"),
        (b"II*\0" + bytes(40), "incomplete"),
        (b"MM\0*\0\0\0\x07" + bytes(40), "incomplete"),
        (tiff(), "incomplete"),
        (tiff(Field(256, 4, 1 << 20, bytes(4))), "incomplete"),
        (tiff(WIDTH, HEIGHT)[:20], "incomplete"),
        (tiff(WIDTH, Field.number(258, 8), Field.number(262, 8)), "unsupported_content"),
    ],
)
def test_what_cannot_be_read(data, code):
    """Directories outside of the file, needed values outside of it, none at all, 8 bit CIELAB."""
    with pytest.raises(PermanentError) as caught:
        check_tiff(reader(data), len(data))
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("mark", "pages"),
    [((254, 0), 2), ((254, 2), 2), ((254, 1), 1), ((254, 4), 1), ((255, 1), 2), ((255, 3), 2), ((255, 2), 1)],
)
@pytest.mark.parametrize("leading", [False, True])
def test_thumbnails_are_no_pages(mark, pages, leading):
    """A directory counts unless it is a reduced version or a mask, before the picture or behind it; it is not shown."""
    order = [[Field.number(*mark), WIDTH], [Field.number(254, 0), HEIGHT]]
    one, other = order if leading else order[::-1]
    second = Layout(200)
    offset = second.directory(other)
    data = tiff(*one, following=offset).ljust(200, b"\0") + second.content
    found = check_tiff(reader(data), len(data))
    shown = [Tiff(reader(part), len(part)) for part in (edited(data, page.edits) for page in found)]
    assert [each.records(each.first)[1] for each in shown] == [0] * pages
    assert [257 in {field.tag for field in each.fields(each.first, at_most=9)} for each in shown].count(True) == 1
    assert [page.directory for page in found] == ([8, offset] if pages > 1 else [offset if leading else 8])


def test_nothing_but_a_thumbnail_is_a_picture():
    """A file in which every directory says that it is a smaller version has one page."""
    data = tiff(Field.number(254, 1), WIDTH)
    assert only(data) == ()


@pytest.mark.parametrize("following", [9999, 60])
def test_a_chain_that_leads_nowhere_is_damage(following):
    """A page that is announced and not there is missing, not left out."""
    data = tiff(WIDTH, HEIGHT, following=following).ljust(62, b"\0")
    with pytest.raises(PermanentError) as caught:
        check_tiff(reader(data), len(data))
    assert caught.value.code == "incomplete"


def test_more_pages_than_a_thousand_are_refused():
    """What no scanner makes is refused with what to do."""
    layout, following = Layout(8), 0
    for _ in range(1001):
        following = layout.directory([WIDTH], following=following)
    data = struct.pack("<2sHI", b"II", 42, following) + layout.content
    with pytest.raises(PermanentError, match="more than 1000 pages"):
        check_tiff(reader(data), len(data))


def test_a_chain_that_bites_its_tail_ends():
    """A directory that follows itself is one page."""
    data = tiff(WIDTH, HEIGHT, following=8)
    assert only(data) != ()


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("gps", [False, True])
def test_exif_goes_in_and_comes_out(big, gps):
    """Maker, date and place are appended to a file and read from it again; the size is the file's own."""
    date, size, spot = (
        Field(0x9003, 2, 20, b"2024:01:02 03:04:05\0"),
        Field.number(0xA002, 1),
        Field(2, 5, 3, bytes(24)),
    )
    block = exif(LONG_MAKE, below=[date, size], place=[spot])
    descriptor = os.memfd_create("tiff")
    os.write(descriptor, tiff(WIDTH, HEIGHT, big=big) + b"odd")
    add_exif(descriptor, block, width=9, height=7, gps=gps)
    data = os.pread(descriptor, 99999, 0)
    os.close(descriptor)
    assert tags(data)[256].first() == 9
    told = exif_of(reader(data), len(data)).removeprefix(b"Exif\0\0")
    assert tags(told)[271].data == LONG_MAKE.data
    inner = Tiff(reader(told), len(told))
    below = {field.tag: field for field in inner.fields(tags(told)[0x8769].first(), at_most=99)}
    assert below[0x9003].data == date.data
    assert below[0xA002].first() == 9
    assert (0x8825 in tags(told)) is gps


def test_nothing_to_tell():
    """A file without any of it gives no block, and a block without any of it changes no file."""
    data = tiff(WIDTH, HEIGHT)
    assert exif_of(reader(data), len(data)) == b""
    for block in (b"", b"Exif\0\0rubbish", exif(WIDTH)):
        descriptor = os.memfd_create("tiff")
        os.write(descriptor, data)
        add_exif(descriptor, block, width=1, height=1, gps=True)
        assert os.pread(descriptor, 9999, 0) == data
        os.close(descriptor)


def test_a_big_endian_file_is_left_alone():
    """Blocks are little-endian; a file that is not gets none."""
    data = swapped(tiff(WIDTH, HEIGHT))
    descriptor = os.memfd_create("tiff")
    os.write(descriptor, data)
    add_exif(descriptor, exif(MAKE), width=1, height=1, gps=True)
    assert os.pread(descriptor, 9999, 0) == data
    os.close(descriptor)


def test_texts_get_their_end():
    """A text without its end, or with rubbish behind it, is written as readers expect it."""
    descriptor = os.memfd_create("tiff")
    os.write(descriptor, tiff(WIDTH, HEIGHT))
    add_exif(descriptor, exif(Field(271, 2, 9, b"Mak\0xyz12"), Field(272, 3, 1, b"\1\0")), width=1, height=1, gps=True)
    data = os.pread(descriptor, 9999, 0)
    os.close(descriptor)
    assert tags(data)[271].data == b"Mak\0"
    assert 272 not in tags(data)


def test_a_block_fits_a_jpeg():
    """A TIFF keeps large makers' notes; for a JPEG the largest are left out until the block has 60,000 bytes."""
    notes = [Field(0x927C + number, 7, 30_000, bytes(30_000)) for number in range(3)]
    whole = exif_of(reader(exif(MAKE, below=notes)[6:]), 99_999)
    assert len(whole) > 90_000
    told = fitting_exif(whole)
    assert 30_000 < len(told) <= 60_014
    assert tags(told.removeprefix(b"Exif\0\0"))[271].data == MAKE.data
    assert fitting_exif(told) == told
    assert fitting_exif(b"rubbish" * 10_000) == b""


@given(st.binary(max_size=300), st.sampled_from([b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0", b"MM\0+\0\x08\0\0"]))
def test_any_bytes_end(data, start):
    """No content makes a walk run for ever or fail with anything but a PermanentError."""
    content = start + data
    try:
        pages = check_tiff(reader(content), len(content))
    except PermanentError:
        return
    assert all(isinstance(edit, Edit) for page in pages for edit in page.edits)
    exif_of(reader(content), len(content))
