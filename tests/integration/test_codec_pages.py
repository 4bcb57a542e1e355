"""Pictures of several pages or frames: all of them, each by itself, or a clear refusal."""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from srwatchd.codec.carry import Carry, CarryWriter, read_carries
from srwatchd.codec.decode import decode, inspect
from srwatchd.codec.encode import EncodeOptions, encode
from srwatchd.codec.picture import Page, PictureInfo, places
from srwatchd.codec.verify import verify
from srwatchd.codec.vips import pyvips
from srwatchd.errors import PermanentError

sys.path.append(str(Path(__file__).parents[1] / "golden"))
import pictures

SCENE = pictures.scene
MIXED = [SCENE(60, 40, 1), SCENE(61, 45, 3), SCENE(33, 50, 4, depth=16), SCENE(21, 20, 1), SCENE(20, 20, 1, depth=16)]


class Raster:
    """The pages of a picture as files in memory."""

    def __init__(self, info, raster, carry):
        self.info, self.raster, self.carry = info, raster, carry

    @classmethod
    def of(cls, parts, carries=(), name="tiff"):
        forms = [Page(part.shape[1], part.shape[0], part.shape[2], part.itemsize * 8) for part in parts]
        info = PictureInfo(1, 1, 3, 8, name, sealed=False).with_pages(forms)
        content = bytearray(info.raster_bytes)
        for part, begin in zip(parts, places(forms), strict=True):
            content[begin : begin + part.nbytes] = part.tobytes()
        made = cls(info, pictures.memory_file(bytes(content)), pictures.memory_file())
        writer = CarryWriter(made.carry)
        for carry in carries or [Carry()] * len(parts):
            writer.add(carry)
        return made

    @classmethod
    def decoded(cls, content):
        raster, carry = pictures.memory_file(), pictures.memory_file()
        return cls(decode(pictures.memory_file(content), raster, carry, max_pixels=10**9), raster, carry)

    @property
    def parts(self):
        return [
            np.frombuffer(os.pread(self.raster, page.raster_bytes, begin), f"u{page.depth // 8}").reshape(page.shape)
            for page, begin in zip(self.info.pages, places(self.info.pages), strict=True)
        ]

    @property
    def told(self):
        return list(read_carries(self.carry))

    def written(self, name, **options):
        """The content of a result at scale 1, verified."""
        staged, output = pictures.memory_file(), EncodeOptions(name, **options)
        raster = (self.info.width, self.info.height)
        encode(self.raster, self.carry, staged, width=raster[0], height=raster[1], info=self.info, output=output)
        width, height = output.final(0, raster)
        verify(staged, self.raster, self.carry, info=self.info, width=width, height=height, output=output)
        return os.pread(staged, 1 << 30, 0)


def refusal(content):
    with pytest.raises(PermanentError) as caught:
        Raster.decoded(content)
    return caught.value


def frames(count=4, *, channels=4, size=(64, 48)):
    """A disc of its own place in each frame; the second and third are equal."""
    made = []
    for number in range(count):
        part = np.roll(SCENE(*size, channels), 0 if channels == 4 else 9 * number, 1).copy()
        if channels == 4:
            part[:, :, 3] = 0
            part[5:40, 5 + 4 * number : 30 + 4 * number, 3] = 255
        made.append(part)
    if count > 2:
        made[2] = made[1]
    return made


def animated(parts, name, delays=(100, 50, 330, 40), loop=3, **options):
    made = pyvips().Image.new_from_array(np.concatenate(parts)).copy(interpretation="srgb")
    kind = pyvips().GValue
    made.set_type(kind.gint_type, "page-height", parts[0].shape[0])
    made.set_type(kind.array_int_type, "delay", list(delays)[: len(parts)])
    made.set_type(kind.gint_type, "loop", loop)
    return pictures.encoded(made, name, **options)


