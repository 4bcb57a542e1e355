"""A whole file: what it gives, and everything that can be wrong with it, at once."""

from __future__ import annotations

import os
import textwrap

import pytest
from pydantic import ValidationError

from srwatchd.config import MINIMUM_MEMORY, Config, load, memory_floor, parse_duration
from srwatchd.errors import ConfigurationError

FOLDER = "{id: a, inbox: in, done: out, error: err, model: fsrcnn_x2"


@pytest.fixture
def write(tmp_path):
    """Write a configuration and give its path."""

    def write_text(text):
        path = tmp_path / "c.yaml"
        path.write_text(textwrap.dedent(text))
        return path

    return write_text


@pytest.fixture
def problems(write):
    """The problems of a text as (line, key, message)."""

    def problems_of(text):
        with pytest.raises(ConfigurationError) as caught:
            load(write(text))
        return [(each.line, each.key, each.message) for each in caught.value.problems]

    return problems_of


def test_the_shortest_configuration_is_complete(write, tmp_path):
    """One line of folders suffices; everything else has the contract's defaults, absolute, in bytes and seconds."""
    path = write(f"folders: [{FOLDER}}}]")
    config = load(path)
    (folder,) = config.folders
    assert (config.source, config.version, config.workers, config.memory_limit) == (path, 1, 1, 2**30)
    assert config.state_dir == tmp_path / "var"
    assert config.models_dir == tmp_path / "var/models"
    assert config.audit.path == tmp_path / "var/audit/audit.jsonl"
    assert (config.engine.name, config.engine.precision, config.log.level) == ("auto", "f32", "info")
    assert (folder.inbox, folder.archive) == (tmp_path / "in", tmp_path / "archive")
    assert (folder.rescan_interval, folder.max_hold, folder.settle, folder.grace) == (60.0, 900.0, None, None)
    assert (folder.min_size, folder.max_size, folder.min_free, folder.recursive) == (1, 2**30, 2**30, True)
    assert (folder.output.filename, folder.output.file_mode, folder.output.dir_mode) == (
        "{stem}_x{scale}",
        0o664,
        0o2775,
    )
    assert (folder.limits.max_input_pixels, folder.limits.max_output_pixels) == (250_000_000, 2_000_000_000)
    assert (folder.retry.max_attempts, folder.retry.initial_delay, folder.retry.max_delay) == (3, 10.0, 600.0)
    assert folder.retention.done.max_age is None
    assert config.folder("a") is folder
    with pytest.raises(KeyError):
        config.folder("b")
    with pytest.raises(ValidationError):
        config.workers = 2


def test_defaults_are_put_under_every_folder(write):
    """Section by section; a folder's own value wins, its list replaces the list, its null is a value."""
    config = load(
        write("""\
        defaults:
          model: espcn_x3
          settle: 5 s
          exclude: ["*.bak"]
          error: err
          output: {format: png, quality: 80}
          retention: {done: {max_age: 30 d}}
        folders:
          - {id: a, inbox: a, done: ao}
          - id: b
            inbox: b
            done: bo
            model: fsrcnn_x2
            settle: null
            exclude: ["x"]
            output: {quality: 90}
            retention:
        """)
    )
    a, b = config.folders
    assert (a.model, a.settle, a.exclude, a.output.format, a.output.quality) == ("espcn_x3", 5.0, ("*.bak",), "png", 80)
    assert (b.model, b.settle, b.exclude, b.output.format, b.output.quality) == ("fsrcnn_x2", None, ("x",), "png", 90)
    assert a.retention.done.max_age == b.retention.done.max_age == parse_duration("30 d")
    assert a.error == b.error
    assert config.where("folders", 0, "model") == (("defaults", "model"), 2)
    assert config.where("folders", 1, "model")[1] == 13


