"""Every kind of picture through the real daemon on both engines: form, colours, orientation, metadata, pixels."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import numpy as np
import pytest

from srwatchd.config import find_models

sys.path.append(str(Path(__file__).parent))
import cases
import daemon
import pictures

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("unmeasured")]
ENGINES = ("opencv", "openvino")
MODELS = sorted(name for name in ("fsrcnn_x2", "fsrcnn_x3") if name in find_models(None))
SET = {case.name: case for case in cases.cases()}
DOCUMENTS = {document.name: document for document in cases.documents()}
SUFFIXES = {"jpeg": ".jpg", "png": ".png", "tiff": ".tif", "webp": ".webp", "avif": ".avif", "gif": ".gif"}
CONVERTED = ("png-4x8-png.png", "png-4x16-png.png", "png-1x8-png.png", "png-2x8-png.png", "turned-6-jpg.jpg")
WIDE = ("p3-png.png", "adobe-png.png", "p3-16-png.png", "adobe-16-png.png", "turned-6-jpg.jpg")


@functools.cache
def served(engine: str, model: str, root: Path) -> daemon.Served:
    """One run of the daemon for all tests: the set as it is, and a few pictures in every other way."""
    sources = {"same": [*SET.values(), *extra(), *DOCUMENTS.values()]}
    if model == MODELS[-1]:
        sources |= {name: [SET[each] for each in CONVERTED] for name in SUFFIXES}
        sources |= {"srgb": [SET[each] for each in WIDE], "strip": [SET["turned-6-jpg.jpg"]]}
        sources |= {"nogps": [SET["turned-6-jpg.jpg"], SET["turned-6-tif.tif"]]}
        sources["webp"] = [*sources["webp"], SET["grey-gamma-png.png"]]
    run = daemon.served(
        root / f"{engine}-{model}", sources, engine=engine, model=model, scale=find_models(None)[model].scale
    )
    assert run.status == 3, run.log[-3000:]  # the animated PNG is refused
    return run


def extra() -> list[cases.Case]:
    """Pictures whose pixels are looked at more closely."""
    ramp = np.repeat(np.linspace(20000, 28000, 100).round().astype(np.uint16)[None, :, None], 24, 0)
    neutral = np.repeat(cases.scene(1), 3, 2)
    disc = np.full((72, 72, 4), 255, np.uint8)
    rows, columns = np.mgrid[0:72, 0:72]
    disc[:, :, 3] = (np.clip(24.5 - np.hypot(rows - 36, columns - 36), 0, 1) * 255).round()
    disc[disc[:, :, 3] > 0, :3] = (200, 100, 50)
    shapes = {"ramp.png": ramp, "neutral.png": neutral, "disc.png": disc}
    return [
        cases.Case(name, pictures.encoded(pictures.image(each), "png"), each, "png") for name, each in shapes.items()
    ]


@pytest.fixture(scope="session")
def room(tmp_path_factory) -> Path:
    """Where the daemons run."""
    return tmp_path_factory.mktemp("golden")


@pytest.fixture(params=[(engine, model) for model in MODELS for engine in ENGINES], ids="-".join)
def run(request, room) -> daemon.Served:
    return served(*request.param, room)


@pytest.fixture(params=ENGINES)
def full(request, room) -> daemon.Served:
    """The run with the other folders, too."""
    return served(request.param, MODELS[-1], room)


def difference(found, wanted) -> float:
    """The mean difference in levels of 255."""
    return float(np.abs(found - wanted).mean())


@pytest.mark.slow
@pytest.mark.parametrize("name", SET)
def test_each_kind_of_picture_arrives(run, name):
    """Format, size, depth, channels, profile, orientation, and the picture itself, upright and in its place."""
    case, result = SET[name], run.result(name)
    height, width = case.pixels.shape[:2]
    assert result.path.suffix == SUFFIXES[case.target]
    assert (result.image.width, result.image.height) == (width * run.scale, height * run.scale)
    depth = 12 if case.target == "avif" and case.depth == 16 else case.depth
    assert result.pixels.dtype == (np.uint16 if depth > 8 else np.uint8)
    colours = 3 if case.target in ("webp", "avif") and case.channels < 3 else case.channels
    assert result.pixels.shape[2] == colours
    assert result.profile == case.profile
    assert result.orientation == 1
    found = daemon.reduced(result.pixels, run.scale)
    assert difference(found, daemon.reduced(case.pixels, 1)) <= case.tolerance


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, document in DOCUMENTS.items() if document.pages])
def test_each_page_and_frame_arrives(run, name):
    """All of them, each of its own size, depth and picture; an animation with its times and its transparency."""
    document, result = DOCUMENTS[name], run.result(name)
    assert result.path.suffix == SUFFIXES[document.target]
    found = daemon.pages(result.path)
    assert len(found) == len(document.pages)
    for image, wanted in zip(found, document.pages, strict=True):
        height, width, channels = wanted.shape
        assert (image.width, image.height) == (width * run.scale, height * run.scale)
        pixels = image.numpy().reshape(image.height, image.width, image.bands)
        assert pixels.dtype == wanted.dtype
        assert pixels.shape[2] == channels or document.delays
        if pixels.shape[2] > channels:
            assert int(pixels[:, :, -1].min()) == 255
        shown = daemon.reduced(pixels[:, :, : max(channels, 1)], run.scale)
        assert difference(shown, daemon.reduced(wanted, 1)) <= document.tolerance
        if document.dpi:
            assert image.xres * 25.4 == pytest.approx(document.dpi, abs=0.5)
    if document.delays:
        assert (tuple(result.image.get("delay")), result.image.get("loop")) == (document.delays, document.loop)


@pytest.mark.slow
def test_an_animated_png_is_refused(run):
    """It is not cut to its first frame; the error folder says what to do with it."""
    refusal = run.why("moving-png.png")
    assert refusal["code"] == "unsupported_content"
    assert "animated WebP" in refusal["hint"]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, case in SET.items() if case.told])
def test_what_a_picture_tells_survives(run, name):
    """Maker, date, position, XMP and resolution are there, and no second rotation is."""
    fields = told(run.result(name).image)
    assert fields["Make"] == "Kamera"
    assert fields["DateTimeOriginal"] == "2024:01:02 03:04:05"
    assert fields["GPSLatitude"]
    assert fields["Orientation"] in ("", "1")
    assert fields["dpi"] == pytest.approx(300, abs=0.5)
    assert b"GPSLongitude" in fields["xmp"]
    assert b'tiff:Orientation="6"' not in fields["xmp"]


@pytest.mark.slow
def test_metadata_is_stripped_as_told(full):
    """What "strip" leaves is profile and resolution; "gps-stripped" takes the position, in EXIF and in XMP."""
    bare = told(full.result("turned-6-jpg.jpg", "strip").image)
    assert (bare["Make"], bare["GPSLatitude"], bare["xmp"]) == ("", "", b"")
    assert bare["dpi"] == pytest.approx(300, abs=0.5)
    assert full.result("turned-6-jpg.jpg", "strip").profile
    for name in ("turned-6-jpg.jpg", "turned-6-tif.tif"):
        fields = told(full.result(name, "nogps").image)
        assert (fields["Make"], fields["GPSLatitude"]) == ("Kamera", "")
        assert b"GPS" not in fields["xmp"]


@pytest.mark.slow
@pytest.mark.parametrize("name", WIDE)
def test_wide_colours_are_converted_right(full, name):
    """Display P3 and Adobe RGB become the sRGB values that their definitions give, computed here independently."""
    case, result = SET[name], full.result(name, "srgb")
    assert result.profile == b""
    assert result.pixels.dtype == case.pixels.dtype
    wanted = to_srgb(case.pixels, DISPLAY_P3 if "adobe" not in name else cases.ADOBE_RGB, name)
    found = daemon.reduced(result.pixels, full.scale)
    assert difference(found, wanted) <= (4.5 if name.endswith("jpg") else 3.5)
    kept = daemon.reduced(full.result(name).pixels, full.scale)
    assert difference(kept, wanted) > difference(found, wanted) + 1


@pytest.mark.slow
@pytest.mark.parametrize("target", SUFFIXES)
@pytest.mark.parametrize("name", CONVERTED)
def test_every_format_can_be_asked_for(full, name, target):
    """Grey, alpha and 16 bit arrive in each format as that can hold them; on JPEG alpha lies on the background."""
    case, result = SET[name], full.result(name, target)
    assert result.path.suffix == SUFFIXES[target]
    found, wanted = daemon.reduced(result.pixels, full.scale), daemon.reduced(case.pixels, 1)
    if case.channels in (2, 4) and target == "jpeg":
        backdrop = np.array([10, 200, 30] if case.channels == 4 else [0.299 * 10 + 0.587 * 200 + 0.114 * 30])
        wanted = wanted[:, :, :-1] + (1 - wanted[:, :, -1:] / 255) * backdrop
    elif target == "gif":  # it has neither soft alpha nor a profile
        wanted = to_srgb(case.pixels, DISPLAY_P3, name) if case.profile else wanted
        wanted, found = wanted[:, :, :-1] if case.channels in (2, 4) else wanted, found[:, :, :3]
    if wanted.shape[2] < found.shape[2]:
        planes = wanted.shape[2]
        wanted = np.concatenate([np.repeat(wanted[:, :, :1], 3, 2), wanted[:, :, 1:]], 2)
        assert found.shape[2] == (3 if planes == 1 else 4) or target == "gif"
    assert difference(found, wanted) <= (12 if target == "gif" else 7)


@pytest.mark.slow
def test_a_16_bit_ramp_keeps_twelve_bits(run):
    """The noise of one phase of an enlarged ramp is that of a rounding to twelve bits or finer."""
    line = run.result("ramp.png").pixels[12 * run.scale, 25 * run.scale : -25 * run.scale : run.scale, 0].astype(float)
    assert line[-1] - line[0] > 3000
    assert np.diff(line, 2).std() / np.sqrt(6) <= 16 / np.sqrt(12)


@pytest.mark.slow
def test_grey_in_colour_stays_grey(run):
    """A picture of equal red, green and blue gets no tint."""
    pixels = run.result("neutral.png").pixels.astype(int)
    assert np.abs(pixels - pixels[:, :, :1]).max() <= 1


@pytest.mark.slow
def test_transparency_has_no_fringe(run):
    """A disc of one colour on hidden white has that colour up to its edge, and nothing of it outside."""
    pixels = run.result("disc.png").pixels.astype(int)
    visible = pixels[:, :, 3] > 8
    assert np.abs(pixels[visible][:, :3] - (200, 100, 50)).max() <= 12
    assert pixels[0, :, 3].max() == 0
    assert pixels[36 * run.scale, 36 * run.scale, 3] == 255


@pytest.mark.slow
def test_a_grey_profile_survives_where_there_is_no_grey(full):
    """Grey of an unusual gamma as WebP shows what it showed: an RGB profile of the same tone curve goes along."""
    result = full.result("grey-gamma-png.png", "webp")
    assert result.profile[16:20] == b"RGB "
    shown = result.image.icc_transform("srgb", embedded=True).numpy().astype(float)
    grey = SET["grey-gamma-png.png"].pixels.astype(float) / 255
    wanted = np.repeat(encoded_srgb(grey**1.8), 3, 2) * 255
    assert difference(daemon.reduced(shown, full.scale), wanted) <= 3


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", [name for name, case in SET.items() if case.target in ("png", "tiff")])
def test_the_engines_agree(name, model, room):
    """Lossless results of the two engines are within one level of each other on average."""
    one, other = (daemon.reduced(served(engine, model, room).result(name).pixels, 1) for engine in ENGINES)
    assert difference(one, other) <= 1.0


DISPLAY_P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
"""Red, green and blue of Display P3 as XYZ adapted to D50 (SMPTE EG 432-1 primaries, D65, Bradford)."""
SRGB = np.array(((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))).T


def to_srgb(pixels, primaries, name):
    """The sRGB values (levels of 255) of pixels in another space: relative colorimetric, clipped."""
    unit = pixels.astype(float) / np.iinfo(pixels.dtype).max
    linear = unit**cases.ADOBE_GAMMA if "adobe" in name else linear_srgb(unit)
    xyz = linear @ np.array(primaries)
    return encoded_srgb(np.clip(xyz @ np.linalg.inv(SRGB).T, 0, 1)) * 255


def linear_srgb(unit):
    """IEC 61966-2-1."""
    return np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)


def encoded_srgb(linear):
    """Its inverse."""
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055)


def told(image):
    """What the metadata of a result says, by our own reader where libvips has none for the format."""
    from srwatchd.codec.tags import Tiff
    from srwatchd.codec.tiff import exif_of

    exif = bytes(image.get("exif-data")) if image.get_typeof("exif-data") else b""
    if not exif and image.get("vips-loader").startswith("tiff"):
        content = Path(image.filename).read_bytes()
        exif = exif_of(lambda length, offset: content[offset : offset + length], len(content))
    block = exif.removeprefix(b"Exif\0\0")
    fields = {}
    if block:
        tiff = Tiff(lambda length, offset: block[offset : offset + length], len(block))
        for field in tiff.fields(tiff.first, at_most=9999):
            fields[field.tag] = field
            if field.tag in (0x8769, 0x8825):
                below = {0x8769: 0x10000, 0x8825: 0x20000}[field.tag]
                fields |= {below + each.tag: each for each in tiff.fields(field.first(), at_most=9999)}
    text = {key: fields[tag].data.rstrip(b"\0").decode() if tag in fields else "" for key, tag in
            {"Make": 0x010F, "DateTimeOriginal": 0x19003}.items()}  # fmt: skip
    resolution = fields.get(0x011A)
    dpi = np.divide(*np.frombuffer(resolution.data, "<u4")) if resolution is not None else image.xres * 25.4
    return {
        **text,
        "GPSLatitude": "there" if 0x20002 in fields else "",
        "Orientation": str(fields[0x0112].first()) if 0x0112 in fields else "",
        "dpi": float(dpi),
        "xmp": bytes(image.get("xmp-data")) if image.get_typeof("xmp-data") else b"",
    }
