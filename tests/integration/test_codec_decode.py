from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from srwatchd.codec.carry import read_carry
from srwatchd.codec.decode import decode, inspect
from srwatchd.codec.vips import pyvips
from srwatchd.errors import HostError, PermanentError

sys.path.append(str(Path(__file__).parents[1] / "golden"))
import pictures

LOTS = 250_000_000


def decoded(content, **options):
    source, raster, carry = (pictures.memory_file(part) for part in (content, b"", b""))
    try:
        info = decode(source, raster, carry, **{"max_pixels": LOTS, **options})
        size = os.fstat(raster).st_size
        assert size == info.raster_bytes
        values = np.frombuffer(os.pread(raster, size, 0), np.uint16 if info.depth == 16 else np.uint8)
        return info, values.reshape(info.height, info.width, info.channels), read_carry(carry)
    finally:
        for descriptor in (source, raster, carry):
            os.close(descriptor)


def refusal(content, **options):
    with pytest.raises(PermanentError) as caught:
        decoded(content, **options)
    return caught.value


LOSSLESS = [
    ("png", 1, 8), ("png", 2, 8), ("png", 3, 8), ("png", 4, 8), ("png", 1, 16), ("png", 2, 16), ("png", 3, 16),
    ("png", 4, 16), ("tiff", 1, 8), ("tiff", 2, 8), ("tiff", 3, 8), ("tiff", 4, 8), ("tiff", 1, 16), ("tiff", 3, 16),
    ("tiff", 4, 16), ("webp", 3, 8), ("webp", 4, 8),
]  # fmt: skip


@pytest.mark.parametrize(("name", "channels", "depth"), LOSSLESS)
def test_lossless_formats_arrive_bit_for_bit(name, channels, depth):
    """Every channel count and depth that a format holds reaches the raster unchanged, in RGB order."""
    pixels = pictures.scene(channels=channels, depth=depth)
    if name == "webp" and channels == 4:
        pixels[:, :, 3] |= 1
    info, found, _ = decoded(pictures.encoded(pictures.image(pixels), name))
    assert (info.channels, info.depth, info.format) == (channels, depth, name)
    np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize(
    ("name", "options", "tolerance"),
    [
        ("jpeg", {}, 3),
        ("jpeg", {"interlace": True}, 3),
        ("png", {"interlace": True}, 0),
        ("png", {"palette": True, "Q": 100}, 12),
        ("tiff", {"compression": "none"}, 0),
        ("tiff", {"tile": True, "compression": "deflate"}, 0),
        ("tiff", {"compression": "jpeg", "Q": 95}, 4),
        ("heif", {}, 4),
        ("gif", {}, 12),
    ],
)
def test_variants_of_a_format_look_as_they_should(name, options, tolerance):
    """Progressive, interlaced, palette, tiled and lossy files decode to the picture that was put in."""
    pixels = pictures.scene()
    info, found, _ = decoded(pictures.encoded(pictures.image(pixels), name, **options))
    assert info.channels == 3
    assert np.abs(found.astype(int) - pixels).mean() <= tolerance


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("name", ["png", "tiff"])
def test_few_bits_become_full_range(name, bits):
    """1, 2 and 4 bit grey use the whole range from 0 to 255."""
    ramp = np.repeat(np.linspace(0, 255, 64).round().astype(np.uint8)[None, :, None], 16, 0)
    info, found, _ = decoded(
        pictures.encoded(pictures.image(ramp), name, bitdepth=bits, **({"predictor": "none"} if name == "tiff" else {}))
    )
    assert (info.channels, info.depth) == (1, 8)
    assert (found.min(), found.max()) == (0, 255)
    assert len(np.unique(found)) == 1 << bits


TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: a.swapaxes(0, 1)[::-1],
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["png", "tiff", "jpeg"])
def test_orientation_is_applied_once(name, orientation, monkeypatch):
    """All eight orientations come out upright, also when turned in many small blocks and strips."""
    monkeypatch.setattr("srwatchd.codec.raster._BLOCK_BYTES", 4000)
    monkeypatch.setattr("srwatchd.codec.vips._STRIP_BYTES", 5000)
    pixels = pictures.scene(61, 47)
    content = pictures.encoded(pictures.with_metadata(pictures.image(pixels), orientation=orientation), name)
    info, found, carry = decoded(content)
    expected = TURNS[orientation](pixels)
    assert (info.height, info.width) == expected.shape[:2]
    assert np.abs(found.astype(int) - expected).max() <= (20 if name == "jpeg" else 0)
    assert b'tiff:Orientation="1"' in carry.xmp


@pytest.mark.parametrize("name", ["jpeg", "tiff"])
@pytest.mark.parametrize("profile", [True, False])
def test_cmyk_becomes_srgb(name, profile):
    """CMYK files, with and without their profile, arrive as RGB close to the print, and carry no CMYK profile."""
    pixels = (pictures.scene() // 2 + 64).astype(np.uint8)
    cmyk = pictures.image(pixels).icc_transform("cmyk", input_profile="srgb").copy()
    if not profile:
        cmyk.remove("icc-profile-data")
    info, found, carry = decoded(pictures.encoded(cmyk, name))
    assert (info.channels, info.depth, carry.icc) == (3, 8, b"")
    assert np.abs(found.astype(int) - pixels).mean() < 10


def test_16_bit_cmyk_keeps_its_depth():
    """A 16 bit CMYK TIFF becomes 16 bit sRGB."""
    pixels = pictures.scene(depth=16)
    cmyk = pictures.image(pixels).icc_transform("cmyk", input_profile="srgb", depth=16)
    info, _, _ = decoded(pictures.encoded(cmyk, "tiff"))
    assert (info.channels, info.depth) == (3, 16)


def test_metadata_goes_along():
    """EXIF, XMP, profile and DPI of a JPEG are in the carry file; values stay as they are with icc "keep"."""
    content = pictures.encoded(pictures.with_metadata(pictures.image(pictures.scene())), "jpeg")
    _, _, carry = decoded(content)
    assert b"Kamera" in carry.exif
    assert carry.xmp
    assert carry.icc[36:40] == b"acsp"
    assert carry.dpi == pytest.approx((300, 300), abs=0.1)


def test_resolution_is_read_from_exif_where_the_container_has_none():
    """A WebP has its DPI only in EXIF; it is not taken for libvips' default of 25.4."""
    content = pictures.encoded(pictures.with_metadata(pictures.image(pictures.scene())), "webp")
    assert decoded(content)[2].dpi == pytest.approx((300, 300), abs=0.1)


def test_wide_gamut_is_converted_on_demand():
    """With icc "srgb" Display P3 values change and the profile is gone."""
    content = pictures.encoded(pictures.with_metadata(pictures.image(pictures.scene())), "png")
    kept, converted = decoded(content), decoded(content, icc="srgb")
    assert converted[2].icc == b""
    assert np.abs(kept[1].astype(int) - converted[1]).mean() > 1


@pytest.mark.parametrize("name", ["bmp", "jp2"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_opencv_formats_arrive_in_rgb_order(name, channels):
    """BMP and JPEG 2000 come in through OpenCV with red first."""
    pixels = pictures.scene(channels=channels)
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]
    content = cv2.imencode(f".{name}", np.ascontiguousarray(pixels[:, :, order]))[1].tobytes()
    info, found, _ = decoded(content)
    assert (info.format, info.sealed) == (name, False)
    assert np.abs(found[:, :, :channels].astype(int) - pixels).mean() < 3


def test_16_bit_jpeg_2000_keeps_its_depth():
    """JPEG 2000 of 16 bit arrives as uint16."""
    pixels = pictures.scene(depth=16)
    info, found, _ = decoded(cv2.imencode(".jp2", np.ascontiguousarray(pixels[:, :, ::-1]))[1].tobytes())
    assert info.depth == 16
    assert np.abs(found.astype(int) - pixels).mean() < 3 * 257


def samples():
    made = pictures.image(pictures.scene())
    files = {name: pictures.encoded(made, name) for name in ("jpeg", "png", "webp", "tiff", "heif", "gif")}
    files["progressive"] = pictures.encoded(made, "jpeg", interlace=True)
    files["interlaced"] = pictures.encoded(made, "png", interlace=True)
    files["flat tiff"] = pictures.encoded(made, "tiff", compression="none")
    for name in ("bmp", "jp2"):
        files[name] = cv2.imencode(f".{name}", pictures.scene())[1].tobytes()
    return files


NAMES = ["jpeg", "png", "webp", "tiff", "heif", "gif", "progressive", "interlaced", "flat tiff", "bmp", "jp2"]


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, -12, -1])
@pytest.mark.parametrize("name", NAMES)
def test_a_cut_file_is_incomplete(name, part):
    """A file cut anywhere, even by its last byte, is refused as incomplete, whatever its format."""
    content = samples()[name]
    cut = content[: int(len(content) * part) if part > 0 else part]
    assert refusal(cut).code == "incomplete"


