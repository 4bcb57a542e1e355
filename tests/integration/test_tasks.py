"""The operations of the workers, called as the stages call them, in this process: only the processes are missing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import resource
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from daemon_standin import folder
from worker_bench import no_descriptor_left

from srwatchd.codec.vips import pyvips
from srwatchd.config import Engine, find_models, memory_floor
from srwatchd.daemon.crew import Crew, CrewSettings
from srwatchd.engine.select import engines
from srwatchd.errors import ModelError, PermanentError
from srwatchd.pipeline import codec_tasks, inference_tasks
from srwatchd.pipeline.memory import plan_memory
from srwatchd.pipeline.result import plan_result

sys.path.insert(0, str(Path(__file__).parents[1] / "golden"))
import pictures

SPECS = find_models(None)
ENGINES = [engine.name for engine in engines() if engine.available() is None]
MIB = 1 << 20


class Here:
    """A pool of one worker that is this process: what goes through it is JSON, as between processes.

    ``asked`` lists the operations, ``heard`` the progress of each.
    """

    def __init__(self, tasks):
        self._tasks = tasks
        self.asked = []
        self.heard = {}
        self.limits = []

    @contextlib.asynccontextmanager
    async def worker(self):
        yield self

    async def call(self, op, params, fds=(), *, deadline, on_progress=None):  # noqa: ARG002 - the protocol's
        self.asked.append(op)
        messages = self.heard.setdefault(op, [])

        def progress(message):
            messages.append(json.loads(json.dumps(message)))
            if on_progress is not None:
                on_progress(messages[-1])

        before = resource.getrlimit(resource.RLIMIT_DATA)
        try:
            return json.loads(json.dumps(self._tasks[op](json.loads(json.dumps(params)), list(fds), progress)))
        finally:
            self.limits.append(resource.getrlimit(resource.RLIMIT_DATA)[0])
            resource.setrlimit(resource.RLIMIT_DATA, before)


@dataclass
class Bench:
    """The crew of a daemon whose workers are this process."""

    crew: Crew
    codec: Here
    inference: Here
    choices: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def made(cls, scratch, *, engine="auto", memory_limit=1 << 30):
        settings = Engine(name=engine, device="cpu", threads=1)
        crew = Crew(CrewSettings(engine=settings, memory_limit=memory_limit, workers=1, scratch=scratch))
        crew.codec = codec = Here(codec_tasks.TASKS)
        crew.inference = inference = Here(inference_tasks.TASKS)
        return cls(crew, codec, inference)

    async def decoded(self, content, spec, **settings):
        """The picture of a file with ``content``; the folder has ``settings``."""
        if spec.name not in self.choices:
            self.choices[spec.name] = await self.crew.choose(spec)
        stages = self.crew.stages(self.choices)
        with memory_file(content) as source:
            return stages, await stages.decode(source, folder(**settings), spec)

    async def enlarged(self, content, spec, *, tile=None, **output):
        """The whole way; the result file's bytes, its raster, and the source's raster."""
        stages, picture = await self.decoded(content, spec, output=output)
        choice = stages.choice(spec.name)
        with contextlib.closing(picture), memory_file() as staged:
            upscaled = await stages.upscale(
                picture,
                spec,
                engine=choice.engine,
                tile=tile or choice.tile,
                deadline=None,
                on_tile=lambda _done, _total: None,
            )
            with contextlib.closing(upscaled):
                plan = plan_result("a.png", folder(output=output).output, spec, picture.info, folder="a", date="")
                await stages.encode(picture, upscaled, staged, plan=plan)
                await stages.verify(picture, plan, staged)
                return (
                    os.pread(staged, 1 << 26, 0),
                    raster(upscaled.raster, upscaled.width, upscaled.height, picture.info),
                    raster(picture.raster, picture.width, picture.height, picture.info),
                )


@contextlib.contextmanager
def memory_file(content=b""):
    descriptor = pictures.memory_file(content)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def raster(descriptor, width, height, info):
    """A copy of what is in a scratch file."""
    sample = np.dtype(np.uint16 if info["depth"] == 16 else np.uint8)
    size = width * height * info["channels"] * sample.itemsize
    assert os.fstat(descriptor).st_size == size
    return np.frombuffer(os.pread(descriptor, size, 0), sample).reshape(height, width, info["channels"])


def read_back(file):
    made = pyvips().Image.new_from_buffer(file, "").numpy()
    return made if made.ndim == 3 else made[:, :, None]


def reduced(pixels, scale):
    """Every ``scale`` x ``scale`` pixels averaged."""
    height, width, channels = pixels.shape
    return pixels.reshape(height // scale, scale, width // scale, scale, channels).mean((1, 3))


def png(width=30, height=22, channels=3, depth=8):
    return pictures.encoded(pictures.image(pictures.scene(width, height, channels, depth=depth)), "png")


CHOICES: dict[str, Any] = {}
"""What was chosen for OpenCV: the same in every test of this process."""


@pytest.fixture(autouse=True)
def _as_empty_as_a_worker(monkeypatch):
    """What other tests left in this process is not counted as a worker's memory."""
    monkeypatch.setattr(inference_tasks, "room", lambda limit: max(0, limit - 64 * MIB))


