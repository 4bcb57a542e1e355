"""srwatchd upscale: a batch as a user runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from srwatchd.daemon.state import StateDirectory

sys.path.append(str(Path(__file__).parent))
from commands import (
    KODAK,
    PATIENCE,
    ROOT,
    command,
    files_below,
    ledger_lines,
    png,
    prepared,
    size_of,
    small_model,
    small_scale,
    srwatchd,
)

MODEL = small_model()
SCALE = small_scale()
INTERRUPTED = """
import signal, sys
from srwatchd.cli import entry, upscaling

class Lines(upscaling._Lines):
    def ended(self, result):
        super().ended(result)
        signal.raise_signal(number)

number = int(sys.argv.pop(1))
upscaling._Lines = Lines
entry()
"""
"""The command, with a signal as soon as it has told of its first picture: one that is sent may come after the last."""


@pytest.fixture
def tree(tmp_path):
    """Two pictures, one of them in a sub folder, one broken picture, one text."""
    source = tmp_path / "scans"
    (source / "deep").mkdir(parents=True)
    (source / "a.png").write_bytes(png())
    (source / "deep" / "b.png").write_bytes(png(shade=50))
    (source / "broken.png").write_bytes(png()[:-30])
    (source / "notes.txt").write_text("no picture")
    return source


def batch(*words):
    done = srwatchd("upscale", *words, "--model", MODEL, "--json")
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def outcomes(report):
    return {Path(each["source"]).name: each["outcome"] for each in report["pictures"]}


def state_of(directory):
    return {
        name: (os.stat(directory / name).st_mtime_ns, (directory / name).read_bytes())
        for name in files_below(directory)
    }


def test_a_tree_is_mirrored_and_the_sources_stay_as_they_are(tree, tmp_path):
    """Sub folders come with --recursive; a bad picture fails alone, with code and hint; no source is touched."""
    before = state_of(tree)
    status, report = batch(tree, "--recursive", "--output", tmp_path / "out")
    assert status == 3
    assert outcomes(report) == {"a.png": "delivered", "b.png": "delivered", "broken.png": "failed"}
    bad = next(each for each in report["pictures"] if each["outcome"] == "failed")
    assert (bad["code"], bool(bad["hint"])) == ("incomplete", True)
    assert files_below(tmp_path / "out") == [f"a_x{SCALE}.png", f"deep/b_x{SCALE}.png"]
    assert size_of(tmp_path / "out" / f"a_x{SCALE}.png") == (24 * SCALE, 16 * SCALE)
    assert report["no_pictures"] == [str(tree / "notes.txt")]
    assert state_of(tree) == before


def test_a_rerun_goes_on_where_the_first_one_ended(tree, tmp_path):
    """--skip-existing leaves complete results alone, and makes what is missing or damaged, overwriting nothing."""
    out = tmp_path / "out"
    (tree / "broken.png").unlink()
    assert batch(tree, "--output", out)[0] == 0
    assert files_below(out) == [f"a_x{SCALE}.png"]
    status, report = batch(tree, "--output", out, "--recursive", "--skip-existing")
    assert status == 0
    assert outcomes(report) == {"a.png": "skipped", "b.png": "delivered"}
    damaged = out / f"a_x{SCALE}.png"
    damaged.write_bytes(damaged.read_bytes()[:-20])
    cut = damaged.read_bytes()
    assert outcomes(batch(tree, "--output", out, "--skip-existing")[1]) == {"a.png": "delivered"}
    assert damaged.read_bytes() == cut
    assert f"a_x{SCALE} (1).png" in files_below(out)
    assert outcomes(batch(tree, "--output", out, "--skip-existing")[1]) == {"a.png": "skipped"}


def test_two_sources_of_one_name_both_get_a_result(tmp_path):
    """A taken name gets a number; a rerun knows whose result is whose."""
    for folder, shade in (("one", 0), ("two", 120)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").write_bytes(png(64, 48, shade=shade))
    sources = (tmp_path / "one" / "a.png", tmp_path / "two")
    assert batch(*sources, "--output", tmp_path / "out")[0] == 0
    assert files_below(tmp_path / "out") == [f"a_x{SCALE} (1).png", f"a_x{SCALE}.png"]
    _, report = batch(*sources, "--output", tmp_path / "out", "--skip-existing")
    assert [each["outcome"] for each in report["pictures"]] == ["skipped", "skipped"]
    assert len({each["result"] for each in report["pictures"]}) == 2


def test_with_a_configuration_its_defaults_hold_and_its_ledger_records(tree, tmp_path):
    """Output settings come from defaults:, each picture has its account, the chain is whole, no job stays open."""
    output = "  output:\n    format: jpeg\n    filename: big-{stem}\n"
    config = prepared(tmp_path / "hot", edit=[("  #output:\n", output)])
    done = srwatchd("upscale", tree, "--model", MODEL, "--output", tmp_path / "out", "--config", config)
    assert done.returncode == 3
    assert files_below(tmp_path / "out") == ["big-a.jpg"]
    assert f"{tree}/a.png -> {tmp_path}/out/big-a.jpg" in done.stdout
    assert "failed:" in done.stderr
    assert "what to do:" in done.stderr
    lines = ledger_lines(config)
    batches = [line for line in lines if "srwatchd.batch.id" in line]
    assert len({line["srwatchd.batch.id"] for line in batches}) == 1
    actions = [line["event.action"] for line in batches]
    assert sorted(actions) == sorted(
        ["batch.started", "job.failed", "job.delivering", "job.delivered", "job.produced", "batch.ended"]
    )
    produced = next(line for line in batches if line["event.action"] == "job.produced")
    assert produced["file.path"] == str(tree / "a.png")
    assert produced["srwatchd.result.format"] == "jpeg"
    ended = batches[-1]
    assert (ended["srwatchd.batch.delivered"], ended["srwatchd.batch.failed"], ended["event.outcome"]) == (
        1,
        1,
        "failure",
    )
    assert srwatchd("audit", "verify", "--config", config).returncode == 0


def test_beside_a_daemon_it_refuses(tree, tmp_path):
    """Who does not hold the state's lock writes nothing: exit 69, and no output folder."""
    config = prepared(tmp_path / "hot")
    state = StateDirectory.open(tmp_path / "hot" / "var")
    try:
        done = srwatchd("upscale", tree, "--model", MODEL, "--output", tmp_path / "out", "--config", config)
    finally:
        state.close()
    assert (done.returncode, (tmp_path / "out").exists()) == (69, False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_batch_leaves_whole_results_and_nothing_staged(tmp_path, number):
    """Ctrl-C ends with 130 at once, workers included; what is there is whole, and a rerun does the rest."""
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    names = [f"{number:02}.png" for number in range(24)]
    for name in names:
        (source / name).write_bytes(png(160, 120))
    config = prepared(tmp_path / "hot")
    words = ("upscale", source, "--model", MODEL, "--output", out, "--config", config)
    interrupted = [sys.executable, "-P", "-c", INTERRUPTED, str(int(number)), *map(str, words)]
    done = subprocess.run(interrupted, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 130
    assert " -> " in done.stdout
    assert "--skip-existing" in done.stderr
    results = files_below(out)
    assert 0 < len(results) < len(names)
    assert not [name for name in results if name.startswith(".")]
    lines = ledger_lines(config)
    assert lines[-1]["event.action"] == "batch.ended"
    assert lines[-1]["event.reason"] == "interrupted"
    produced = [line["srwatchd.result.path"] for line in lines if line["event.action"] == "job.produced"]
    assert sorted(produced) == [str(out / name) for name in results]
    done = srwatchd(*words, "--skip-existing")
    assert done.returncode == 0
    assert f"{len(names) - len(results)} delivered, {len(results)} skipped" in done.stdout


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (70, ("--model", "no_such_model", "--output", "out")),
        (70, ("--model", MODEL, "--output", "out", "--config", "npu.yaml")),
        (2, ("--model", MODEL, "--output", ".")),
        (2, ("--model", MODEL)),
        (2, ("--model", MODEL, "--output", "out", "--format", "bmp")),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_made(tmp_path, status, words):
    """An unknown model or a missing device is 70, wrong usage 2; both say why, and no result appears."""
    (tmp_path / "a.png").write_bytes(png())
    folder = f"{{id: a, inbox: in, done: done, error: error, model: {MODEL}}}"
    (tmp_path / "npu.yaml").write_text(f"engine: {{device: npu}}\nfolders: [{folder}]\n")
    done = subprocess.run(command("upscale", ".", *words), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, bool(done.stderr)) == (status, True)
    assert not [name for name in files_below(tmp_path) if "_x" in name]


def test_the_supervising_process_loads_no_imaging_library(tmp_path):
    """OpenCV, OpenVINO, libvips and numpy stay in the workers, also for this command."""
    (tmp_path / "a.png").write_bytes(png())
    program = (
        "import sys\n"
        "from srwatchd.cli import _cli\n"
        "try: _cli(sys.argv[1:])\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "print(sorted({'cv2', 'openvino', 'pyvips', 'numpy'} & set(sys.modules)))\n"
    )
    words = ["upscale", str(tmp_path / "a.png"), "--model", MODEL, "--output", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-c", program, *words], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.stdout.endswith("[]\n"), done.stderr


@pytest.mark.skipif(not KODAK.is_dir(), reason="the bench pictures are not here")
def test_a_photograph_comes_out_enlarged(tmp_path):
    """A real picture, another format, an engine by name."""
    words = (KODAK / "3.png", "--output", tmp_path / "out", "--format", "webp", "--engine", "opencv")
    status, report = batch(*words)
    assert status == 0, report
    [picture] = report["pictures"]
    assert (picture["width"], picture["height"]) == (768 * SCALE, 512 * SCALE)
    assert (picture["engine"], picture["format"]) == ("opencv", "webp")
    assert (tmp_path / "out" / f"3_x{SCALE}.webp").read_bytes()[8:12] == b"WEBP"