@pytest.mark.parametrize("name", ["jpeg", "png", "gif", "progressive", "interlaced"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_sealed_formats_notice_zeros_in_place_of_the_tail(name, part):
    """A file of full length whose tail has not been written yet is incomplete if its format is called sealed."""
    content = samples()[name]
    have = int(len(content) * part)
    assert refusal(content[:have] + bytes(len(content) - have)).code == "incomplete"


@pytest.mark.parametrize("content", [bytes(100), bytes(70_000)])
def test_nothing_but_zeros_is_incomplete(content):
    """A preallocated file without content is waited for, not refused for good."""
    assert refusal(content).code == "incomplete"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty"),
        (b"hello, this is text", "not_a_picture"),
        (b"%PDF-1.7\n", "unsupported_format"),
        (b"8BPS\x00\x01", "unsupported_format"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "unsupported_format"),
        (b"II*\x00\x10\x00\x00\x00CR\x02\x00", "unsupported_format"),
    ],
)
def test_what_is_no_picture_is_refused_by_name(content, code):
    """Each kind of unusable file has its own code."""
    assert refusal(content).code == code


def test_refusal_of_a_known_format_says_what_to_do():
    """The hint for a RAW file is about RAW, not the general one."""
    assert "RAW converter" in refusal(b"FUJIFILMCCD-RAW 0201").hint


def test_a_collection_of_pictures_is_refused():
    """Several pictures in an AVIF are refused, not silently reduced to their first."""
    error = refusal(pictures.pages("heif"))
    assert error.code == "unsupported_content"
    assert "single files" in error.hint


def test_animated_png_is_refused():
    """The decoder does not know APNG; the chunk walk does."""
    plain = pictures.encoded(pictures.image(pictures.scene()), "png")
    animated = plain[:33] + pictures.png_chunk(b"acTL", b"\0\0\0\2\0\0\0\0") + plain[33:]
    assert refusal(animated).code == "unsupported_content"


def test_floating_point_is_refused():
    """A 32 bit float TIFF is no 8 or 16 bit picture."""
    made = pictures.image(pictures.scene()).cast("float")
    assert refusal(pictures.encoded(made, "tiff", predictor="none")).code == "unsupported_content"


def test_a_bomb_is_refused_from_its_header():
    """Too many pixels are refused before a raster is reserved."""
    assert refusal(pictures.png_bomb()).code == "too_many_pixels"


def test_a_decoder_that_needs_too_much_memory_is_refused_first():
    """A progressive JPEG that would need more than allowed is refused; the baseline one streams and is not."""
    made = pictures.image(pictures.scene(2400, 1800))
    allowed = 24 << 20
    error = refusal(pictures.encoded(made, "jpeg", interlace=True), max_decode_bytes=allowed)
    assert error.code == "too_large_for_memory"
    assert decoded(pictures.encoded(made, "jpeg"), max_decode_bytes=allowed)[0].width == 2400


@pytest.mark.parametrize("size", [(1, 1), (1, 37), (37, 1), (3, 2)])
@pytest.mark.parametrize("name", ["png", "jpeg", "webp", "tiff", "gif", "heif"])
def test_the_smallest_pictures_are_pictures(name, size):
    """1 x 1 and single rows or columns decode in every format."""
    info, _, _ = decoded(pictures.encoded(pictures.image(pictures.scene(*size)), name))
    assert (info.width, info.height) == size


