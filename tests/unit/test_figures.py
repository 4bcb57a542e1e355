"""srwatchd.notify.prometheus, daemon.figures, daemon.trend, daemon.tally: what Prometheus is told."""

from __future__ import annotations

import math
import os
import shutil
import stat
import subprocess
from types import SimpleNamespace

import pytest

from srwatchd.daemon.figures import METRICS, Disks, figures
from srwatchd.daemon.jobrun import Outcome, Verdict
from srwatchd.daemon.tally import Tally
from srwatchd.daemon.trend import Trend
from srwatchd.errors import HostError, PermanentError
from srwatchd.notify.prometheus import Family, render, write_figures

ODD = 'a"b\\c\nd\udcffé'


def run(**seconds):
    progress = SimpleNamespace(
        nanoseconds={stage: int(spent * 1e9) for stage, spent in seconds.items()}, input_pixels=6, output_pixels=24
    )
    return SimpleNamespace(progress=progress)


def folder(**changes):
    facts = {"waiting": 3, "oldest_since": 40.0, "retrying": 1, "in_work": 2, "paused": False, "stalled": False}
    hold = SimpleNamespace(code="disk_full")
    return SimpleNamespace(config=SimpleNamespace(id="a"), **{**facts, "hold": hold, **changes})


def whole():
    """Figures with something in every metric."""
    tally = Tally(started=1.5, loaded=2.0)
    tally.ended("a", run(decode=0.5, upscale=2.0), Outcome(Verdict.DELIVERED))
    tally.ended("a", run(decode=0.25), Outcome(Verdict.QUARANTINED, error=PermanentError("empty", "")))
    tally.ended("a", run(decode=0.25), Outcome(Verdict.RETRY, error=PermanentError("worker_died", "")))
    tally.holds["a", "disk_full"] += 1
    tally.holds["a", "read_only"] += 2
    tally.restarts["codec"] += 1
    tally.removed_files["a", "done", "max_age"] += 1
    tally.removed_bytes["a", "done", "max_age"] += 10
    tally.hooks["a", "hold", "ok"] += 1
    disks = Disks()
    for minute in range(0, 121, 5):
        disks.update({"/d": (1000 - minute, 5000), ODD: (7, 9)}, minute * 60.0)
    return figures([folder()], tally, disks, sequence=12, now=100.0)


def told(families):
    return {(family.name, *values): value for family in families for values, value in family.samples.items()}


def test_every_metric_is_told():
    """Each that the document names has a sample here."""
    assert {family.name for family in whole() if family.samples} == {f"srwatchd_{each.name}" for each in METRICS}


def test_what_is_told():
    """Ages, sums by label, holds that are over as 0, and when the disk is full."""
    seen = told(whole())
    assert seen["srwatchd_oldest_file_age_seconds", "a"] == 60.0
    assert seen["srwatchd_stage_seconds_total", "a", "decode"] == pytest.approx(1.0)
    assert (seen["srwatchd_input_pixels_total", "a"], seen["srwatchd_output_pixels_total", "a"]) == (6, 24)
    assert (
        seen["srwatchd_failures_total", "a", "empty"] == seen["srwatchd_failed_attempts_total", "a", "worker_died"] == 1
    )
    assert (seen["srwatchd_folder_held", "a", "disk_full"], seen["srwatchd_folder_held", "a", "read_only"]) == (1, 0)
    assert seen["srwatchd_disk_full_in_seconds", "/d"] == pytest.approx(880 * 60.0)
    assert seen["srwatchd_disk_full_in_seconds", ODD] == math.inf
    assert (
        told(figures([folder(oldest_since=None)], Tally(), Disks(), sequence=0))[
            "srwatchd_oldest_file_age_seconds", "a"
        ]
        == 0
    )


def test_the_text_is_what_prometheus_reads():
    """By its own parser: every name, label and value, odd ones too."""
    parser = pytest.importorskip("prometheus_client.parser")
    parsed = {
        (sample.name, *sample.labels.values()): sample.value
        for family in parser.text_string_to_metric_families(render(whole()).decode("utf-8"))
        for sample in family.samples
    }
    expected = {tuple(part.replace("\udcff", "?") for part in key): value for key, value in told(whole()).items()}
    assert parsed == expected


def test_promtool_has_nothing_to_say():
    """Names and units by its rules."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not here")
    answer = subprocess.run([promtool, "check", "metrics"], input=render(whole()), capture_output=True, check=False)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, b"", b"")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (2.0, "2"),
        (0.1, "0.1"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
        (1 << 60, str(1 << 60)),
    ],
)
def test_numbers(value, text):
    """As the format has them."""
    family = Family("srwatchd_x", "gauge", "X.")
    family.put(value)
    assert render([family]) == f"# HELP srwatchd_x X.\n# TYPE srwatchd_x gauge\nsrwatchd_x {text}\n".encode()


@pytest.mark.parametrize("name", ["srwatchd_x_total", "Srwatchd", "1x", "a-b", ""])
def test_a_name_that_breaks_the_conventions(name):
    """Is a defect of ours."""
    with pytest.raises(ValueError, match=r"metric|_total"):
        Family(name, "gauge", "X.")


def test_as_many_values_as_labels():
    """Likewise."""
    with pytest.raises(ValueError, match="labels"):
        Family("srwatchd_x", "gauge", "X.", ("folder",)).put(1)


def test_the_file_is_replaced_whole(tmp_path):
    """Readable for all, a link is replaced and not followed, nothing is left beside it, errors name the place."""
    path = tmp_path / "metrics" / "srwatchd.prom"
    write_figures(path, b"one\n")
    target = tmp_path / "target"
    target.write_text("mine")
    path.unlink()
    path.symlink_to(target)
    write_figures(path, b"two\n")
    assert (path.read_bytes(), target.read_text()) == (b"two\n", "mine")
    assert stat.S_IMODE(path.stat(follow_symlinks=False).st_mode) == 0o644
    assert os.listdir(path.parent) == ["srwatchd.prom"]
    with pytest.raises(HostError):
        write_figures(tmp_path / "no" / "such" / "x.prom", b"")
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "x.prom").mkdir()
    with pytest.raises(HostError):
        write_figures(tmp_path / "place" / "x.prom", b"")
    assert os.listdir(tmp_path / "place") == ["x.prom"]


def test_the_trend_of_a_disk():
    """Nothing for half an hour, then a line through at most a day; what comes back is no trend."""
    trend = Trend()
    for minute in range(0, 30, 5):
        trend.add(minute * 60.0, 1000 - minute)
        assert trend.until_full(1000) is None
    trend.add(1800.0, 970)
    assert trend.until_full(970) == pytest.approx(970 * 60.0)
    for minute in range(35, 4 * 1440, 5):
        trend.add(minute * 60.0, 5000)
    assert trend.until_full(5000) == math.inf
    assert len(trend._samples) <= 289


def test_restarts_of_workers_add_up_over_reloads():
    """A new generation's pools begin at nothing; the counter does not."""
    tally = Tally()
    for pool in (2, 3):
        tally.count_restarts("codec", SimpleNamespace(restarts=pool))
    tally.forget_pools()
    tally.count_restarts("codec", SimpleNamespace(restarts=1))
    assert tally.restarts["codec"] == 4
