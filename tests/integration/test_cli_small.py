"""The small commands: what each prints and with which status it ends, with and without a daemon."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))
from commands import files_below, ledger_lines, png, prepared, running, small_model, srwatchd, wait_for

from srwatchd.cli import main
from srwatchd.daemon.state import StateDirectory


@pytest.fixture
def config(tmp_path):
    return prepared(tmp_path / "hot")


@pytest.fixture
def failed(config):
    """A configuration with two pictures in the error folder."""
    error = config.parent / "hot" / "pictures" / "error"
    (error / "deep").mkdir()
    for name in ("a.png", "deep/b.png"):
        (error / name).write_bytes(png())
        (error / f"{name}.error.json").write_text("{}")
    return config


def inbox(config):
    return [
        name for name in files_below(config.parent / "hot" / "pictures" / "in") if not name.startswith(".srwatchd/")
    ]


def actions(config):
    return [line["event.action"] for line in ledger_lines(config)]


# -- init and check-config -----------------------------------------------------------------------------------------


def test_init_makes_a_configuration_and_its_folders(tmp_path):
    """The file is valid as it is, the folders are there, the inbox is marked; again, it changes nothing."""
    hot = tmp_path / "a b"
    done = srwatchd("init", hot, "--model", small_model())
    assert done.returncode == 0
    assert f"srwatchd run --config {hot}/srwatchd.yaml" in done.stdout
    for name in ("in", "done", "error", "archive"):
        assert (hot / "hot" / "pictures" / name).is_dir()
    identity = (hot / "hot" / "pictures" / "in" / ".srwatchd" / "id").read_bytes()
    text = (hot / "srwatchd.yaml").read_bytes() + b"# mine\n"
    (hot / "srwatchd.yaml").write_bytes(text)
    assert srwatchd("init", hot).returncode == 0
    assert (hot / "srwatchd.yaml").read_bytes() == text
    assert (hot / "hot" / "pictures" / "in" / ".srwatchd" / "id").read_bytes() == identity
    assert srwatchd("check-config", hot / "srwatchd.yaml").returncode == 0


def test_init_beside_a_daemon_is_refused(config):
    """It needs the state's lock."""
    state = StateDirectory.open(config.parent / "var")
    try:
        assert srwatchd("init", config.parent).returncode == 69
    finally:
        state.close()


def test_check_config_says_everything_at_once(tmp_path):
    """Every error with file, line and key, in words and as JSON; nothing is made."""
    path = tmp_path / "srwatchd.yaml"
    path.write_text(
        "memory_limit: 1MiB\n"
        "folders:\n"
        "  - {id: a, inbox: in, done: in, error: err, model: m, colour: red}\n"
        "  - {id: a, inbox: in2, done: out2, error: err2, model: m, order: best}\n"
    )
    done = srwatchd("check-config", path)
    assert done.returncode == 78
    for part in (f"{path}:1: memory_limit:", f"{path}:3: folders[0].colour:", "folders[1].order:", "folders[1].id:"):
        assert part in done.stderr
    found = json.loads(srwatchd("check-config", path, "--json").stdout)
    assert len(found) == len(done.stderr.splitlines())
    assert found[0] == {"file": str(path), "line": 1, "key": "memory_limit", "message": found[0]["message"]}
    assert files_below(tmp_path) == ["srwatchd.yaml"]


def test_check_config_knows_the_models(tmp_path):
    """A model that does not exist is an error where it is written, with the ones that do."""
    path = tmp_path / "srwatchd.yaml"
    path.write_text("folders:\n  - {id: a, inbox: in, done: out, error: err,\n     model: nothing}\n")
    done = srwatchd("check-config", path)
    assert (done.returncode, small_model() in done.stderr) == (78, True)
    assert srwatchd("check-config", tmp_path / "absent.yaml").returncode == 78


@pytest.mark.parametrize("name", ["auto", "opencv"])
def test_a_device_that_is_not_here_is_said_everywhere(tmp_path, name):
    """By check-config with its line, by run and once with 70: which one, what there is, what to do. None is silent."""
    path = tmp_path / "srwatchd.yaml"
    folder = f"{{id: a, inbox: in, done: out, error: err, model: {small_model()}}}"
    path.write_text(f"engine:\n  name: {name}\n  device: npu\nfolders: [{folder}]\n")
    checked = srwatchd("check-config", path)
    assert (checked.returncode, checked.stderr.startswith(f"{path}:3: engine.device: ")) == (78, True)
    began = srwatchd("once", "--config", path)
    assert began.returncode == 70
    for said in (checked.stderr, began.stderr):
        assert "compute on 'npu' here (" in said
        assert "there is: cpu" in said
        assert "docs/engines.md" in said