@pytest.mark.parametrize("options", [{}, {"compression": 0}, {"compression": 9}])
@pytest.mark.parametrize("big", [False, True])
def test_pages_of_all_kinds(monkeypatch, big, options):
    """Pages of different sizes, depths and channels go into one TIFF and come out of it, whatever its compression."""
    monkeypatch.setattr("srwatchd.codec.encode._BIGTIFF_FROM", 100 if big else 1 << 40)
    content = Raster.of(MIXED).written("tiff", **options)
    assert content[2] == (43 if big else 42)
    found = Raster.decoded(content)
    assert found.info.count == len(MIXED)
    assert all(np.array_equal(one, other) for one, other in zip(found.parts, MIXED, strict=True))


def test_other_readers_see_the_same_pages(tmp_path):
    """Libvips by itself finds every page by its number, with the size and the kind that it has."""
    path = tmp_path / "document.tif"
    path.write_bytes(Raster.of(MIXED).written("tiff"))
    for number, part in enumerate(MIXED):
        image = pyvips().Image.new_from_file(str(path), page=number, fail_on="warning")
        assert image.get("n-pages") == len(MIXED)
        assert np.array_equal(image.numpy().reshape(part.shape), part)


def test_each_page_keeps_what_it_tells():
    """Resolution, profile, EXIF and XMP are a page's own."""
    told = pictures.encoded(pictures.with_metadata(pictures.image(SCENE())), "jpeg")
    exif = bytes(pyvips().Image.new_from_buffer(told, "").get("exif-data"))
    p3 = bytes(pyvips().Image.profile_load("p3"))
    carries = [Carry(dpi=(300.0, 300.0)), Carry(dpi=(150.0, 150.0), exif=exif, xmp=pictures.XMP, icc=p3)]
    found = Raster.decoded(Raster.of(MIXED[:2], carries).written("tiff")).told
    assert [round(each.dpi[0]) for each in found] == [300, 150]
    assert [bool(each.exif) for each in found] == [bool(each.icc) for each in found] == [False, True]
    assert b"GPSLongitude" in found[1].xmp
    assert b"Kamera" in found[1].exif


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pages_are_turned_one_by_one(orientation):
    """An orientation holds for its page: the upright pages lie one after another."""
    told = pictures.with_metadata(pictures.image(SCENE(60, 40)), orientation=orientation)
    tall = pyvips().Image.arrayjoin([told, told.invert()], across=1).copy()
    tall.set_type(pyvips().GValue.gint_type, "page-height", 40)
    found = Raster.decoded(pictures.encoded(tall, "tiff"))
    single = Raster.decoded(pictures.encoded(told, "tiff")).parts[0]
    assert found.info.count == 2
    assert np.array_equal(found.parts[0], single)
    assert np.array_equal(found.parts[1], 255 - single)


@pytest.mark.parametrize("options", [{"pyramid": True}, {"pyramid": True, "subifd": True}])
def test_a_pyramid_is_one_page(options):
    """Smaller versions of a picture are none of its pages."""
    content = pictures.encoded(pictures.image(SCENE()), "tiff", tile=True, tile_width=16, tile_height=16, **options)
    found = Raster.decoded(content)
    assert found.info.count == 1
    assert np.array_equal(found.parts[0], SCENE())


def test_a_page_that_cannot_be_read_is_named():
    """The refusal says which page, and of how many."""
    floats = pictures.image(SCENE(60, 40)).cast("float")
    tall = pyvips().Image.arrayjoin([floats, floats], across=1).copy()
    tall.set_type(pyvips().GValue.gint_type, "page-height", 40)
    error = refusal(pictures.encoded(tall, "tiff", predictor="none"))
    assert error.code == "unsupported_content"
    assert error.message.startswith("Page 1 of 2: ")


