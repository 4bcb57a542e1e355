from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srwatchd.codec import structure, webp
from srwatchd.errors import PermanentError

SOI, EOI, SOS = b"\xff\xd8", b"\xff\xd9", b"\xff\xda\x00\x02"
GIF = b"GIF89a\x01\0\x01\0\0\0\0"
PICTURE = b"\x2c\0\0\0\0\x01\0\x01\0\0\x02\x01\0\0"


def reader(data):
    return lambda length, offset: data[offset : offset + length]


@pytest.mark.parametrize(
    ("data", "progressive"),
    [
        (SOI + b"\xff\xc0\x00\x02" + SOS + b"abc\xff\x00\xff\xd0def" + EOI, False),
        (SOI + b"\xff\xc2\x00\x02" + SOS + b"abc" + SOS + b"def" + EOI, True),
        (SOI + b"\xff\xff\xc0\x00\x02" + SOS + b"x" * 300_000 + EOI + b"trailing", False),
    ],
)
def test_whole_jpegs(data, progressive):
    """Scans, stuffing, restarts, fill bytes and bytes after the end are understood."""
    assert structure.check_jpeg(reader(data)) == structure.JpegForm(progressive)


JFIF = b"\xff\xe0\x00\x10JFIF\x00\x01\x02" + bytes(7)
SOF0, SCAN = b"\xff\xc0\x00\x02", b"\xff\xda\x00\x06\x00\x00\x3f\x00"


@pytest.mark.parametrize(
    ("data", "edits"),
    [
        (SOI + b"\x00\x00\x11" + SOF0 + SCAN + b"abc" + EOI, [structure.Edit(2, 3)]),
        (SOI + SOF0 + b"\xff\x00" + SCAN + b"abc" + EOI, [structure.Edit(6, 2)]),
        (SOI + SOF0 + SCAN[:5] + bytes(3) + b"abc" + EOI, [structure.Edit(11, 3, b"\x00\x3f\x00")]),
        (SOI + JFIF.replace(b"\x01\x02", b"\x02\x01") + SOF0 + SCAN + EOI, [structure.Edit(11, 1, b"\x01")]),
        (SOI + JFIF + b"\xff\xd0\xff\x01" + SOF0 + SCAN + EOI, []),
        (SOI + b"\xff\xc2\x00\x02" + SCAN[:5] + bytes(3) + b"abc" + EOI, []),
    ],
)
def test_sloppy_jpegs_are_read_differently(data, edits):
    """Stray bytes, an unknown JFIF version and the scan parameters that some phones leave at zero do no harm."""
    assert list(structure.check_jpeg(reader(data)).edits) == edits


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (SOI + (b"\xff\xe1\xff\xff" + bytes(65533)) * 1100, "64 MiB"),
        (SOI + b"\xff\xc2\x00\x02" + (SCAN + b"abc") * 502, "500 scans"),
    ],
)
def test_a_flood_of_pieces_is_refused(data, what):
    """Metadata or scans beyond any use are refused before a decoder sees them."""
    with pytest.raises(PermanentError, match=what) as caught:
        structure.check_jpeg(reader(data))
    assert caught.value.code == "unsupported_content"


def test_too_many_pieces_are_refused(monkeypatch):
    """Each walk gives up after a number of pieces."""
    monkeypatch.setattr(structure, "MOST_PIECES", 9)
    png = b"\x89PNG\r\n\x1a\n" + bytes(21) + (b"\0\0\0\0teXt" + bytes(4)) * 20
    gif = GIF + b"\x21\xfe" + b"\x01a" * 20 + b"\0" + PICTURE + b"\x3b"
    for walk, data in ((structure.check_jpeg, SOI + b"\xff\x01" * 20), (structure.check_gif, gif)):
        with pytest.raises(PermanentError, match="more than 9"):
            walk(reader(data))
    with pytest.raises(PermanentError, match="more than 9"):
        structure.check_png(reader(png[:8] + png[29:].ljust(60, b"\0")))
    boxes = box(b"free", b"") * 20
    with pytest.raises(PermanentError, match="more than 9"):
        structure.check_jp2(reader(boxes), len(boxes))