@pytest.fixture
def bench(memory_path):
    made = Bench.made(memory_path, engine="opencv")
    made.choices = CHOICES
    return made


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("model", ["fsrcnn_x3", "edsr_x3"])
def test_the_whole_way_of_a_picture(memory_path, model, engine):
    """Decode, upscale, encode, verify: three times the size, the same picture, and the file has the exact raster."""
    spec = SPECS[model]
    made = Bench.made(memory_path, engine=engine)
    file, result, source = asyncio.run(made.enlarged(png(), spec))
    assert result.shape == (22 * 3, 30 * 3, 3)
    assert np.abs(reduced(result.astype(float), 3) - source).mean() < 4
    assert np.array_equal(read_back(file), result)
    assert made.inference.asked == ["choose", "upscale"]
    assert made.codec.asked == ["decode", "encode", "verify"]


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_kind_of_raster(bench, channels, depth):
    """Grey and colour, with and without alpha, in both depths: nothing of it is lost on the way."""
    file, result, source = asyncio.run(
        bench.enlarged(png(channels=channels, depth=depth), SPECS["fsrcnn_x2"], format="png")
    )
    assert result.shape == (44, 60, channels)
    assert result.dtype == source.dtype == (np.uint16 if depth == 16 else np.uint8)
    assert np.array_equal(read_back(file), result)


@pytest.mark.parametrize(
    ("form", "start"),
    [
        ("png", b"\x89PNG"),
        ("jpeg", b"\xff\xd8\xff"),
        ("webp", b"RIFF"),
        ("tiff", b"II*\0"),
        ("avif", b"\0\0\0"),
        ("gif", b"GIF8"),
    ],
)
def test_every_format_of_result(bench, form, start):
    """What the encoder writes is of the format asked for, and passes the comparison with its source."""
    file, result, _ = asyncio.run(bench.enlarged(png(48, 40), SPECS["fsrcnn_x2"], format=form))
    assert file.startswith(start)
    assert read_back(file).shape[:2] == result.shape[:2]


def test_tiles_join_without_a_seam_and_are_counted(memory_path):
    """Small tiles and one large tile make the same raster; after each one its number and the sum are told."""
    content = png(70, 50)
    whole = Bench.made(memory_path, engine="opencv")
    _, expected, _ = asyncio.run(whole.enlarged(content, SPECS["fsrcnn_x3"]))
    tiled = Bench.made(memory_path, engine="opencv")
    _, result, _ = asyncio.run(tiled.enlarged(content, SPECS["fsrcnn_x3"], tile=40))
    assert np.abs(result.astype(int) - expected).max() <= 1
    told = tiled.inference.heard["upscale"]
    assert len(told) > 1
    assert told == [{"done": number + 1, "total": len(told)} for number in range(len(told))]