def test_inspect_agrees_with_decode():
    """The header tells the same as decoding does."""
    content = pictures.encoded(pictures.with_metadata(pictures.image(pictures.scene()), orientation=6), "jpeg")
    assert inspect(pictures.memory_file(content)) == decoded(content)[0]


def test_descriptors_stay_open_and_their_offset_does_not_matter():
    """Neither the offset of the source counts, nor is any descriptor closed."""
    source = pictures.memory_file(pictures.encoded(pictures.image(pictures.scene()), "png"))
    os.lseek(source, 100, os.SEEK_SET)
    raster, carry = pictures.memory_file(b"old" * 99999), pictures.memory_file(b"old")
    info = decode(source, raster, carry, max_pixels=LOTS)
    assert os.lseek(source, 0, os.SEEK_CUR) == 100
    assert os.fstat(raster).st_size == info.raster_bytes
    for descriptor in (source, raster, carry):
        os.close(descriptor)


def test_a_full_disk_is_the_hosts_fault(monkeypatch):
    """ENOSPC while the raster is reserved is `disk_full`."""

    def full(*_):
        raise OSError(errno.ENOSPC, "no")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(HostError) as caught:
        decoded(pictures.encoded(pictures.image(pictures.scene()), "png"))
    assert caught.value.code == "disk_full"


@pytest.mark.parametrize("whole", [0, 1 << 20])
def test_a_source_that_cannot_be_read_is_the_hosts_fault(monkeypatch, whole):
    """An I/O error in a source, be it read in pieces or in one go, is not taken for a damaged picture."""
    monkeypatch.setattr("srwatchd.codec.vips._WHOLE_BYTES", whole)
    content = pictures.encoded(pictures.image(pictures.scene(400, 400)), "png")
    reads = iter(range(10_000))
    real = os.pread

    def failing(descriptor, length, offset):
        if length == len(content) or (length == 4096 and next(reads) > 20):
            raise OSError(errno.EIO, "no")
        return real(descriptor, length, offset)

    monkeypatch.setattr(os, "pread", failing)
    source, raster, carry = (pictures.memory_file(part) for part in (content, b"", b""))
    with pytest.raises(HostError) as caught:
        decode(source, raster, carry, max_pixels=LOTS)
    assert caught.value.code == "io_error"


def test_progress_ends_with_all_bytes(monkeypatch):
    """Progress counts the bytes of the raster up to all of them."""
    monkeypatch.setattr("srwatchd.codec.vips._STRIP_BYTES", 5000)
    seen = []
    decoded(pictures.encoded(pictures.image(pictures.scene()), "png"), on_progress=lambda *step: seen.append(step))
    assert seen[-1] == (57600, 57600)
    assert len(seen) > 3


def test_memory_does_not_grow():
    """A long-lived worker decodes again and again in the same memory."""
    content = pictures.encoded(pictures.image(pictures.scene(800, 600)), "png")

    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    for _ in range(5):
        decoded(content)
    before = resident()
    for _ in range(40):
        decoded(content)
    assert resident() - before < 16 << 20


def test_nothing_is_printed(capfd):
    """Warnings of the libraries do not reach stderr."""
    for content in (samples()["jpeg"][:-400], samples()["jp2"][:-40], samples()["tiff"][:-40]):
        refusal(content)
    assert capfd.readouterr() == ("", "")


def test_libvips_is_bounded():
    """One thread and no operation cache."""
    assert pyvips().concurrency_get() == 1


def test_lab_becomes_srgb():
    """A 16 bit CIELAB TIFF arrives as sRGB."""
    pixels = (pictures.scene() // 2 + 64).astype(np.uint8)
    content = pictures.encoded(pictures.image(pixels).colourspace("labs"), "tiff", predictor="none")
    info, found, _ = decoded(content)
    assert (info.channels, info.depth) == (3, 16)
    assert np.abs(found / 257 - pixels).mean() < 4
