from __future__ import annotations

import errno
import json
import os
import struct
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from srwatchd.codec.carry import Carry, write_carry
from srwatchd.codec.decode import decode, inspect
from srwatchd.codec.encode import EncodeOptions, encode
from srwatchd.codec.picture import PictureInfo
from srwatchd.codec.vips import pyvips
from srwatchd.errors import HostError, PermanentError

sys.path.append(str(Path(__file__).parents[1] / "golden"))
import pictures


def written(pixels, carry=None, **options):
    """The bytes that encode makes of an array."""
    height, width, channels = pixels.shape
    info = PictureInfo(width, height, channels, pixels.itemsize * 8, "png", sealed=True)
    raster, carry_fd, staged = (pictures.memory_file(part) for part in (pixels.tobytes(), b"", b"old" * 50_000))
    try:
        write_carry(carry_fd, carry or Carry())
        encode(raster, carry_fd, staged, width=width, height=height, info=info, output=EncodeOptions(**options))
        return os.pread(staged, os.fstat(staged).st_size, 0)
    finally:
        for descriptor in (raster, carry_fd, staged):
            os.close(descriptor)


def read_back(content):
    source, raster, carry = (pictures.memory_file(part) for part in (content, b"", b""))
    try:
        info = decode(source, raster, carry, max_pixels=10**8)
        values = np.frombuffer(os.pread(raster, info.raster_bytes, 0), np.uint16 if info.depth == 16 else np.uint8)
        return info, values.reshape(info.height, info.width, info.channels)
    finally:
        for descriptor in (source, raster, carry):
            os.close(descriptor)


def carried(**options):
    """What decode carries along from a JPEG with everything."""
    content = pictures.encoded(pictures.with_metadata(pictures.image(pictures.scene()), **options), "jpeg")
    source, raster, carry = (pictures.memory_file(part) for part in (content, b"", b""))
    decode(source, raster, carry, max_pixels=10**8)
    found = Carry.from_bytes(os.pread(carry, 1 << 20, 0))
    for descriptor in (source, raster, carry):
        os.close(descriptor)
    return found


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize(("name", "compression"), [("png", None), ("png", 9), ("tiff", None), ("tiff", 0), ("tiff", 6)])
def test_lossless_formats_keep_every_value(name, compression, channels, depth):
    """PNG and TIFF hold every channel count and depth unchanged, whatever the compression."""
    pixels = pictures.scene(channels=channels, depth=depth)
    info, found = read_back(written(pixels, format=name, compression=compression))
    assert (info.format, info.channels, info.depth) == (name, channels, depth)
    np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("name", ["jpeg", "webp", "avif", "gif"])
def test_lossy_formats_look_the_same(name, channels, depth):
    """Every lossy format shows the picture; 16 bit are rescaled, never saturated."""
    pixels = pictures.scene(channels=channels, depth=depth)
    if channels == 4:
        pixels[:, :, 3] = 65535 if depth == 16 else 255
    info, found = read_back(written(pixels, format=name))
    scale = 257 if info.depth == 16 else 1
    wanted = pixels[:, :, :3].astype(float) / (257 if depth == 16 else 1)
    assert np.abs(found[:, :, :3] / scale - wanted).mean() < 6


def test_16_bit_are_rounded_to_8():
    """round(v / 257): 38550 is 150, not 255."""
    pixels = np.full((8, 8, 1), 38550, np.uint16)
    assert set(read_back(written(pixels, format="jpeg", quality=100))[1].ravel()) == {150}


@pytest.mark.parametrize(("background", "expected"), [((255, 255, 255), 255), ((0, 0, 0), 0)])
def test_alpha_is_flattened_for_jpeg(background, expected):
    """Where a picture is transparent a JPEG shows the background."""
    pixels = pictures.scene(channels=4)
    pixels[:, :, 3] = 0
    info, found = read_back(written(pixels, format="jpeg", background=background))
    assert info.channels == 3
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_alpha_survives_where_it_can():
    """Lossless WebP keeps alpha; lossy ones keep alpha itself exactly."""
    pixels = pictures.scene(channels=4)
    assert np.abs(read_back(written(pixels, format="webp"))[1][:, :, 3].astype(int) - pixels[:, :, 3]).max() == 0