@pytest.mark.parametrize(
    ("body", "size"),
    [
        (b"VP8X\x0a\0\0\0\0\0\0\0" + b"\x09\0\0" + b"\x07\0\0", (10, 8)),
        (b"VP8L\x0a\0\0\0\x2f" + struct.pack("<I", 9 | 7 << 14), (10, 8)),
        (b"VP8 \x0a\0\0\0" + b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 10, 8), (10, 8)),
    ],
)
def test_webp_sizes(body, size):
    """All three kinds of WebP say their size in the header."""
    data = (b"RIFF" + struct.pack("<I", 40) + b"WEBP" + body).ljust(48, b"\0")
    form = webp.check_webp(reader(data), len(data))
    assert (form.width, form.height, form.frames) == (*size, 1)


def test_a_hole_in_the_header_of_a_jpeg_is_damage():
    """A block of zeros between segments is where metadata got lost, not sloppiness."""
    with pytest.raises(PermanentError, match="do not follow"):
        structure.check_jpeg(reader(SOI + bytes(4096) + SOF0 + SCAN + EOI))


@pytest.mark.parametrize(
    "data", [SOI, SOI + EOI, SOI + SOS + b"abc", SOI + SOS + bytes(99), SOI + b"garbage", SOI + SOS]
)
def test_cut_jpegs(data):
    """Without a scan and an end a JPEG is incomplete."""
    with pytest.raises(PermanentError) as caught:
        structure.check_jpeg(reader(data))
    assert caught.value.code == "incomplete"


def test_whole_gif_with_extensions():
    """Extensions before the picture are walked over."""
    frame = b"\x21\xf9\x04\0\0\0\0\0" + PICTURE
    assert structure.check_gif(reader(GIF + frame + b"\x3b"))[2] == 1
    assert structure.check_gif(reader(GIF + frame * 7 + b"\x3b"))[2] == 7


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (GIF + PICTURE, "incomplete"),
        (GIF[:9], "incomplete"),
        (GIF + b"\x99", "incomplete"),
    ],
)
def test_other_gifs(data, code):
    """A missing trailer is incomplete."""
    with pytest.raises(PermanentError) as caught:
        structure.check_gif(reader(data))
    assert caught.value.code == code


def bmp(width=4, height=3, bits=24, compression=0, header=40):
    if header == 12:
        rest = struct.pack("<IHHHH", 12, width, height, 1, bits) + bytes(16)
    else:
        rest = struct.pack("<IiiHHI", header, width, height, 1, bits, compression) + bytes(20)
    return b"BM" + struct.pack("<III", 0, 0, 14 + header) + rest


@pytest.mark.parametrize(
    ("options", "pixels"), [({}, 36), ({"height": -3}, 36), ({"header": 12}, 36), ({"compression": 1}, 0)]
)
def test_bmp_sizes(options, pixels):
    """Both headers, top-down and compressed ones give the size."""
    data = bmp(**options) + bytes(pixels)
    assert structure.check_bmp(reader(data), len(data)) == (4, 3)


@pytest.mark.parametrize("data", [bmp(), bmp(width=0) + bytes(99), bmp()[:20], bmp()[:32]])
def test_bmp_cut(data):
    """Fewer bytes than the header promises, or a senseless header, are incomplete."""
    with pytest.raises(PermanentError) as caught:
        structure.check_bmp(reader(data), len(data))
    assert caught.value.code == "incomplete"


def test_bmp_resolution():
    """Pixels per metre become dots per inch; a header without them, or an older one, says nothing."""
    data = bmp()
    assert structure.bmp_dpi(reader(data[:38] + struct.pack("<ii", 11811, 5906) + data[46:])) == pytest.approx(
        (300, 150), abs=0.02
    )
    assert structure.bmp_dpi(reader(data)) is None
    assert structure.bmp_dpi(reader(bmp(header=12))) is None
    assert structure.bmp_dpi(reader(data[:40])) is None


def codestream(width=9, height=7, channels=3, bits=8, end=EOI):
    size = struct.pack(">IIIIIIIIHB", width, height, 0, 0, width, height, 0, 0, channels, bits - 1)
    return b"\xff\x4f\xff\x51\0\x2f\0\0" + size + b"\x01\x01" + end


def box(kind, body, *, long=False):
    return (struct.pack(">I4sQ", 1, kind, len(body) + 16) if long else struct.pack(">I4s", len(body) + 8, kind)) + body


