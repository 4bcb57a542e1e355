"""What libvips leaves to us in TIFF files: EXIF in and out, tags that are not as they should be, and 8 bit CIELAB."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from srwatchd.codec.raster import write_all
from srwatchd.codec.structure import Edit, incomplete
from srwatchd.codec.tags import Field, Layout, Tiff
from srwatchd.errors import PermanentError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from srwatchd.codec.structure import Read
    from srwatchd.codec.tags import Record

__all__ = ["TiffPage", "add_exif", "chain_page", "check_tiff", "exif_of", "fitting_exif"]

_EXIF, _GPS, _INTEROPERABILITY = 0x8769, 0x8825, 0xA005
_PIXELS_ACROSS, _PIXELS_DOWN = 0xA002, 0xA003
_SUBFILE, _OLD_SUBFILE, _BITS, _PHOTOMETRIC = 254, 255, 258, 262
_NOT_A_PAGE = 5
"""Bits of NewSubfileType: a reduced version, or a mask, of another picture of the file."""

_REDUCED: Final = 2
_PAGE: Final = 2
_PAGE_NUMBER: Final = 297
_OFFSETS: Final = frozenset({273, 324})
"""Where the strips or the tiles are."""

_MOST_PAGES: Final = 1000
_MOST_DIRECTORIES: Final = 8 * _MOST_PAGES
_CIELAB: Final = (8, 9)
_DESCRIPTIVE: Final = frozenset({270, 271, 272, 305, 306, 315, 33432, *range(40091, 40096)})
"""Tags of a TIFF's own directory that EXIF has, too: description, maker, model, software, date, artist, copyright."""

_NEEDED: Final = frozenset(
    {*range(254, 267), 273, 274, *range(277, 285), *range(286, 298), 301, *range(317, 326), 330, 332, 334}
    | {*range(336, 344), 347, *range(512, 522), *range(529, 533), 32995, 32996, 65537}
)
"""Tags without which pixels or colours would be read differently; TIFF 6.0 and libtiff's own."""

_METADATA: Final = frozenset({700, 33723, 34675})
"""XMP, IPTC and the colour profile, which libvips reads, too. The rest we read ourselves, if at all."""

_ASCII = 2
_TEXTS: Final = (1, _ASCII)
_LARGEST_VALUE: Final = 1 << 20
_LARGEST_TOLD: Final = 4 << 20
_LARGEST_BLOCK: Final = 60_000
"""An EXIF block has to fit one JPEG segment of 65533 bytes."""

_MARK: Final = b"Exif\0\0"


@dataclass(frozen=True, slots=True)
class TiffPage:
    """Where a page has its directory, and what must be read differently for a decoder to see this page only."""

    directory: int
    edits: tuple[Edit, ...]


def check_tiff(read: Read, size: int) -> list[TiffPage]:
    """The pages of a TIFF, each with what a strict decoder needs to be content.

    Scanners and converters write directories that are out of order, texts without their end, private tags of unknown
    types or without a value: only the tags that matter are shown, sorted. Picture data is never touched. Thumbnails,
    smaller versions and masks are no pages.

    Raises PermanentError ``unsupported_content`` for 8 bit CIELAB, which libvips cannot read, and for more than 1000
    pages, ``incomplete`` when a directory, or what pixels depend on, does not lie in the file.
    """
    try:
        tiff = Tiff(read, size)
        pages = [(at, *tiff.records(at)) for at in _pages(tiff)]
    except ValueError as error:
        raise _incomplete(str(error)) from error
    alone = len(pages) == 1 and pages[0][::2] == (tiff.first, 0)
    return [TiffPage(at, _shown(tiff, records, size, alone=alone)) for at, records, _ in pages]


def _shown(tiff: Tiff, records: list[Record], size: int, *, alone: bool) -> tuple[Edit, ...]:
    """The edits that show nothing but the directory ``records``; none for a tidy one that is ``alone``."""
    kept = {record.tag: record for record in records if tiff.inside(record)}
    if not kept or any(record.tag in _NEEDED and record.tag not in kept for record in records):
        raise _incomplete("the directory names values outside of the file")
    if _value(tiff, kept, _PHOTOMETRIC) in _CIELAB and _value(tiff, kept, _BITS) == 8:
        raise PermanentError("unsupported_content", "Its colours are 8 bit CIELAB; 16 bit CIELAB and RGB are read.")
    shown = (record for record in kept.values() if record.tag in _NEEDED | _METADATA)
    tidy = sorted(shown, key=lambda record: record.tag)
    if tidy == records and alone:
        return ()
    padding = -size % 8
    layout = Layout(size + padding, big=tiff.big, order=tiff.order)
    offset = layout.directory((), records=tidy)
    address = struct.pack(f"{tiff.order}{'Q' if tiff.big else 'I'}", offset)
    return Edit(8 if tiff.big else 4, len(address), address), Edit(size, 0, bytes(padding) + layout.content)