def test_progress_is_told_while_a_codec_works(bench):
    """The supervisor can tell slow from dead: rows decoded up to all of them, bytes written never fewer."""
    asyncio.run(bench.enlarged(png(200, 150), SPECS["fsrcnn_x2"]))
    rows = [message["done"] for message in bench.codec.heard["decode"]]
    assert rows == sorted(rows)
    assert bench.codec.heard["decode"][-1]["total"] == rows[-1] > 0
    written = [message["bytes"] for message in bench.codec.heard["encode"]]
    assert written
    assert written == sorted(written)


def test_of_a_large_file_the_header_is_looked_at_first(bench):
    """What must be refused is refused before it is decoded; what may pass is then decoded as usual."""
    noise = np.random.default_rng(1).integers(0, 256, (1200, 1300, 3), np.uint8)
    content = pictures.encoded(pictures.image(noise), "png", compression=0)
    assert len(content) > 4 * MIB
    _, picture = asyncio.run(bench.decoded(content, SPECS["fsrcnn_x2"]))
    with contextlib.closing(picture):
        assert bench.codec.asked == ["inspect", "decode"]
        assert np.array_equal(raster(picture.raster, 1300, 1200, picture.info), noise)
    with pytest.raises(PermanentError) as caught:
        asyncio.run(bench.decoded(content, SPECS["fsrcnn_x2"], limits={"max_input_pixels": 1_000_000}))
    assert caught.value.code == "too_many_pixels"
    assert bench.codec.asked == ["inspect", "decode", "inspect"]


def test_a_picture_that_needs_the_memory_of_all(memory_path):
    """What a codec worker's share cannot decode is looked at, and decoded while the networks are put away."""
    limit = memory_floor(1)
    plan = plan_memory(limit, 1)
    edge = math.isqrt((plan.codec + plan.alone) // 2 // 17)
    flat = pictures.image(np.full((edge, edge, 3), (10, 120, 200), np.uint8))
    made = Bench.made(memory_path, engine="opencv", memory_limit=limit)
    made.choices = {"fsrcnn_x2": replace(asyncio.run(made.crew.choose(SPECS["fsrcnn_x2"])), tile=64)}
    content = pictures.encoded(flat, "webp")
    _, picture = asyncio.run(made.decoded(content, SPECS["fsrcnn_x2"], output={"format": "png"}))
    with contextlib.closing(picture):
        assert plan.codec < picture.info["decode_bytes"] <= plan.alone
        assert (raster(picture.raster, edge, edge, picture.info) == (10, 120, 200)).all()
    assert made.codec.asked == ["decode", "inspect", "decode"]
    assert made.inference.asked == ["choose", "rest"]
    with pytest.raises(PermanentError, match="memory_limit leaves") as caught:
        asyncio.run(made.decoded(content, SPECS["fsrcnn_x2"], output={"format": "webp"}))
    assert caught.value.code == "too_large_for_memory"


def _jpeg_in_half():
    content = pictures.encoded(pictures.image(pictures.scene()), "jpeg")
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty"),
        (b"just a note\n" * 50, "not_a_picture"),
        (b"%PDF-1.7\n" + b"x" * 500, "unsupported_format"),
        (png(200, 150)[:-4000], "incomplete"),
        (_jpeg_in_half(), "incomplete"),
        (pictures.png_bomb(), "too_many_pixels"),
    ],
    ids=["empty", "text", "pdf", "png cut", "jpeg cut", "bomb"],
)
def test_what_is_wrong_with_a_source(bench, content, code):
    """The picture's own fault comes out as such, with its code, and the scratch files are given back."""
    with no_descriptor_left(), pytest.raises(PermanentError) as caught:
        asyncio.run(bench.decoded(content, SPECS["fsrcnn_x2"]))
    assert caught.value.code == code