@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "avif", "tiff"])
def test_metadata_is_kept_and_upright(name):
    """EXIF, XMP, profile and DPI survive; orientation is 1 and the dimensions are the result's."""
    content = written(pictures.scene(320, 240), carried(orientation=6), format=name)
    found = pyvips().Image.new_from_buffer(content, "")
    assert found.get("icc-profile-data")[36:40] == b"acsp"
    assert b'Orientation="1"' in bytes(found.get("xmp-data"))
    assert found.get_typeof("orientation") == 0 or found.get("orientation") == 1
    if name != "tiff":
        assert "Kamera" in found.get("exif-ifd0-Make")
        assert "48" in found.get("exif-ifd3-GPSLatitude")
        assert found.get("exif-ifd2-PixelXDimension").startswith("320 ")
        assert found.get("exif-ifd0-XResolution").startswith("300")
    if name in ("jpeg", "png", "tiff"):
        assert found.xres * 25.4 == pytest.approx(300, abs=0.1)


@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "avif", "tiff", "gif"])
@pytest.mark.parametrize("xmp", [pictures.XMP, b"<d e2:GPSLatitude='48,8N' e2:GPSLongitude='11,34E'/>"])
def test_the_position_can_be_stripped(name, xmp):
    """With "gps-stripped" no byte of a result tells the place, in EXIF or XMP; the maker is still there."""
    content = written(pictures.scene(), replace(carried(), xmp=xmp), format=name, metadata="gps-stripped")
    for trace in (b"48,8", b"11,34", struct.pack("<6I", 48, 1, 8, 1, 0, 1)):
        assert trace not in content
        assert trace in carried().exif + xmp
    if name != "gif":
        assert b"Kamera" in content


@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "avif", "tiff"])
def test_metadata_can_be_stripped(name):
    """With "strip" only the profile is left."""
    content = written(pictures.scene(), carried(), format=name, metadata="strip")
    found = pyvips().Image.new_from_buffer(content, "")
    assert found.get_typeof("xmp-data") == 0
    assert found.get_typeof("exif-ifd0-Make") == 0
    assert found.get_typeof("icc-profile-data") != 0


@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "avif", "tiff"])
def test_position_can_be_stripped(name):
    """With "gps-stripped" no position is left in EXIF or XMP, the rest is."""
    content = written(pictures.scene(), carried(), format=name, metadata="gps-stripped")
    found = pyvips().Image.new_from_buffer(content, "")
    assert b"GPS" not in bytes(found.get("xmp-data"))
    assert not [field for field in found.get_fields() if field.startswith("exif-ifd3-GPS")]
    assert b"48,8N" not in content
    if name != "tiff":
        assert "Kamera" in found.get("exif-ifd0-Make")


def test_no_resolution_becomes_72_dpi():
    """Without a resolution in the source the result does not claim libvips' 25.4 DPI."""
    found = pyvips().Image.new_from_buffer(written(pictures.scene(), format="png"), "")
    assert found.xres * 25.4 == pytest.approx(72, abs=0.1)


def test_broken_exif_is_left_out():
    """An EXIF block that nobody can read does not stop a result."""
    carry = Carry(exif=b"Exif\0\0garbage", xmp=b"<x/>")
    assert read_back(written(pictures.scene(), carry, format="jpeg"))[0].width == 160


def test_a_profile_for_other_colours_is_left_out():
    """A grey picture stored as RGB does not get its grey profile."""
    grey_profile = bytearray(pyvips().Image.profile_load("p3"))
    grey_profile[16:20] = b"GRAY"
    content = written(pictures.scene(channels=1), Carry(icc=bytes(grey_profile)), format="webp")
    assert pyvips().Image.new_from_buffer(content, "").get_typeof("icc-profile-data") == 0


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_result_can_be_resized(channels):
    """`size` gives exactly those pixels; fully transparent parts do not bleed into others."""
    info, found = read_back(written(pictures.scene(channels=channels), format="png", size=(101, 77)))
    assert (info.width, info.height, info.channels) == (101, 77, channels)
    small = np.asarray(pictures.scene(channels=channels), float)
    assert abs(found[:, :, 0].mean() - small[:, :, 0].mean()) < 8


