"""models import, export, remove: the command, with workers, as a user types it."""

from __future__ import annotations

import hashlib
import json
import tarfile

import networks
import pytest
from commands import ROOT, files_below, png, size_of, srwatchd
from networks import Shape

from srwatchd.config import find_models

UPSTREAM = ROOT.parent / "shared" / "models" / "upstream"


def box(folder, model):
    """A configuration in ``folder`` whose one hot folder wants ``model``."""
    folder.mkdir(exist_ok=True)
    config = folder / "srwatchd.yaml"
    places = {"id": "a", "inbox": "in", "done": "done", "error": "error", "model": model}
    config.write_text(json.dumps({"version": 1, "state_dir": "var", "folders": [places]}))
    return config


def shot(folder):
    """Every file below ``folder`` with its content."""
    return {name: (folder / name).read_bytes() for name in files_below(folder)}


@pytest.fixture
def net(tmp_path):
    """A network that works, as a file of that suffix."""

    def made(name, data):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return made


@pytest.mark.timeout(300)
def test_a_network_without_a_word_from_box_to_box(tmp_path, net):
    """Imported, shown, used, exported, imported elsewhere, used there, and removed: the same picture all along."""
    config = box(tmp_path / "one", "net")
    file = net("net.onnx", networks.onnx(Shape(scale=3, limits=(3.0, 255.0))))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    done = srwatchd("models", "import", file, "--config", config, "--sha256", digest.upper(), "--json")
    assert done.returncode == 0, done.stderr
    (told,) = json.loads(done.stdout)
    assert (told["scale"], told["input_colour"], told["input_range"], told["receptive_radius"]) == (
        3,
        "rgb",
        [0.0, 255.0],
        2,
    )
    assert told["folders"] == ["a"]
    assert told["source_sha256"] == digest
    assert {fact["fact"] for fact in told["facts"]} >= {"scale", "input_colour", "input_range", "receptive_radius"}
    assert all("works" in each for each in told["tried"].values())
    listed = json.loads(srwatchd("models", "list", "--config", config, "--json").stdout)
    assert next(each for each in listed if each["name"] == "net")["origin"] == "imported"
    (tmp_path / "picture.png").write_bytes(png())
    enlarged = use(tmp_path, config, "first")
    bundles = [tmp_path / "a.tar", tmp_path / "b.tar"]
    for bundle in bundles:
        assert srwatchd("models", "export", "--config", config, "--output", bundle).returncode == 0
    assert bundles[0].read_bytes() == bundles[1].read_bytes()
    other = box(tmp_path / "two", "net")
    carried = srwatchd("models", "import", bundles[0], "--config", other)
    assert carried.returncode == 0, carried.stderr
    assert "imported net" in carried.stdout
    assert srwatchd("models", "verify", "--config", other).returncode == 0
    assert use(tmp_path, other, "second") == enlarged
    again = srwatchd("models", "import", bundles[0], "--config", other)
    assert (again.returncode, again.stdout) == (0, "every model of the bundle is there already\n")
    refused = srwatchd("models", "remove", "net", "--config", config)
    assert refused.returncode == 4
    assert "the folder a" in refused.stderr
    box(tmp_path / "one", next(iter(find_models(None))))
    assert srwatchd("models", "remove", "net", "--config", config).returncode == 0
    assert files_below(tmp_path / "one" / "var" / "models") == ["manifest.yaml"]


def use(tmp_path, config, place):
    """The picture by the model ``net``, on any engine."""
    words = ("--model", "net", "--output", tmp_path / place, "--config", config)
    done = srwatchd("upscale", tmp_path / "picture.png", *words)
    assert done.returncode == 0, done.stderr
    result = tmp_path / place / "picture_x3.png"
    assert size_of(result) == (72, 48)
    return result.read_bytes()


def test_8_bit_weights_of_the_public_edsr_s_layout(tmp_path, net):
    """Declared, rewritten as f32, running on both engines, and so recorded."""
    config = box(tmp_path / "one", "q_x3")
    file = net("q.pb", networks.quantised())
    words = ("--name", "q_x3", "--architecture", "edsr", "--scale", "3", "--radius", "8")
    done = srwatchd("models", "import", file, "--config", config, *words)
    assert done.returncode == 0, done.stderr
    assert "8-bit weights written as f32" in done.stdout
    assert "openvino: works" in done.stdout
    assert "opencv: works" in done.stdout
    spec = find_models(tmp_path / "one" / "var" / "models")["q_x3"]
    assert spec.source_sha256 == hashlib.sha256(file.read_bytes()).hexdigest() != spec.sha256
    assert (spec.architecture, spec.scale, spec.input_colour, spec.receptive_radius) == ("edsr", 3, "bgr", 8)