def test_a_missing_page_is_missed():
    """A document cut anywhere behind its first page is incomplete, never a shorter document."""
    content = pictures.pages("tiff")
    for part in (2, 3, 5, 7, 9):
        assert refusal(content[: len(content) * part // 10]).code == "incomplete"


@pytest.mark.parametrize("target", ["gif", "webp"])
@pytest.mark.parametrize("source", ["gif", "webp"])
@pytest.mark.parametrize("channels", [3, 4])
def test_animations_keep_frames_times_and_transparency(source, target, channels):
    """All frames, the time of each, how often they are shown, and what is transparent."""
    parts = frames(channels=channels)
    options = {"gif": {"keep_duplicate_frames": True, "dither": 0}, "webp": {"lossless": True}}[source]
    found = Raster.decoded(animated(parts, source, **options))
    joined = 1 if source == "webp" else 0
    assert found.info.count == 4 - joined
    again = Raster.decoded(found.written(target, quality=100 if target == "webp" else None))
    delays = (100, 380, 40) if joined or target == "webp" else (100, 50, 330, 40)
    assert (again.told[0].delays, again.told[0].loop) == (delays, 3)
    for one, other in ((again.parts[0], parts[0]), (again.parts[-1], parts[-1])):
        visible = other[:, :, 3] == 255 if channels == 4 else np.ones(other.shape[:2], bool)
        assert np.abs(one[visible][:, :3].astype(int) - other[visible][:, :3]).mean() < 8
        if channels == 4:
            assert np.array_equal(one[:, :, 3] > 127, visible)


@pytest.mark.parametrize("name", ["gif", "webp"])
def test_an_animation_gives_signs_for_every_frame(name):
    """A WebP of hundreds of frames writes its first byte at the end; a watcher would take its encoder for hung."""
    source, written = Raster.of(frames(channels=3), [Carry(delays=(40, 50, 60, 70))], name=name), []
    encode(
        source.raster, source.carry, pictures.memory_file(),
        width=64, height=48, info=source.info, output=EncodeOptions(name, quality=100), on_progress=written.append,
    )  # fmt: skip
    assert len(written) >= source.info.count
    if name == "webp":
        assert written.count(0) >= source.info.count


def test_exif_of_an_animation_tells_the_height_of_a_frame():
    """What is written about the size is that of one frame, not of all together."""
    told = pictures.encoded(pictures.with_metadata(pictures.image(SCENE())), "jpeg")
    exif = bytes(pyvips().Image.new_from_buffer(told, "").get("exif-data"))
    source = Raster.of(frames(channels=3), [Carry(delays=(40, 50, 60, 70), exif=exif)], name="webp")
    image = pyvips().Image.new_from_buffer(source.written("webp"), "", n=-1)
    assert str(image.get("exif-ifd2-PixelYDimension")).startswith("48 ")
    assert str(image.get("exif-ifd0-Make")).startswith("Kamera")


def test_a_sequence_in_an_avif_is_refused():
    """A track beside the still picture makes it an animation, whatever its main brand says."""
    content = pictures.encoded(pictures.image(SCENE()), "heif")
    assert Raster.decoded(content).info.count == 1
    assert "animated AVIF" in refusal(content + b"\0\0\0\x10moov" + bytes(8)).message


def with_index(*kinds, order="<"):
    """A JPEG with an index of pictures of these types, and as many pictures behind it."""
    jpeg = pictures.encoded(pictures.image(SCENE()), "jpeg")
    entries = b"".join(struct.pack(f"{order}IIIHH", kind, len(jpeg), 0, 0, 0) for kind in kinds)
    directory = struct.pack(f"{order}HHHIII", 1, 0xB002, 7, len(entries), 26, 0)
    index = b"MPF\0" + (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8) + directory + entries
    return jpeg[:2] + b"\xff\xe2" + struct.pack(">H", len(index) + 2) + index + jpeg[2:] + jpeg * (len(kinds) - 1)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_phones_picture_with_a_gain_map_is_a_picture(order):
    """What belongs to the picture is left out; a preview or a gain map is no picture of its own."""
    for kinds in ((0x20030000, 0), (0x20030000, 0x010001, 0x010002)):
        assert Raster.decoded(with_index(*kinds, order=order)).info.count == 1


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [0x020001, 0x020002, 0x020003])
def test_several_views_are_refused(kind, order):
    """A 3D picture is not cut to one eye, nor a panorama to its first part."""
    error = refusal(with_index(0x20000000 | kind, kind, order=order))
    assert error.code == "unsupported_content"
    assert "2 views" in error.message


@pytest.mark.parametrize("size", [(50, 37), (100, 75)])
@pytest.mark.parametrize("target", ["gif", "webp"])
def test_frames_are_resampled_one_by_one(target, size):
    """A black frame between white ones stays black up to its edges in another size, too."""
    parts = [np.full((48, 64, 3), value, np.uint8) for value in (255, 0, 255)]
    source = Raster.of(parts, [Carry(delays=(40, 60, 80))], name="gif")
    found = Raster.decoded(source.written(target, size=size))
    assert [(page.width, page.height) for page in found.info.pages] == [size] * 3
    assert [int(part[:, :, :3].min()) for part in found.parts] == [255, 0, 255]
    assert [int(part[:, :, :3].max()) for part in found.parts] == [255, 0, 255]


def test_frames_that_are_all_equal():
    """An encoder may make a still picture of an animation that does not move."""
    parts = [SCENE(64, 48)] * 3
    found = Raster.decoded(Raster.of(parts, [Carry(delays=(40, 60, 80))], name="webp").written("webp", quality=100))
    assert found.info.count == 1
    assert np.array_equal(found.parts[0][:, :, :3], parts[0])


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("tiff", lambda parts: parts[:-1]),
        ("tiff", lambda parts: [parts[1], parts[0], *parts[2:]]),
        ("gif", lambda parts: parts[:-1]),
        ("gif", lambda parts: [*parts[:-1], 255 - parts[-1]]),
        ("webp", lambda parts: [*parts[:-1], 255 - parts[-1]]),
        ("webp", lambda parts: [*parts, parts[0]]),
    ],
)
def test_a_result_of_other_pages_is_refused(name, change):
    """A page too few or too many, exchanged, or showing something else is noticed."""
    parts = [SCENE(64, 48), 255 - SCENE(64, 48), np.roll(SCENE(64, 48), 20, 0), SCENE(64, 48)[::-1].copy()]
    times = [Carry(delays=(40,) * 9, dpi=(72.0, 72.0))] * 9
    source, wrong = Raster.of(parts, times[:4], name), change(parts)
    staged = pictures.memory_file(Raster.of(wrong, times[: len(wrong)], name).written(name))
    with pytest.raises(PermanentError) as caught:
        verify(staged, source.raster, source.carry, info=source.info, width=64, height=48, output=EncodeOptions(name))
    assert caught.value.code == "result_not_plausible"


def test_all_pages_count_for_the_limit():
    """Pixels of all pages or frames together are what `max_input_pixels` bounds, for a look and for decoding."""
    for content in (Raster.of(MIXED).written("tiff"), animated(frames(channels=3), "gif")):
        pixels = Raster.decoded(content).info.pixels
        assert inspect(pictures.memory_file(content), max_pixels=pixels).pixels == pixels
        with pytest.raises(PermanentError, match="in all") as caught:
            inspect(pictures.memory_file(content), max_pixels=pixels - 1)
        assert caught.value.code == "too_many_pixels"


def test_nothing_goes_to_a_temporary_file(monkeypatch):
    """What libvips cannot stream is decoded in memory: a confined worker can write nowhere else."""
    pyvips()
    assert os.environ["VIPS_DISC_THRESHOLD"].endswith("g")
    assert int(os.environ["VIPS_DISC_THRESHOLD"][:-1]) >= 1000
    monkeypatch.setenv("TMPDIR", "/nonexistent")
    pixels = np.full((7000, 5000, 3), 200, np.uint8)
    content = pictures.encoded(pictures.image(pixels), "webp", effort=0)
    assert Raster.decoded(content).info.pixels == 35_000_000