def test_paths_begin_at_the_file_and_nothing_is_expanded(write, tmp_path, monkeypatch):
    """Not at the working directory, through links as the kernel goes, and ~ and $HOME are names."""
    monkeypatch.chdir("/")
    (tmp_path / "far" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to("far/deep")
    text = "folders: [{id: a, inbox: ~/in, done: $HOME/out, error: link/../err, archive: /arc, model: m}]"
    (folder,) = load(write(text)).folders
    assert folder.inbox == tmp_path / "~/in"
    assert folder.done == tmp_path / "$HOME/out"
    assert folder.error == tmp_path / "far/err"
    assert str(folder.archive) == "/arc"


def test_every_problem_is_told_at_once(problems):
    """With line, key and what to do, those of a default once and at the default, those between folders too."""
    found = problems("""\
        state_dir: in/x
        inbox: a
        defaults:
          settle: 10 x
          outptu: 3
          output:
            quality: 101
        folders:
        - id: A b
          inbox: in
          done: in/done
          error: err
          recursive: yeah
          output:
            format: jpg
        - {id: b, inbox: in, done: o2, error: e2, model: 3, retention: {done: {max_age: off, max_size: 1G}}}
        - foo
        - {id: b, inbox: in4, done: o4, error: e4, model: m, id: c}
        - {id: b, inbox: in5, done: o5, error: e5, model: m}
        """)
    assert [(line, key) for line, key, _ in found] == [
        (1, "state_dir"),
        (2, "inbox"),
        (4, "defaults.settle"),
        (5, "defaults.outptu"),
        (7, "defaults.output.quality"),
        (9, "folders[0].id"),
        (9, "folders[0].model"),
        (11, "folders[0].done"),
        (13, "folders[0].recursive"),
        (15, "folders[0].output.format"),
        (16, "folders[1].retention.done.max_size"),
        (16, "folders[1].model"),
        (16, "folders[1].inbox"),
        (17, "folders[2]"),
        (18, "folders[3].id"),
        (18, "folders[3].id"),
        (19, "folders[4].id"),
    ]
    messages = "\n".join(message for _, _, message in found)
    for part in ("did you mean output?", "it belongs to folders", "did you mean jpeg?", "is required", "given twice"):
        assert part in messages
    assert messages.count("10 x") == 1


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("[1]", "(file)", "must be a mapping"),
        ("just text", "(file)", "must be a mapping"),
        ("", "folders", "is required"),
        ("folders: []", "folders", "is empty"),
        ("folders:", "folders", "is empty"),
        ("folders: {a: 1}", "folders", "must be a list"),
        (f"folders: [{FOLDER}}}]\nversion: 2", "version", "must be one of 1"),
        (f"folders: [{FOLDER}}}]\nworkers: '2'", "workers", "whole number"),
        (f"folders: [{FOLDER}}}]\nworkers: true", "workers", "whole number"),
        (f"folders: [{FOLDER}}}]\nworkers: 0", "workers", "at least 1"),
        (f"folders: [{FOLDER}}}]\nengine: 3", "engine", "mapping"),
        (f"folders: [{FOLDER}}}]\naudit: 3", "audit", "mapping"),
        (f"folders: [{FOLDER}}}]\nstate_dir: 3", "state_dir", "must be a path"),
        (f"folders: [{FOLDER}}}]\nstate_dir: ''", "state_dir", "must be a path"),
        (f"folders: [{FOLDER}}}]\nengine: {{nmae: cpu}}", "engine.nmae", "did you mean name?"),
        (f"folders: [{FOLDER}}}]\nengine: {{name: 7}}", "engine.name", "must be one of auto"),
        (f"folders: [{FOLDER}}}]\nzzzz: 1", "zzzz", "remove it"),
        (f"folders: [{FOLDER}}}]\nmemory_limit: 100 MiB", "memory_limit", "at least 384 MiB"),
        (f"folders: [{FOLDER}}}]\nworkers: 5", "memory_limit", "at least 1152 MiB"),
        (f"folders: [{FOLDER}}}]\nsource: {{}}", "source", "it belongs to"),
        (f"folders: [{FOLDER}}}]\ndefaults: 3", "defaults", "mapping"),
        (f"folders: [{FOLDER}}}]\ndefaults: {{id: a}}", "defaults.id", "belongs to folders"),
    ],
)
def test_a_wrong_top_level_value_is_named(problems, text, key, message):
    """By its key, with what to write."""
    assert any(found == key and message in told for _, found, told in problems(text)), problems(text)