def _incomplete(what: str) -> PermanentError:
    return incomplete(f"{what} (TIFF)")


def _pages(tiff: Tiff) -> list[int]:
    """Where the directories are that hold pictures of their own.

    The chain ends where it repeats itself; ValueError where it leads out of the file, as in one that is cut short. A
    file in which all are reduced versions of something has one page, the first.
    """
    pages, following, seen = list[int](), tiff.first, {0}
    while following not in seen:
        at = following
        seen.add(at)
        records, following = tiff.records(at)
        if _is_page(tiff, records):
            pages.append(at)
        if len(seen) > _MOST_DIRECTORIES or len(pages) > _MOST_PAGES:
            raise PermanentError(
                "unsupported_content", f"It has more than {_MOST_PAGES} pages.", hint="Split it and drop the parts."
            )
    return pages or [tiff.first]


def _is_page(tiff: Tiff, records: list[Record]) -> bool:
    """Whether a directory is a picture of its own, by NewSubfileType, or by its predecessor SubfileType."""
    inside = {record.tag: record for record in records if tiff.inside(record)}
    if _SUBFILE in inside:
        return not _value(tiff, inside, _SUBFILE) & _NOT_A_PAGE
    return _value(tiff, inside, _OLD_SUBFILE) != _REDUCED


def _value(tiff: Tiff, records: dict[int, Record], tag: int) -> int:
    """The first value of a tag, 0 without it."""
    return tiff.field(records[tag]).first() if tag in records and records[tag].size <= _LARGEST_VALUE else 0


def exif_of(read: Read, size: int, *, at: int | None = None, most: int = _LARGEST_TOLD) -> bytes:
    r"""The EXIF block (``Exif\0\0`` and a little-endian TIFF) of a TIFF file, empty when it has nothing to tell.

    Of the page whose directory is ``at``, the first one by default: descriptive tags, the EXIF and the GPS directory.
    The largest values (makers' notes) are left out until the block has at most ``most`` bytes.
    """
    tiff = Tiff(read, size)
    described, taken, place = _told(tiff, tiff.first if at is None else at)
    while True:
        layout = Layout(8)
        main = [*described, *_pointers(layout, taken, place, wide=False)]
        if not main:
            return b""
        offset = layout.directory(main)
        if len(layout.content) <= most:
            return _MARK + struct.pack("<2sHI", b"II", 42, offset) + layout.content
        largest = max((*described, *taken, *place), key=lambda field: len(field.data))
        described, taken, place = (
            [field for field in part if field is not largest] for part in (described, taken, place)
        )


def fitting_exif(exif: bytes) -> bytes:
    """A block that fits one segment of a JPEG, which is what other libraries take; the largest values go first.

    Empty for a block that is too large and makes no sense.
    """
    if len(exif) <= _LARGEST_BLOCK:
        return exif
    block = exif.removeprefix(_MARK)
    try:
        return exif_of(lambda length, offset: block[offset : offset + length], len(block), most=_LARGEST_BLOCK)
    except ValueError:
        return b""


def add_exif(descriptor: int, exif: bytes, *, width: int, height: int, gps: bool) -> None:
    """Append what the block ``exif`` tells to a TIFF that libvips wrote; OSError when writing fails.

    The file gets a new first directory behind its old end, the old one becomes unused. A block that makes no sense, or
    a file whose order of bytes is not little-endian, is left as it is.
    """

    def read(length: int, offset: int) -> bytes:
        """Up to ``length`` bytes of the source from ``offset``; fewer only at its end."""
        return os.pread(descriptor, length, offset)

    try:
        tiff = Tiff(read, os.fstat(descriptor).st_size)
        records, following = tiff.records(tiff.first)
    except ValueError:
        return
    if tiff.order != "<":
        return
    described, taken, place = _told_by(exif)
    taken = [_resized(field, width, height) for field in taken]
    layout = Layout(tiff.size + -tiff.size % 8, big=tiff.big)
    fields = [*described, *_pointers(layout, taken, place if gps else [], wide=tiff.big)]
    fields = _absent(fields, records)
    if fields:
        offset = layout.directory(fields, records=records, following=following)
        write_all(descriptor, bytes(-tiff.size % 8) + layout.content, tiff.size)
        write_all(descriptor, struct.pack("<Q" if tiff.big else "<I", offset), 8 if tiff.big else 4)