@pytest.mark.skipif(not UPSTREAM.is_dir(), reason="../shared/models/upstream is not here")
def test_a_public_file_is_recognised(tmp_path):
    """Nothing has to be declared; beside ours of that name it gets a name of its own."""
    config = box(tmp_path / "one", "fsrcnn_x2")
    done = srwatchd("models", "import", UPSTREAM / "FSRCNN_x2.pb", "--config", config, "--json")
    assert done.returncode == 0, done.stderr
    (told,) = json.loads(done.stdout)
    wanted = ("fsrcnn_x2_public" if "fsrcnn_x2" in find_models(None) else "fsrcnn_x2", "fsrcnn", 2, 6, "Apache-2.0")
    keys = ("name", "architecture", "scale", "receptive_radius", "licence")
    assert tuple(told[key] for key in keys) == wanted
    assert "Saafke" in told["source"]
    false = srwatchd("models", "import", UPSTREAM / "FSRCNN_x2.pb", "--config", config, "--scale", "3", "--name", "x")
    assert false.returncode == 4
    assert "is the public FSRCNN_x2.pb" in false.stderr


ONNX = networks.onnx()
REFUSED = {
    "empty": (b"", (), "the file is empty"),
    "text": (b"no model at all\n", (), "no usable model"),
    "truncated": (ONNX[: len(ONNX) // 2], (), "cut short"),
    "altered": (ONNX, ("--sha256", "0" * 64), "has the sha256"),
    "two inputs": (networks.onnx(Shape(inputs=2)), (), "2 inputs and 1 outputs"),
    "undeclared": (networks.frozen(), (), "Say what it is: --architecture"),
    "declared falsely": (
        networks.frozen(),
        ("--architecture", "espcn", "--scale", "3", "--radius", "2"),
        "runs right on",
    ),
    "no super-resolution": (networks.onnx(Shape(scale=1)), (), "no network that takes a picture"),
    "name": (ONNX, ("--name", "../x"), "is no name for a model"),
    "shipped": (ONNX, ("--name", next(iter(find_models(None)))), "comes with srwatchd"),
    "tar": (networks.onnx(), (), ""),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_refused_and_changes_nothing(tmp_path, net, case):
    """Exit status 4, the reason, what to do, and everything as it was."""
    data, words, why = REFUSED[case]
    config = box(tmp_path / "one", "net")
    file = net("file", data)
    if case == "tar":
        with tarfile.open(file, "w") as archive:
            archive.add(config, "srwatchd.yaml")
        why = "the bundle is refused"
    (tmp_path / "one" / "var").mkdir()
    before = shot(tmp_path)
    name = () if case == "tar" else ("--name", "net")
    done = srwatchd("models", "import", file, "--config", config, *name, *words)
    assert done.returncode == 4, done.stderr
    assert why in done.stderr
    assert "what to do: " in done.stderr
    assert "Traceback" not in done.stderr
    assert shot(tmp_path) == before


def test_wrong_words(tmp_path, net):
    """2 for what cannot be meant, 4 for models that are not there or not to be removed."""
    config, file = box(tmp_path / "one", "net"), net("net.onnx", ONNX)
    for words in (("--range", "5"), ("--range", "255..0"), ("--mean", "1,2"), ("--colour", "cmyk"), ("--scale", "1")):
        assert srwatchd("models", "import", file, "--config", config, *words).returncode == 2
    shipped = next(iter(find_models(None)))
    target = tmp_path / "out.tar"
    for words, why in (
        (("remove", "nothing", "--config", config), "there is no model"),
        (("remove", shipped, "--config", config), "comes with srwatchd"),
        (("export", "nothing", "--output", target), "there is no model"),
        (("export", "--config", config, "--output", target), "no model was imported"),
        (("export", shipped, "--output", file), "exists"),
        (("import", tmp_path / "nowhere", "--config", config), "cannot be read"),
        (("import", tmp_path, "--config", config), "no plain file"),
    ):
        done = srwatchd("models", *words)
        assert done.returncode == 4, done.stderr
        assert why in done.stderr
    assert not target.exists()