@pytest.mark.parametrize("name", ["run", "once", "doctor", "status", "pause", "retry"])
def test_a_bad_configuration_is_78_everywhere(tmp_path, name):
    """Whatever the command, the same problems and the same status."""
    path = tmp_path / "srwatchd.yaml"
    path.write_text("folders: []\n")
    words = ["--all"] if name == "retry" else []
    done = srwatchd(name, "--config", path, *words)
    assert (done.returncode, f"{path}:1: folders:" in done.stderr) == (78, True)


# -- models --------------------------------------------------------------------------------------------------------


def test_models_lists_and_verifies():
    """Names and hashes for scripts, a table for people; all shipped files are as recorded."""
    listed = json.loads(srwatchd("models", "list", "--json").stdout)
    assert small_model() in [each["name"] for each in listed]
    assert all(Path(each["file"]).is_file() and len(each["sha256"]) == 64 for each in listed)
    assert "Kodak" in srwatchd("models", "list").stdout
    done = srwatchd("models", "verify", "--json")
    assert (done.returncode, {each["ok"] for each in json.loads(done.stdout)}) == (0, {True})


def test_an_altered_or_missing_model_is_4(config):
    """An imported model whose file changed is named, the others are still looked at."""
    models = config.parent / "var" / "models"
    models.mkdir()
    entry = {
        "name": "mine",
        "architecture": "fsrcnn",
        "scale": 2,
        "file": "mine.pb",
        "sha256": "0" * 64,
        "input_colour": "y",
        "input_range": 1,
        "output_node": "out",
        "receptive_radius": 7,
        "parameters": 1,
        "macs_per_input_pixel": 1,
    }
    (models / "manifest.yaml").write_text(json.dumps({"version": 1, "models": [entry]}))
    done = srwatchd("models", "verify", "--config", config)
    assert (done.returncode, "mine: " in done.stdout) == (4, True)
    (models / "mine.pb").write_bytes(b"another")
    done = srwatchd("models", "verify", "--config", config, "--json")
    wrong = [each["name"] for each in json.loads(done.stdout) if not each["ok"]]
    assert (done.returncode, wrong) == (4, ["mine"])


# -- status, pause, resume, retry ----------------------------------------------------------------------------------


def test_status_without_a_daemon_is_5(config):
    """And says how to start it."""
    done = srwatchd("status", "--config", config)
    assert (done.returncode, "srwatchd run" in done.stderr) == (5, True)
    done = srwatchd("status", "--config", config, "--json")
    assert (done.returncode, json.loads(done.stdout)["running"]) == (5, False)


def test_steering_without_a_daemon_is_done_under_its_lock(failed):
    """Pause and resume are remembered and recorded, retry moves; an unknown folder or name is said."""
    assert srwatchd("pause", "--config", failed).returncode == 0
    assert json.loads((failed.parent / "var" / "paused.json").read_text()) == ["pictures"]
    done = srwatchd("resume", "--config", failed, "--folder", "pictures", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"resumed": ["pictures"]})
    assert json.loads((failed.parent / "var" / "paused.json").read_text()) == []
    done = srwatchd("pause", "--config", failed, "--folder", "nothing")
    assert (done.returncode, "nothing" in done.stderr) == (2, True)
    done = srwatchd("retry", "--config", failed, "a.png", "absent.png")
    assert (done.returncode, "a.png" in done.stdout, "absent.png" in done.stderr) == (1, True, True)
    done = srwatchd("retry", "--config", failed, "--all", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"moved": ["deep/b.png"], "missing": []})
    assert inbox(failed) == ["a.png", "deep/b.png"]
    assert files_below(failed.parent / "hot" / "pictures" / "error") == []
    steered = [action for action in actions(failed) if action.startswith("control.")]
    assert steered == ["control.paused", "control.resumed", *["control.retrying", "control.retried"] * 2]
    assert srwatchd("retry", "--config", failed).returncode == 2
    assert srwatchd("audit", "verify", "--config", failed).returncode == 0


def test_steering_while_another_command_holds_the_lock_is_69(config):
    """Nothing is changed then."""
    state = StateDirectory.open(config.parent / "var")
    try:
        assert srwatchd("pause", "--config", config).returncode == 69
    finally:
        state.close()
    assert not (config.parent / "var" / "paused.json").exists()


