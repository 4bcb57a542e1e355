"""srwatchd.config.implied: the folders behind POST /api/v1/upscale."""

from __future__ import annotations

import re

import pytest

from srwatchd.config import implied_id, load, missing_models
from srwatchd.config.kinds import ID_PATTERN
from srwatchd.errors import ConfigurationError

FOLDER = "folders: [{id: a, inbox: in, done: out, error: err, model: fsrcnn_x2}]\n"


def written(tmp_path, text):
    path = tmp_path / "srwatchd.yaml"
    path.write_text(text)
    return path


def test_each_offered_model_has_a_folder(tmp_path):
    """An ordinary one in state_dir that makes nobody wait, behind the configuration's own."""
    text = FOLDER + "state_dir: s\nconsole: {upscale: {models: [fsrcnn_x2, edsr_x2, fsrcnn_x2]}}\n"
    config = load(written(tmp_path, text))
    assert [each.id for each in config.folders] == ["a", "upscale-fsrcnn_x2", "upscale-edsr_x2"]
    folder = config.folder(implied_id("edsr_x2"))
    place = tmp_path / "s" / "console" / "upscale" / "edsr_x2"
    assert (folder.inbox, folder.done, folder.error) == (place / "in", place / "done", place / "error")
    assert (folder.model, folder.weight, folder.on_success) == ("edsr_x2", 4, "delete")
    assert max(folder.settle, folder.grace) < 0.01
    assert folder.retention.done.max_age == folder.retention.error.max_age == 86400
    assert not config.folder("a").retention.done.max_age


def test_defaults_that_would_make_somebody_wait_are_not_taken(tmp_path):
    """How results look, and limits, hold there, too; hours, patterns, markers and hooks do not."""
    text = (
        "defaults: {output: {quality: 50}, limits: {max_input_pixels: 1 M}, active_hours: ['22:00-06:00'], "
        "ready: done_file, exclude: ['*'], hooks: {on_success: [/bin/true]}, min_free: 1MiB, "
        "source: {samba_audit_log: x}}\n"
    )
    config = load(written(tmp_path, FOLDER + text + "console: {upscale: {models: fsrcnn_x2}}\n"))
    folder = config.folder("upscale-fsrcnn_x2")
    assert (folder.output.quality, folder.limits.max_input_pixels, folder.min_free) == (50, 1_000_000, 1 << 20)
    assert (folder.ready, folder.exclude, folder.active_hours) == ("settled", (), ())
    assert folder.hooks.on_success == ()
    assert folder.source.samba_audit_log is None


def test_problems_are_told_where_they_are_written(tmp_path):
    """A folder of the configuration with such an id, an unknown model, a wrong list: the line is that of the list."""
    text = FOLDER.replace("id: a", "id: upscale-fsrcnn_x2") + "console:\n  upscale:\n    models: [fsrcnn_x2]\n"
    with pytest.raises(ConfigurationError) as caught:
        load(written(tmp_path, text))
    (problem,) = caught.value.problems
    assert (problem.line, problem.key) == (4, "console.upscale.models[0]")
    assert "used twice" in problem.message
    config = load(written(tmp_path, FOLDER + "console:\n  upscale:\n    models: [fsrcnn_x2, nobody]\n"))
    (problem,) = missing_models(config, {"fsrcnn_x2": object()})
    assert (problem.line, problem.key) == (4, "console.upscale.models[1]")
    for wrong in ("7", "[7]", "[../up]", "{a: b}", "null"):
        with pytest.raises(ConfigurationError, match=r"console\.upscale\.models"):
            load(written(tmp_path, FOLDER + f"console: {{upscale: {{models: {wrong}}}}}\n"))


def test_without_folders_of_its_own_a_configuration_is_still_refused(tmp_path):
    """Whoever left them out by mistake is told."""
    with pytest.raises(ConfigurationError, match="folders"):
        load(written(tmp_path, "console: {upscale: {models: [fsrcnn_x2]}}\n"))


@pytest.mark.parametrize("model", ["edsr_x4_photo", "Real.ESRGAN-x4", "a" * 64, "A" * 64, "a.b", "a-b", "upscale"])
def test_every_model_has_an_id(model):
    """Names of models may be longer and of other letters than ids; two of them never share one."""
    assert re.fullmatch(ID_PATTERN, implied_id(model))
    assert implied_id(model) != implied_id(model.swapcase() + "x")


def test_ids_differ():
    names = ["a.b", "a-b", "A-b", "A.b", "a_b", "x" * 40, "x" * 41]
    assert len({implied_id(each) for each in names}) == len(names)
