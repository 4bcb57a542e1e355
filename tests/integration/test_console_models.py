"""Models in a real console: the list, their verification, and a new one that comes in through it."""

from __future__ import annotations

import hashlib
import json

import networks
import pytest
from commands import files_below, wait_for
from console_bench import Console
from networks import Shape

from srwatchd.config import find_models

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def console(tmp_path_factory):
    """A console without a daemon, whose one folder wants a model that is not there yet."""
    root = tmp_path_factory.mktemp("models")
    config = root / "srwatchd.yaml"
    folder = {"id": "a", "inbox": "in", "done": "done", "error": "error", "model": "net"}
    config.write_text(json.dumps({"version": 1, "state_dir": "var", "folders": [folder]}))
    with Console(config) as running:
        yield running


def begun(console, content, **query):
    answer = console.client.post("/api/v1/models", params=query, content=content)
    assert answer.status_code == 202, answer.text
    return answer.json()["import"]


def ended(console, number):
    def over():
        found = console.get(f"/models/imports/{number}")
        return found if found["state"] != "running" else None

    return wait_for(over, 120)


def test_the_models_that_come_with_srwatchd(console):
    """Each with its scores, size and licence; one by itself with the page about its family."""
    listed = {each["name"]: each for each in console.get("/models")["models"]}
    specs = find_models(None)
    assert specs.keys() <= listed.keys()
    name = "fsrcnn_x2"
    found, spec = listed[name], specs[name]
    assert (found["scale"], found["architecture"], found["parameters"]) == (2, "fsrcnn", spec.parameters)
    assert (found["licence"], found["origin"], found["folders"]) == ("CC-BY-SA-4.0", "shipped", [])
    assert found["scores"]["Kodak"]["psnr"] == spec.scores["Kodak"]["psnr"]
    detail = console.get(f"/models/{name}")
    assert {**found, "card": detail["card"]} == detail
    assert detail["card"].startswith("#")
    assert console.client.get("/api/v1/models/nobody").json()["error"]["code"] == "model_missing"
    assert console.client.post(f"/api/v1/models/{name}/verify").json() == {"name": name, "ok": True, "message": ""}
    assert console.client.post("/api/v1/models/nobody/verify").status_code == 404


@pytest.mark.slow
def test_a_model_comes_in_and_is_altered(console):
    """Uploaded, tried, kept as by the command, step by step; a second one waits its turn; a changed file is noticed."""
    data = networks.onnx(Shape(scale=3))
    digest = hashlib.sha256(data).hexdigest()
    number = begun(console, data, filename="some <b>net</b>.onnx", name="net", sha256=digest)
    busy = console.client.post("/api/v1/models", content=data)
    assert (busy.status_code, busy.json()["error"]["code"]) == (409, "model_refused")
    over = ended(console, number)
    assert (over["state"], over["model"], over["file"]) == ("imported", "net", "some <b>net</b>.onnx")
    assert any("works" in each["text"] for each in over["steps"])
    state = console.config.parent / "var"
    assert files_below(state / "console" / "imports") == []
    detail = console.get("/models/net")
    assert (detail["origin"], detail["folders"], detail["card"]) == ("imported", ["a"], None)
    with (state / "models" / "net.onnx").open("ab") as file:
        file.write(b"x")
    told = console.client.post("/api/v1/models/net/verify").json()
    assert (told["ok"], "sha256" in told["message"]) == (False, True)
    again = ended(console, begun(console, data, filename="net.onnx"))
    assert (again["state"], again["error"]["code"]) == ("refused", "model_refused")
    assert "there is a model 'net' already" in again["error"]["message"]


def test_what_is_no_model_is_refused(console):
    """Nothing has changed then; what is asked wrongly is said at once."""
    before = console.get("/models")
    over = ended(console, begun(console, b"no model at all", filename="../../x.onnx", name="evil"))
    assert (over["state"], over["error"]["code"]) == ("refused", "model_refused")
    assert over["error"]["hint"]
    wrong = ended(console, begun(console, b"x", filename="x.pb", sha256="0" * 64))
    assert "sha256" in wrong["error"]["message"]
    for query in ({"scale": "9999"}, {"sha256": "zz"}, {"name": ""}, {"surprise": "1"}):
        assert console.client.post("/api/v1/models", params=query, content=b"x").status_code == 422
    assert console.client.get("/api/v1/models/imports/0123456789abcdef").status_code == 404
    assert console.get("/models") == before