def test_a_running_daemon_is_steered_over_its_socket(failed):
    """A paused folder takes nothing, a resumed one delivers what retry gave back; the daemon records it all."""
    with running(failed):
        assert srwatchd("pause", "--config", failed).returncode == 0
        assert srwatchd("pause", "--config", failed, "--folder", "nothing").returncode == 2
        done = srwatchd("retry", "--config", failed, "--all")
        assert (done.returncode, inbox(failed)) == (0, ["a.png", "deep/b.png"])
        report = json.loads(srwatchd("status", "--config", failed, "--json").stdout)
        assert (report["folders"][0]["id"], report["folders"][0]["paused"]) == ("pictures", True)
        assert "paused" in srwatchd("status", "--config", failed).stdout
        assert srwatchd("resume", "--config", failed).returncode == 0
        wait_for(lambda: len(files_below(failed.parent / "hot" / "pictures" / "archive")) == 2)
        assert srwatchd("status", "--config", failed).returncode == 0
        assert srwatchd("once", "--config", failed).returncode == 69
    assert inbox(failed) == []
    assert [action for action in actions(failed) if action.startswith("control.")] == [
        "control.paused",
        *["control.retrying", "control.retried"] * 2,
        "control.resumed",
    ]


def test_a_held_folder_needs_a_person(config):
    """Status is 7 while a share is gone, with the reason and what to do."""
    done = config.parent / "hot" / "pictures" / "done"
    with running(config):
        done.rename(done.with_name("gone"))
        wait_for(lambda: srwatchd("status", "--config", config).returncode == 7)
        text = srwatchd("status", "--config", config).stdout
        assert "is held" in text
        assert "what to do:" in text
        done.with_name("gone").rename(done)
        wait_for(lambda: srwatchd("status", "--config", config).returncode == 0)


# -- once ----------------------------------------------------------------------------------------------------------


def test_once_tells_by_its_status_how_it_went(config):
    """0 all delivered, 3 some quarantined."""
    place = config.parent / "hot" / "pictures"
    (place / "in" / "a.png").write_bytes(png())
    assert srwatchd("once", "--config", config).returncode == 0
    (place / "in" / "b.png").write_bytes(png()[:-30])
    assert srwatchd("once", "--config", config).returncode == 3
    assert files_below(place / "error") == ["b.png", "b.png.error.json"]


# -- audit ---------------------------------------------------------------------------------------------------------


def test_the_ledger_is_read_by_tail_and_export(config):
    """The last lines as JSON; the whole as the ledger's own bytes or as a table, within a time."""
    for _ in range(3):
        srwatchd("pause", "--config", config)
        srwatchd("resume", "--config", config)
    path = config.parent / "var" / "audit" / "audit.jsonl"
    tail = srwatchd("audit", "tail", "--config", config, "-n", "2").stdout.splitlines()
    assert [json.loads(line) for line in tail] == ledger_lines(config)[-2:]
    assert srwatchd("audit", "export", "--config", config).stdout == path.read_text()
    table = list(csv.DictReader(io.StringIO(srwatchd("audit", "export", "--config", config, "--format", "csv").stdout)))
    assert [row["event.action"] for row in table] == actions(config)
    assert srwatchd("audit", "export", "--config", config, "--since", "2200-01-01").stdout == ""
    assert srwatchd("audit", "export", "--config", config, "--until", "2200-01-01").stdout == path.read_text()


def test_verify_and_checkpoints_find_what_was_done_to_the_ledger(config, tmp_path):
    """A changed line is 4 and says where; a cut tail needs the checkpoint that was put elsewhere."""
    empty = srwatchd("audit", "checkpoint", "--config", config)
    assert (empty.returncode, bool(empty.stderr)) == (1, True)
    for _ in range(2):
        srwatchd("pause", "--config", config)
        srwatchd("resume", "--config", config)
    whole = srwatchd("audit", "verify", "--config", config, "--json")
    assert (whole.returncode, json.loads(whole.stdout)["ok"]) == (0, True)
    done = srwatchd("audit", "checkpoint", "--config", config, "--to", tmp_path)
    [kept] = tmp_path.glob("srwatchd-checkpoint-*.json")
    assert json.loads(kept.read_text()) == json.loads(done.stdout)
    assert srwatchd("audit", "verify", "--config", config, "--against", kept).returncode == 0
    path = config.parent / "var" / "audit" / "audit.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    assert srwatchd("audit", "verify", "--config", config).returncode == 0
    cut = srwatchd("audit", "verify", "--config", config, "--against", kept)
    assert (cut.returncode, "cut" in cut.stdout) == (4, True)
    path.write_bytes(b"".join(lines).replace(b"control.paused", b"control.resumed", 1))
    broken = srwatchd("audit", "verify", "--config", config, "--json")
    assert broken.returncode == 4
    assert json.loads(broken.stdout)["first_problem"]["line"] == 2


# -- all -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    ["", "run", "once", "demo", "upscale", "init", "check-config", "doctor", "models list", "models verify", "status",
     "pause", "resume", "retry", "audit verify", "audit tail", "audit export", "audit checkpoint"],
)  # fmt: skip
def test_every_command_explains_itself_with_an_example(words, monkeypatch, capsys):
    """--help ends with 0 and shows how the command is used."""
    monkeypatch.setattr(sys, "argv", ["srwatchd", *words.split(), "--help"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, "Example: " in capsys.readouterr().out) == (0, True)
