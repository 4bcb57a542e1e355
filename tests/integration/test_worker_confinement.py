"""srwatchd.worker.confinement in real workers: what one that misbehaves cannot do, and that the others still can."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from confined_ops import ATTEMPTS

from srwatchd.config import data_path
from srwatchd.config.models import find_models
from srwatchd.errors import TransientError
from srwatchd.worker.confinement import Confinement, gaps, summary
from srwatchd.worker.launch import SpawnSettings
from srwatchd.worker.pool import Pool
from srwatchd.worker.process import Worker

HERE = str(Path(__file__).parent)
SETTINGS = SpawnSettings(role="test", tasks="confined_ops:TASKS", python_path=(HERE,))

FILES_TO_READ = [
    "read a secret",
    "read it through /proc",
    "read it through a link",
    "list a folder",
    "open a process's memory",
]
PROOF = [
    name
    for name in ATTEMPTS
    if name
    not in (
        "trace a process",  # only one of the two workers could
        "load a program into the kernel",
        "start a ring",
        "use a keyring",
        "make a namespace",
        "mount",
        "hide flags from the filter",
        "hide flags of a clone",
    )
]
"""Attempts that succeed in a worker that is not confined, so that their failure means something."""


def asked(op, settings, params=None, fds=()):
    """The answer of a fresh worker and what it gave up."""

    async def body():
        worker = await Worker.spawn(settings)
        try:
            return await worker.call(op, params or {}, fds, deadline=60), worker.confinement
        finally:
            await worker.stop()

    return asyncio.run(body())


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Everything that there is to be attacked; a new folder for each call."""
    with contextlib.ExitStack() as stack:
        victim = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
        stack.callback(victim.wait)
        stack.callback(victim.stdin.close)
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        root = tmp_path_factory.mktemp("confined")
        path, abstract = str(root / "s"), uuid.uuid4().hex
        for address in (path, "\0" + abstract):
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(address)
            listener.listen()

        def made():
            folder = tmp_path_factory.mktemp("inbox")
            secret = folder / "secret"
            secret.write_bytes(b"secret")
            (folder / "secret.link").symlink_to(secret)
            for name in "ace":
                (folder / name).write_bytes(b"content")
            (folder / "d").mkdir()
            return {
                "secret": str(secret),
                "folder": str(folder),
                "victim": victim.pid,
                "port": tcp.getsockname()[1],
                "listener": path,
                "abstract": abstract,
            }

        yield made


@pytest.fixture(scope="module")
def confined(place):
    """What came of every attempt in a confined worker, and its measures by name."""
    outcomes, measures = asked("attempt", SETTINGS, place() | {"attempts": list(ATTEMPTS)})
    return outcomes, {each.name: each for each in measures}


@pytest.fixture(scope="module")
def free(place):
    """What comes of them in one that is not."""
    return asked("attempt", replace(SETTINGS, confinement=None), place() | {"attempts": PROOF})[0]


def needs(measures, name):
    if not measures[name].active:
        pytest.skip(f"no {name} here: {measures[name].detail}")


@pytest.mark.parametrize("name", ATTEMPTS)
def test_a_worker_that_misbehaves_is_refused(confined, name):
    """It reads, lists, watches and writes nothing by path, reaches no network, no program and no other process."""
    outcomes, measures = confined
    needs(measures, "landlock" if name in FILES_TO_READ else "seccomp")
    assert outcomes[name] in ("EACCES", "EPERM", "ENOSYS"), outcomes[name]


@pytest.mark.parametrize("name", PROOF)
def test_the_attempts_are_real(free, name):
    """The same attempts of the same user succeed in a worker that is not confined."""
    assert free[name] == "done", "this machine refuses it by itself" if free[name] == "EPERM" else free[name]