def test_limits_are_refused():
    """A result wider than its format is refused before anything is written."""
    with pytest.raises(PermanentError) as caught:
        written(np.zeros((1, 16384, 3), np.uint8), format="webp")
    assert caught.value.code == "format_limit"


@pytest.mark.parametrize("name", ["png", "jpeg", "tiff", "webp", "avif", "gif"])
def test_a_full_disk_is_the_hosts_fault(name, monkeypatch):
    """ENOSPC while the result is written is `disk_full`, whatever the library makes of it."""

    def full(*_):
        raise OSError(errno.ENOSPC, "no")

    pixels = pictures.scene()
    monkeypatch.setattr("srwatchd.codec.vips.os.pwrite", _only_large(full))
    with pytest.raises(HostError) as caught:
        written(pixels, format=name)
    assert caught.value.code == "disk_full"


def _only_large(failing):
    real = os.pwrite

    def pwrite(descriptor, data, offset):
        small_json = bytes(data[:1]) == b"{"
        return real(descriptor, data, offset) if small_json else failing()

    return pwrite


def test_short_writes_are_continued(monkeypatch):
    """A write that takes only a part goes on with the rest."""
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda descriptor, data, offset: real(descriptor, data[:1000], offset))
    pixels = pictures.scene()
    np.testing.assert_array_equal(read_back(written(pixels, format="tiff"))[1], pixels)


def test_a_lossless_webp_gives_signs_before_its_first_byte():
    """Its encoder writes nothing before the end; a watcher would take it for hung."""
    pixels = pictures.scene()
    info = PictureInfo(160, 120, 3, 8, "webp", sealed=True)
    written = []
    encode(
        pictures.memory_file(pixels.tobytes()), pictures.memory_file(), pictures.memory_file(),
        width=160, height=120, info=info, output=EncodeOptions("webp", quality=100), on_progress=written.append,
    )  # fmt: skip
    assert written[-1] > 0
    assert written.count(0) >= 3, "signs while it computed"


def test_progress_may_stop_an_encoding():
    """An exception of the progress callback comes out as it is."""
    pixels = pictures.scene()
    info = PictureInfo(160, 120, 3, 8, "png", sealed=True)

    def stop(_):
        raise InterruptedError

    with pytest.raises((InterruptedError, HostError)):
        encode(
            pictures.memory_file(pixels.tobytes()), pictures.memory_file(), pictures.memory_file(),
            width=160, height=120, info=info, output=EncodeOptions("png"), on_progress=stop,
        )  # fmt: skip


def test_descriptors_stay_open():
    """Encoding closes nothing and leaves exactly the file."""
    pixels = pictures.scene()
    info = PictureInfo(160, 120, 3, 8, "png", sealed=True)
    raster, carry, staged = (pictures.memory_file(part) for part in (pixels.tobytes(), b"", b"x" * 10**6))
    encode(raster, carry, staged, width=160, height=120, info=info, output=EncodeOptions("jpeg"))
    assert inspect(staged).format == "jpeg"
    for descriptor in (raster, carry, staged):
        os.close(descriptor)


@pytest.mark.parametrize("options", [{}, {"quality": 5, "size": (3, 2), "background": (1, 2, 3), "metadata": "strip"}])
def test_options_survive_json(options):
    """EncodeOptions is plain data."""
    made = EncodeOptions("webp", **options)
    assert EncodeOptions.from_dict(json.loads(json.dumps(made.to_dict()))) == made


def test_an_unknown_format_is_refused():
    """Nothing is written in a format that is only read."""
    with pytest.raises(PermanentError) as caught:
        written(pictures.scene(), format="bmp")
    assert caught.value.code == "cannot_encode"