@pytest.mark.parametrize(
    ("setting", "key", "message"),
    [
        ("settle: 0", "settle", "more than 0"),
        ("settle: 60, grace: 10", "grace", "less than settle"),
        ("rescan_interval: 100 ms", "rescan_interval", "at least 1"),
        ("min_size: 2 MB, max_size: 1 MB", "max_size", "less than min_size"),
        ("include: 3", "include", "list of name patterns"),
        ("include: [3]", "include", "list of name patterns"),
        ("weight: 0", "weight", "at least 1"),
        ("weight: 1.5", "weight", "whole number"),
        ("active_hours: [noon]", "active_hours", "are no hours"),
        ("output: {filename: result}", "output.filename", "same name"),
        ("output: {filename: '{stem}{foo}'}", "output.filename", "unknown name"),
        ("output: {filename: '{stem:>9}'}", "output.filename", "a format"),
        ("output: {filename: '{stem'}", "output.filename", "is no template"),
        ("output: {filename: 'a/{stem}'}", "output.filename", "slash"),
        ("output: {filename: '.{stem}'}", "output.filename", "dot"),
        ("output: {filename: 7}", "output.filename", "must be text"),
        (f"output: {{filename: '{{stem}}{'x' * 300}'}}", "output.filename", "200 bytes"),
        ("output: {factor: 1.5, longest_edge: 100}", "output.factor", "longest_edge"),
        ("output: {factor: .inf}", "output.factor", "finite"),
        ("output: {format: png, on_format_limit: png}", "output.on_format_limit", "choose another"),
        ("output: {file_mode: 0999}", "output.file_mode", "octal"),
        ("output: {background: plaid}", "output.background", "no colour"),
        ("output: {background: [1, 2]}", "output.background", "no colour"),
        ("output: {background: [1, 2, 256]}", "output.background", "no colour"),
        ("output: {group: ''}", "output.group", ""),
        ("limits: {max_input_pixels: 0}", "limits.max_input_pixels", "at least 1"),
        ("retry: {max_delay: 1 s}", "retry.max_delay", "less than initial_delay"),
        ("retention: {done: {max_age: 0}}", "retention.done.max_age", "more than 0"),
        ("source: {samba_audit_log: 3}", "source.samba_audit_log", "path"),
        ('archive: "a\\0b"', "archive", "NUL"),
    ],
)
def test_a_wrong_folder_value_is_named(problems, setting, key, message):
    """By its key, once, with what to write."""
    ((_, found, told),) = problems(f"folders: [{FOLDER}, {setting}}}]")
    assert found == f"folders[0].{key}"
    assert message in told


@pytest.mark.parametrize(
    ("setting", "section", "key", "value"),
    [
        ("output: {file_mode: 0640}", "output", "file_mode", 0o640),
        ("output: {file_mode: 640}", "output", "file_mode", 0o640),
        ("output: {dir_mode: '0o750'}", "output", "dir_mode", 0o750),
        ("output: {background: '#ff8000'}", "output", "background", (255, 128, 0)),
        ("output: {background: black}", "output", "background", (0, 0, 0)),
        ("output: {background: [1, 2, 3]}", "output", "background", (1, 2, 3)),
        ("output: {group: 1000}", "output", "group", "1000"),
        ("output: {filename: '{name}_{date}'}", "output", "filename", "{name}_{date}"),
        ("limits: {max_input_pixels: 40 M}", "limits", "max_input_pixels", 40_000_000),
        ("retry: {initial_delay: 1min, max_delay: 1h}", "retry", "max_delay", 3600.0),
    ],
)
def test_values_are_read_as_people_write_them(write, setting, section, key, value):
    """Octal modes with or without their zero, colours by name or number, units."""
    (folder,) = load(write(f"folders: [{FOLDER}, {setting}}}]")).folders
    assert getattr(getattr(folder, section), key) == value


def test_one_pattern_and_one_span_need_no_list(write):
    """A single text stands for a list of one."""
    (folder,) = load(write(f"folders: [{FOLDER}, include: '*.png', active_hours: '22:00-06:00'}}]")).folders
    assert folder.include == ("*.png",)
    assert [str(span) for span in folder.active_hours] == ["22:00-06:00"]


def test_a_configuration_can_be_made_in_memory():
    """Without a file paths begin at the working directory and there is no line to tell."""
    folder = {"id": "a", "inbox": "/a/in", "done": "/a/out", "error": "/a/err", "model": "m"}
    config = Config.model_validate({"folders": ({**folder, "output": {"file_mode": 0o600}},)})
    assert str(config.source) == os.devnull
    assert str(config.folders[0].archive) == "/a/archive"
    assert config.folders[0].output.file_mode == 0o600
    assert config.where("folders", 0) == (("folders", 0), 1)


def test_the_memory_floor_grows_with_the_workers():
    """One place says what a service needs at the least."""
    assert memory_floor(1) == MINIMUM_MEMORY == 384 << 20
    assert memory_floor(3) == (384 + 2 * 192) << 20


def test_an_unreadable_file_is_a_configuration_error(tmp_path):
    """A missing file ends like a bad one: with exit code 78 and the path."""
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path / "none.yaml")
    assert caught.value.exit_code == 78
    assert "none.yaml:1: (file): cannot be read: No such file" in str(caught.value)