def test_what_libraries_do_goes_on(tmp_path):
    """Threads, executable memory, lazily loaded modules, files that were handed over: all as before."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"hello")
    with source.open("rb") as first, target.open("w+b") as second:
        answer, _ = asked("own_business", SETTINGS, fds=[first.fileno(), second.fileno()])
    assert target.read_bytes() == b"HEL"
    assert answer["loaded"] == "colorsys"
    assert answer["umask"] == 0o077
    assert answer["descriptors"] <= 512


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="there are no 32-bit calls to make on this processor")
def test_a_call_of_another_instruction_set_ends_the_worker():
    """The filter cannot be gone round by the numbers of another table."""

    async def body():
        worker = await Worker.spawn(SETTINGS)
        try:
            needs({each.name: each for each in worker.confinement}, "seccomp")
            with pytest.raises(TransientError, match=signal.Signals(signal.SIGSYS).name):
                await worker.call("foreign_instructions", {}, deadline=60)
        finally:
            await worker.stop()

    asyncio.run(body())


def test_only_what_is_named_can_be_read(place):
    """Files that a worker needs are named when it is started; a link among them means its target."""
    attacked = place()
    named = Path(attacked["folder"], "named")
    named.mkdir()
    (named / "model").symlink_to(attacked["secret"])
    settings = replace(SETTINGS, confinement=Confinement(readable=(str(named), "/nowhere")))
    attempts = ["read a secret", "list a folder", "overwrite a file"]
    outcomes, measures = asked("attempt", settings, attacked | {"attempts": attempts})
    needs({each.name: each for each in measures}, "landlock")
    assert outcomes["read a secret"] == "done"
    assert outcomes["list a folder"] == "EACCES"
    assert outcomes["overwrite a file"] == "EACCES"


def test_a_pool_shows_what_its_workers_gave_up():
    """The status says for each worker what holds and what does not."""

    async def body():
        pool = Pool(SETTINGS, count=1)
        await pool.start()
        try:
            return pool.states()[0].confinement
        finally:
            await pool.close(5)

    measures = asyncio.run(body())
    assert {"landlock", "seccomp", "capabilities", "network namespace", "resource limits"} == {m.name for m in measures}
    assert all(each.active or each.detail for each in measures)
    assert set(gaps(measures)) <= {each for each in measures if not each.active}
    assert summary(measures)


# -- the real ops ------------------------------------------------------------------------------------------------------

SOURCES = ["jpeg", "png", "png16", "webp", "tiff", "tiff16", "avif", "gif", "bmp", "jp2"]
TARGETS = ["jpeg", "png", "webp", "tiff", "avif", "gif"]
MACHINE = {"device": "cpu", "precision": "f32", "threads": 2, "memory": 1 << 30}
ROOM = {"memory": 256 << 20, "write_behind": 8 << 20}


@functools.cache
def content(kind):
    """A small picture as a file."""
    sys.path.insert(0, str(Path(HERE).parent / "golden"))
    try:
        import pictures
    finally:
        sys.path.pop(0)
    import cv2

    deep = kind.endswith("16")
    pixels = pictures.scene(48, 36, depth=16 if deep else 8)
    if kind in ("bmp", "jp2"):
        return cv2.imencode(f".{kind}", pixels)[1].tobytes()
    picture = pictures.image(pixels)
    name = kind.removesuffix("16")
    if name in ("jpeg", "png", "tiff", "webp"):
        picture = pictures.with_metadata(picture, orientation=6)
    return pictures.encoded(picture, {"avif": "heif"}.get(name, name))


def descriptor(stack, data=b""):
    """A nameless file, closed with ``stack``."""
    made = os.memfd_create("picture")
    stack.callback(os.close, made)
    os.write(made, data)
    return made


@pytest.fixture(scope="module")
def loop():
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def codec(loop):
    """A confined codec worker."""
    settings = SpawnSettings(role="codec", tasks="srwatchd.pipeline.codec_tasks:TASKS", data_limit=600 << 20, threads=1)
    worker = loop.run(Worker.spawn(settings))
    yield worker
    loop.run(worker.stop())


@pytest.fixture(scope="module")
def inference(loop):
    """A confined inference worker."""
    settings = SpawnSettings(
        role="infer",
        tasks="srwatchd.pipeline.inference_tasks:TASKS",
        data_limit=1500 << 20,
        threads=2,
        confinement=Confinement(readable=(str(data_path("models")),), devices=True),
    )
    worker = loop.run(Worker.spawn(settings))
    yield worker
    loop.run(worker.stop())


def decoded(loop, codec, stack, kind):
    """The facts of a source and its raster and carry."""
    source, raster, carry = descriptor(stack, content(kind)), descriptor(stack), descriptor(stack)
    params = ROOM | {"max_pixels": 10**6, "icc": "keep"}
    return loop.run(codec.call("decode", params, [source, raster, carry], deadline=60)), raster, carry


@pytest.mark.parametrize("kind", SOURCES)
def test_every_format_is_decoded_encoded_and_verified(loop, codec, kind):
    """A confined codec worker reads every format, writes every format from it, and shows a part of it."""
    from srwatchd.codec.encode import EncodeOptions

    with contextlib.ExitStack() as stack:
        info, raster, carry = decoded(loop, codec, stack, kind)
        assert info["depth"] == (16 if kind.endswith("16") else 8)
        for name in TARGETS:
            if info["depth"] == 16 and name not in ("png", "tiff"):
                continue
            staged = descriptor(stack)
            params = ROOM | {"info": info, "width": info["width"], "height": info["height"]}
            params["output"] = EncodeOptions(format=name).to_dict()
            loop.run(codec.call("encode", params, [raster, carry, staged], deadline=60))
            loop.run(codec.call("verify", params, [staged, raster, carry], deadline=60))
            assert os.fstat(staged).st_size > 0
        source, shown = descriptor(stack, content(kind)), descriptor(stack)
        params = ROOM | {"max_pixels": 10**6, "view": {"longest": 20, "region": [2, 2, 30, 30], "quality": 90}}
        made = loop.run(codec.call("render", params, [source, shown], deadline=60))
        assert max(made["width"], made["height"]) == 20
        assert os.fstat(shown).st_size > 0


@pytest.mark.parametrize("engine", ["opencv", "openvino", "onnxruntime"])
@pytest.mark.parametrize("architecture", ["fsrcnn", "edsr"])
def test_every_engine_upscales(loop, codec, inference, architecture, engine):
    """A confined inference worker loads, tests and runs models on every engine, with 8 and 16 bits."""
    if engine == "onnxruntime" and importlib.util.find_spec(engine) is None:
        pytest.skip("onnxruntime is not installed")
    specs = [each for each in find_models(None).values() if each.architecture == architecture]
    if not specs:
        pytest.skip(f"no {architecture} is shipped")
    spec = min(specs, key=lambda each: each.scale)
    named = {"engine": engine, "timed": True}
    chosen = loop.run(inference.call("choose", MACHINE | spec.reference | named, deadline=120))
    assert chosen["engine"] == engine
    for kind in ("png", "png16"):
        with contextlib.ExitStack() as stack:
            info, raster, _ = decoded(loop, codec, stack, kind)
            result = descriptor(stack)
            size = info["width"] * info["height"] * info["channels"] * info["depth"] // 8 * spec.scale**2
            os.ftruncate(result, size)
            params = MACHINE | spec.reference | {"engine": engine, "tile": 32, "info": info, "write_behind": 8 << 20}
            loop.run(inference.call("upscale", params, [raster, result], deadline=120))
            assert any(os.pread(result, 1000, size // 2))