def chain_page(
    descriptor: int, at: int, link: int, exif: bytes, *, size: tuple[int, int], gps: bool, number: tuple[int, int]
) -> tuple[int, int]:
    """Make the little-endian TIFF that libvips wrote at offset ``at`` the next page of the file that begins at 0.

    ``link`` is what the page before gave, ``number`` which page it is (from 0) and of how many; what the block ``exif``
    tells goes along as in :func:`add_exif`. Returns the link for the next page, and where that is to be written.
    OSError when writing fails.
    """

    def read(length: int, offset: int) -> bytes:
        """Up to ``length`` bytes of the staged file, counted from the page's first one."""
        return os.pread(descriptor, length, at + offset)

    end = os.fstat(descriptor).st_size
    tiff = Tiff(read, end - at)
    records, _ = tiff.records(tiff.first)
    kept = [_moved(tiff, record, at) for record in records if record.tag not in {*_OFFSETS, _SUBFILE, _PAGE_NUMBER}]
    fields = [_moved_offsets(tiff, record, at) for record in records if record.tag in _OFFSETS]
    fields += [Field.number(_SUBFILE, _PAGE), Field(_PAGE_NUMBER, 3, 2, struct.pack("<HH", *number))]
    base = end + -end % 16
    layout = Layout(base, big=tiff.big)
    described, taken, place = _told_by(exif)
    taken = [_resized(field, *size) for field in taken]
    told = [*described, *_pointers(layout, taken, place if gps else [], wide=tiff.big)]
    fields += _absent(told, kept)
    directory = layout.directory(fields, records=kept)
    address = "<Q" if tiff.big else "<I"
    write_all(descriptor, layout.content, base)
    write_all(descriptor, struct.pack(address, directory), link or (8 if tiff.big else 4))
    end = base + len(layout.content)
    return end - tiff.inline, end + -end % 16


def _moved(tiff: Tiff, record: Record, by: int) -> Record:
    """A record whose values, if they lie elsewhere in the file, lie ``by`` bytes further on."""
    if record.size <= tiff.inline:
        return record
    place = int.from_bytes(record.raw[-tiff.inline :], "little") + by
    return replace(record, raw=record.raw[: -tiff.inline] + place.to_bytes(tiff.inline, "little"))


def _moved_offsets(tiff: Tiff, record: Record, by: int) -> Field:
    """Where strips or tiles lie, ``by`` bytes further on."""
    data = tiff.field(record).data
    width = len(data) // record.count
    values = (int.from_bytes(data[at : at + width], "little") + by for at in range(0, len(data), width))
    moved = b"".join(value.to_bytes(tiff.inline, "little") for value in values)
    return Field(record.tag, 16 if tiff.big else 4, record.count, moved)


def _told_by(exif: bytes) -> tuple[list[Field], list[Field], list[Field]]:
    """:func:`_told` of an EXIF block; nothing for one that makes no sense."""
    block = exif.removeprefix(_MARK)
    try:
        inner = Tiff(lambda length, offset: block[offset : offset + length], len(block))
    except ValueError:
        return [], [], []
    return _told(inner, inner.first)


def _told(tiff: Tiff, at: int) -> tuple[list[Field], list[Field], list[Field]]:
    """The descriptive tags of a file or block, those of its EXIF directory and those of its GPS directory."""
    main = tiff.fields(at, at_most=_LARGEST_VALUE)
    parts: list[list[Field]] = [[_text(field) for field in main if field.tag in _DESCRIPTIVE and field.kind in _TEXTS]]
    for pointer in (_EXIF, _GPS):
        places = [field.first() for field in main if field.tag == pointer]
        found = tiff.fields(places[0], at_most=_LARGEST_VALUE) if places else []
        parts.append([field for field in found if field.tag != _INTEROPERABILITY])
    return parts[0], parts[1], parts[2]


def _text(field: Field) -> Field:
    """A text with its end, without which readers warn; UTF-16 in bytes as it is."""
    if field.kind != _ASCII:
        return field
    data = field.data.partition(b"\0")[0] + b"\0"
    return Field(field.tag, field.kind, len(data), data)


def _pointers(layout: Layout, taken: list[Field], place: list[Field], *, wide: bool) -> list[Field]:
    """Lay out the two directories below the first and give the fields that point to them."""
    return [
        Field.number(pointer, layout.directory(fields), wide=wide)
        for pointer, fields in ((_EXIF, taken), (_GPS, place))
        if fields
    ]


def _resized(field: Field, width: int, height: int) -> Field:
    size = {_PIXELS_ACROSS: width, _PIXELS_DOWN: height}.get(field.tag)
    return field if size is None else Field.number(field.tag, size)


def _absent(fields: Iterable[Field], records: list[Record]) -> list[Field]:
    present = {record.tag for record in records}
    return [field for field in fields if field.tag not in present]