def test_a_result_that_is_not_its_source_is_refused(bench):
    """The last look finds a result of another picture, and one that was cut off."""

    async def looked_at(content):
        stages, picture = await bench.decoded(png(), SPECS["fsrcnn_x2"])
        plan = plan_result("a.png", folder().output, SPECS["fsrcnn_x2"], picture.info, folder="a", date="")
        with contextlib.closing(picture), memory_file(content) as staged:
            await stages.verify(picture, plan, staged)

    right = pictures.encoded(pictures.image(pictures.scene(30, 22).repeat(2, 0).repeat(2, 1)), "png")
    asyncio.run(looked_at(right))
    inverted = pictures.encoded(pictures.image(255 - pictures.scene(60, 44)), "png")
    for content in (inverted, right[: len(right) // 2], png(), b""):
        with pytest.raises(PermanentError) as caught:
            asyncio.run(looked_at(content))
        assert caught.value.code == "result_not_plausible"


def test_every_codec_operation_may_take_so_much_and_no_more(bench):
    """Each sets its own limit before it reads what strangers wrote."""
    asyncio.run(bench.enlarged(png(), SPECS["fsrcnn_x2"]))
    assert len(bench.codec.limits) == 3
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    for limit in bench.codec.limits:
        assert limit != resource.RLIM_INFINITY
        assert hard == resource.RLIM_INFINITY or limit <= hard


def test_a_hard_limit_is_never_exceeded(monkeypatch):
    """An operation lent more than its process may ever have gets what the process may have."""
    asked = []
    monkeypatch.setattr(codec_tasks.resource, "getrlimit", lambda _: (MIB, 5 * MIB))
    monkeypatch.setattr(codec_tasks.resource, "setrlimit", lambda _, limits: asked.append(limits))
    with memory_file(png()) as source:
        codec_tasks.TASKS["inspect"]({"memory": 1 << 40, "max_pixels": 10**6}, [source], lambda _: None)
    assert asked == [(5 * MIB, 5 * MIB)]


def test_networks_that_were_put_away_come_back(bench):
    """After a rest the next picture opens its own network again, and its result is the same."""
    content, spec = png(), SPECS["fsrcnn_x2"]
    _, before, _ = asyncio.run(bench.enlarged(content, spec))
    answer = asyncio.run(bench.inference.call("rest", {}, deadline=1))
    assert answer["private"] > 0
    _, after, _ = asyncio.run(bench.enlarged(content, spec))
    assert np.array_equal(before, after)


def test_one_worker_serves_several_models(bench):
    """Pictures of different folders alternate; a network in memory is used again, one that is not is opened."""
    content = png()
    first = [asyncio.run(bench.enlarged(content, SPECS[model]))[1] for model in ("fsrcnn_x2", "fsrcnn_x3")]
    again = [asyncio.run(bench.enlarged(content, SPECS[model]))[1] for model in ("fsrcnn_x2", "fsrcnn_x3")]
    assert [each.shape[:2] for each in first] == [(44, 60), (66, 90)]
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))


def test_the_choice_of_an_engine_is_explained(memory_path):
    """Auto tells which engine, which others work, why, and how fast; the tile is one that can be used."""
    choice = asyncio.run(Bench.made(memory_path).crew.choose(SPECS["fsrcnn_x2"]))
    assert {choice.engine, *choice.others} == set(ENGINES)
    assert choice.engine in choice.reason
    assert choice.seconds_per_megapixel > 0
    assert choice.tile > 0


def test_a_model_that_is_not_there(bench):
    """The worker names it, and the command ends with the model's exit status."""
    nowhere = replace(SPECS["fsrcnn_x2"], name="no_such_model", path=Path("/nowhere/no_such_model.pb"))
    with pytest.raises(ModelError, match="no_such_model") as caught:
        asyncio.run(bench.crew.choose(nowhere))
    assert caught.value.code == "model_missing"


def test_a_model_that_was_altered_is_not_opened(bench):
    """The worker that runs a network checks its file itself, before the engine reads it."""
    altered = replace(SPECS["fsrcnn_x2"], sha256="0" * 64)
    with pytest.raises(ModelError) as caught:
        asyncio.run(bench.crew.choose(altered))
    assert caught.value.code == "model_altered"
