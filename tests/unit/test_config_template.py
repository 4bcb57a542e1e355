"""The commented configuration, the example and the JSON Schema that ship."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from srwatchd.config import init_text, load
from srwatchd.config.__main__ import main
from srwatchd.config.jsonschema import schema_text
from srwatchd.config.schema import Config
from srwatchd.config.section import Section
from srwatchd.daemon.retention import has_rules
from srwatchd.errors import ConfigurationError

SHIPPED = Path(__file__).parents[2] / "config"
HINT = "run `python -m srwatchd.config {0}` as its docstring says"


@pytest.fixture
def loaded(tmp_path):
    """Load a text."""

    def load_text(text):
        path = tmp_path / "srwatchd.yaml"
        path.write_text(text)
        return load(path)

    return load_text


def uncommented(text):
    """The text with every option line in force."""
    return re.sub(r"^( *)#(?=[a-z_]+:)", r"\1", text, flags=re.MULTILINE)


def keys(section, data):
    """Every (section, key) that ``data`` says."""
    for key, value in data.items():
        yield section.__name__, key
        below = next((each for each in _sections(section.model_fields[key].annotation)), None)
        if below:
            for item in value if isinstance(value, list) else [value]:
                yield from keys(below, item)


def _sections(annotation):
    for each in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(each, type) and issubclass(each, Section):
            yield each


def test_the_shipped_example_runs_as_it_is():
    """Relative to its own place, with every folder beside it."""
    config = load(SHIPPED / "srwatchd.example.yaml")
    assert config.state_dir == SHIPPED / "var"
    assert [folder.model for folder in config.folders] == ["fsrcnn_x2_photo"]
    assert config.folders[0].archive == SHIPPED / "hot/pictures/archive"


def test_the_shipped_files_are_up_to_date():
    """They are made from the classes, never by hand."""
    assert (SHIPPED / "srwatchd.example.yaml").read_text() == init_text(), HINT.format("example")
    assert (SHIPPED / "srwatchd.schema.json").read_text() == schema_text(), HINT.format("schema")


def test_the_comments_tell_the_true_defaults(loaded):
    """Taking every "#" away changes nothing."""
    plain, full = loaded(init_text()), loaded(uncommented(init_text()))
    assert plain.model_dump(exclude={"defaults"}) == full.model_dump(exclude={"defaults"})
    assert plain.model_dump() == full.model_dump()


def test_the_comments_leave_no_key_out():
    """Every key of every section stands in the text."""
    told = set(keys(Config, yaml.safe_load(uncommented(init_text()))))
    told |= {("Folder", key) for name, key in told if name == "Defaults"}
    sections = [Config]
    for section in sections:
        sections += [each for info in section.model_fields.values() for each in _sections(info.annotation)]
        missing = set(section.model_fields) - {key for name, key in told if name == section.__name__}
        assert missing <= ({"done", "error", "archive"} if section.__name__ == "Defaults" else set())


def test_a_start_can_be_made_with_another_model_and_name(loaded):
    """`srwatchd init` chooses both."""
    (folder,) = loaded(init_text(model="espcn_x3", folder="scans")).folders
    assert (folder.id, folder.model, folder.inbox.name) == ("scans", "espcn_x3", "in")


def test_the_schema_accepts_the_example_and_refuses_slips():
    """It is a valid schema, and an editor that uses it finds unknown keys and wrong kinds."""
    schema = json.loads(schema_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    example = yaml.safe_load(init_text())
    assert list(validator.iter_errors(example)) == []
    assert list(validator.iter_errors({**example, "wrokers": 2}))
    assert list(validator.iter_errors({**example, "folders": []}))
    assert list(validator.iter_errors({**example, "engine": {"name": "tensorrt"}}))


def test_the_command_prints_both_and_nothing_else(capsys):
    """What is committed is what the command prints."""
    assert main(["schema"]) == 0
    assert capsys.readouterr().out == schema_text()
    assert main(["example"]) == 0
    assert capsys.readouterr().out == init_text()
    assert main([]) == main(["other"]) == 2
    assert "usage" in capsys.readouterr().err


def test_the_edge_example_is_right_and_bounds_everything(loaded):
    """What a box that nobody visits keeps is bounded, and the schema knows every key."""
    config = load(SHIPPED / "srwatchd.edge.yaml")
    assert all(has_rules(folder) for folder in config.folders)
    assert config.audit.max_size
    assert config.metrics.path == config.state_dir / "metrics" / "srwatchd.prom"
    jsonschema.validate(yaml.safe_load((SHIPPED / "srwatchd.edge.yaml").read_text()), json.loads(schema_text()))
    with_hooks = uncommented((SHIPPED / "srwatchd.edge.yaml").read_text())
    assert loaded(with_hooks.replace("/usr/local/bin/srwatchd-notify", "/bin/true")).folders[0].hooks.on_hold


@pytest.mark.parametrize(
    ("hooks", "problem"),
    [
        ("[notify]", "no absolute path"),
        ("notify", "must be a list of words"),
        ("[/no/such/program]", "cannot be run"),
        ("[@PLAIN@]", "may not be executed"),
        ("[/etc]", "is no program"),
        ("[1]", "must be a list of words"),
    ],
)
def test_a_hook_that_cannot_be_run_is_a_mistake_of_the_configuration(loaded, tmp_path, hooks, problem):
    """Found when the file is read, not in the night, and told with its place."""
    folder = "folders: [{id: a, inbox: in, done: done, error: err, model: m}]"
    (tmp_path / "plain").touch(mode=0o644)
    hooks = hooks.replace("@PLAIN@", str(tmp_path / "plain"))
    with pytest.raises(ConfigurationError, match=problem) as caught:
        loaded(f"defaults: {{hooks: {{on_hold: {hooks}}}}}\n{folder}\n")
    assert [each.key for each in caught.value.problems] == ["defaults.hooks.on_hold"]


def test_retention_of_results_that_are_sources_is_a_mistake(loaded):
    """It would remove pictures that nobody has worked on."""
    chain = "folders: [{id: a, inbox: in, done: mid, error: err, model: m, retention: {done: {max_age: 1 d}}}, "
    with pytest.raises(ConfigurationError, match="would remove pictures from the inbox of folder 'b'"):
        loaded(f"{chain}{{id: b, inbox: mid, done: done, error: err2, model: m}}]\n")


def test_a_ledger_smaller_than_two_segments_is_a_mistake(loaded):
    """It could never be kept within its bound."""
    with pytest.raises(ConfigurationError, match="less than two segments"):
        loaded("audit: {max_size: 1MiB}\nfolders: [{id: a, inbox: in, done: d, error: e, model: m}]\n")
