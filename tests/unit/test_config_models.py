"""The registry of models."""

from __future__ import annotations

import hashlib

import pytest
import yaml

from srwatchd.config import Config, data_path, find_models, load, missing_models, read_manifest, verify_file
from srwatchd.config import models as module
from srwatchd.errors import ModelError

CONTENT = b"a network"
HASH = hashlib.sha256(CONTENT).hexdigest()
ENTRY = {
    "name": "fsrcnn_x2",
    "architecture": "fsrcnn",
    "scale": 2,
    "file": "FSRCNN_x2.pb",
    "sha256": HASH,
    "onnx": "FSRCNN_x2.onnx",
    "onnx_sha256": HASH,
    "input_colour": "y",
    "input_range": [0, 1],
    "mean": [],
    "output_node": "NCHW_output",
    "receptive_radius": 6,
    "parameters": 12000,
    "macs_per_input_pixel": 12000,
    "size": "d56 s12 m4",
    "licence": "Apache-2.0",
    "training_data": ["cid22", "gb82"],
    "scores": {"set5": {"psnr": 36.7}},
    "trained_at_commit": "abc",
}


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A folder for manifests, with nothing shipped."""
    monkeypatch.setattr(module, "data_path", lambda *parts: tmp_path.joinpath("shipped", *parts))

    def put(where, *entries):
        folder = tmp_path / where
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "manifest.yaml").write_text(yaml.safe_dump({"version": 1, "models": list(entries)}))
        for name in ("FSRCNN_x2.pb", "FSRCNN_x2.onnx"):
            (folder / name).write_bytes(CONTENT)
        return folder

    return put


def test_a_manifest_says_everything_about_a_model(shelf):
    """Files lie beside it."""
    folder = shelf("m", ENTRY)
    spec = read_manifest(folder / "manifest.yaml")["fsrcnn_x2"]
    assert (spec.path, spec.onnx) == (folder / "FSRCNN_x2.pb", folder / "FSRCNN_x2.onnx")
    assert (spec.input_range, spec.mean, spec.scale, spec.scores["set5"]["psnr"]) == ((0.0, 1.0), (), 2, 36.7)
    assert spec.training_data == "cid22, gb82"
    assert isinstance(hash(spec), int)


@pytest.mark.parametrize(
    ("colour", "written", "mean"),
    [
        ("y", 0, ()),
        ("y", None, ()),
        ("bgr", None, (0.0, 0.0, 0.0)),
        ("bgr", [103.1, 111.5, 114.3], (103.1, 111.5, 114.3)),
    ],
)
def test_a_mean_fits_the_colours(shelf, colour, written, mean):
    """Networks of luma have none, networks of colour always three values."""
    folder = shelf("m", {**ENTRY, "input_colour": colour, "mean": written, "input_range": 255})
    spec = read_manifest(folder / "manifest.yaml")["fsrcnn_x2"]
    assert (spec.mean, spec.input_range) == (mean, (0.0, 255.0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"file": "../../etc/passwd"}, "plain name"),
        ({"file": ".."}, "plain name"),
        ({"sha256": "zz"}, "sha256"),
        ({"scale": "2"}, "scale"),
        ({"input_colour": "cmyk"}, "input_colour"),
        ({"input_colour": "bgr", "mean": [1, 2]}, "a value each"),
        ({"mean": [3]}, "a value each"),
        ({"name": "a b"}, "name"),
    ],
)
def test_a_manifest_is_understood_whole_or_not_at_all(shelf, changes, message):
    """The problem is told with its line."""
    folder = shelf("m", {**ENTRY, **changes})
    with pytest.raises(ModelError, match=message) as caught:
        read_manifest(folder / "manifest.yaml")
    assert caught.value.code == "model_unusable"
    assert "manifest.yaml:" in str(caught.value)


@pytest.mark.parametrize("text", ["[]", "models: 3", "models: [", "x: 1"])
def test_what_is_no_manifest_is_refused(tmp_path, text):
    """Whatever stands in the file."""
    (tmp_path / "manifest.yaml").write_text(text)
    with pytest.raises(ModelError, match=r"manifest\.yaml:"):
        read_manifest(tmp_path / "manifest.yaml")


def test_a_name_is_there_once(shelf):
    """Two models of one name in one manifest are a mistake."""
    folder = shelf("m", ENTRY, ENTRY)
    with pytest.raises(ModelError, match="there twice"):
        read_manifest(folder / "manifest.yaml")


def test_imported_models_stand_beside_the_shipped_ones_and_win(shelf, tmp_path):
    """An update of the package does not change what an import has put under a name."""
    assert find_models(None) == {}
    shipped = shelf("shipped/models", ENTRY, {**ENTRY, "name": "other"})
    imported = shelf("imported", ENTRY)
    found = find_models(imported)
    assert found["fsrcnn_x2"].path.parent == imported
    assert found["other"].path.parent == shipped
    assert find_models(tmp_path / "nowhere")["fsrcnn_x2"].path.parent == shipped


def test_a_file_is_the_one_that_was_recorded(shelf):
    """Both of a model's files are compared, and what is wrong is told apart."""
    folder = shelf("m", ENTRY)
    spec = read_manifest(folder / "manifest.yaml")["fsrcnn_x2"]
    verify_file(spec)
    (folder / "FSRCNN_x2.onnx").write_bytes(b"another")
    with pytest.raises(ModelError) as altered:
        verify_file(spec)
    (folder / "FSRCNN_x2.pb").unlink()
    with pytest.raises(ModelError) as missing:
        verify_file(spec)
    assert (altered.value.code, missing.value.code) == ("model_altered", "model_missing")
    plain = {key: value for key, value in ENTRY.items() if not key.startswith("onnx")}
    alone = read_manifest(shelf("n", plain) / "manifest.yaml")["fsrcnn_x2"]
    (alone.path.parent / "FSRCNN_x2.onnx").unlink()
    verify_file(alone)


def test_models_that_are_not_there_are_told_where_they_are_named(shelf, tmp_path):
    """One from defaults once, with its line; loading did not mind."""
    path = tmp_path / "c.yaml"
    path.write_text(
        "defaults:\n  model: nope\nfolders:\n"
        "- {id: a, inbox: a, done: ad, error: ae}\n- {id: b, inbox: b, done: bd, error: be}\n"
        "- {id: c, inbox: c, done: cd, error: ce, model: fsrcnn_x2}\n"
    )
    config = load(path)
    assert isinstance(config, Config)
    models = read_manifest(shelf("m", ENTRY) / "manifest.yaml")
    (problem,) = missing_models(config, models)
    assert (problem.line, problem.key) == (2, "defaults.model")
    assert "known are fsrcnn_x2" in problem.message
    assert len(missing_models(config, {})) == 2


def test_shipped_files_are_found_in_a_checkout_and_in_a_package(tmp_path, monkeypatch):
    """The packed place wins where there is one."""
    data = data_path.__globals__
    monkeypatch.setitem(data, "__file__", str(tmp_path / "srwatchd" / "config" / "data.py"))
    assert data_path("models", "x") == tmp_path / "models" / "x"
    (tmp_path / "srwatchd" / "_data").mkdir(parents=True)
    assert data_path("models", "x") == tmp_path / "srwatchd" / "_data" / "models" / "x"