@pytest.mark.parametrize(
    "data",
    [
        codestream(bits=12),
        box(b"jP  ", b"\r\n\x87\n") + box(b"jp2c", codestream(bits=12)),
        box(b"jP  ", b"\r\n\x87\n") + box(b"jp2c", codestream(bits=12), long=True) + box(b"xml ", b"<a/>"),
        box(b"jP  ", b"\r\n\x87\n") + struct.pack(">I4s", 0, b"jp2c") + codestream(bits=12),
    ],
)
def test_jpeg_2000_headers(data):
    """Bare codestreams and boxes, short, long and open, give size, channels and bits."""
    assert structure.check_jp2(reader(data), len(data)) == (9, 7, 3, 12)


@pytest.mark.parametrize(
    "data",
    [
        codestream(end=b""),
        codestream(width=0),
        box(b"jP  ", b"\r\n\x87\n"),
        box(b"jP  ", b"\r\n\x87\n") + box(b"jp2c", codestream())[:-1],
        struct.pack(">I4s", 3, b"jP  ") + bytes(60),
    ],
)
def test_jpeg_2000_cut(data):
    """No end of codestream, no codestream, or boxes beyond the end are incomplete."""
    with pytest.raises(PermanentError) as caught:
        structure.check_jp2(reader(data), len(data))
    assert caught.value.code == "incomplete"


@given(
    st.binary(max_size=400),
    st.sampled_from(["check_jpeg", "check_png", "check_gif", "check_webp", "check_bmp", "check_jp2"]),
)
def test_any_bytes_end(data, walk):
    """No content makes a walk run for ever or fail with anything but a PermanentError."""
    start = {
        "check_jpeg": SOI,
        "check_png": b"\x89PNG\r\n\x1a\n",
        "check_gif": GIF[:10],
        "check_jp2": b"\0\0\0\x0cjP  ",
        "check_webp": b"RIFF\x10\0\0\0WEBPVP8X\x0a\0\0\0\x02",
    }
    content = start.get(walk, b"") + data
    sized = walk in ("check_webp", "check_bmp", "check_jp2")
    module = webp if walk == "check_webp" else structure
    with contextlib.suppress(PermanentError):
        getattr(module, walk)(reader(content), *([len(content)] if sized else []))


def animation(*frames, canvas=(10, 8)):
    """A WebP whose header says that it is animated, with a chunk of each of ``frames``: (left, top, width, height)."""
    body = b"ANIM\x06\0\0\0" + bytes(6)
    for left, top, width, height in frames:
        place = b"".join(value.to_bytes(3, "little") for value in (left // 2, top // 2, width - 1, height - 1, 50))
        body += b"ANMF" + struct.pack("<I", 16) + place + b"\0"
    sizes = b"".join((edge - 1).to_bytes(3, "little") for edge in canvas)
    body = b"VP8X\x0a\0\0\0\x02\0\0\0" + sizes + body
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def test_frames_of_a_webp_are_counted():
    """Each ANMF chunk is one."""
    data = animation((0, 0, 10, 8), (2, 4, 4, 4), (0, 0, 1, 1))
    assert webp.check_webp(reader(data), len(data)) == webp.WebpForm(10, 8, 3, animated=True)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (animation(), "incomplete"),
        (animation((0, 0, 11, 8)), "incomplete"),
        (animation((4, 4, 4, 5)), "incomplete"),
        (animation((0, 0, 10, 8), (0, 0, 10, 8))[:-9], "incomplete"),
        (animation((0, 0, 10, 8))[:-1] + b"", "incomplete"),
        (animation(*[(0, 0, 1, 1)] * 10_001), "unsupported_content"),
    ],
)
def test_other_animated_webps(data, code):
    """No frame, one outside of the canvas, one that is cut off, and more than anybody shows."""
    with pytest.raises(PermanentError) as caught:
        webp.check_webp(reader(data), len(data))
    assert caught.value.code == code


def test_too_many_frames_of_a_gif():
    """More than anybody shows are refused."""
    data = GIF + PICTURE * 10_001 + b"\x3b"
    with pytest.raises(PermanentError, match="10000 frames"):
        structure.check_gif(reader(data))
