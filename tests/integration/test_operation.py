"""A daemon on its own, seen from outside: its figures, its hooks, its bounded ledger."""

from __future__ import annotations

import json
import signal
import stat

import pytest
from commands import png, small_scale, wait_for
from daemon_bench import Service

from srwatchd.audit import closed_segments, verify
from srwatchd.control.socket import call

SCRIPT = """#!/bin/sh
cat > "{out}/$SRWATCHD_EVENT.json.new" && env > "{out}/$SRWATCHD_EVENT.env"
mv "{out}/$SRWATCHD_EVENT.json.new" "{out}/$SRWATCHD_EVENT.json"
"""


def program(root, name, text):
    path = root / name
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def samples(path):
    """What a Prometheus server would read, by name and labels."""
    parser = pytest.importorskip("prometheus_client.parser")
    with path.open(encoding="utf-8") as file:
        return {
            (sample.name, *sample.labels.values()) if sample.labels else sample.name: sample.value
            for family in parser.text_fd_to_metric_families(file)
            for sample in family.samples
        }


def test_figures_of_a_running_daemon(tmp_path):
    """The file is there for everybody, is what Prometheus reads, counts what happened, and a reload resets nothing."""
    figures = tmp_path / "var/metrics/srwatchd.prom"
    with Service(tmp_path, {"a": {}}, metrics={"interval": "1 s"}) as service:
        wait_for(figures.exists)
        service.drop("a", "one.png", png())
        service.drop("a", "broken.png", png()[:40])
        service.await_file("a", "error", "broken.png")
        service.await_delivered("a", f"one_x{small_scale()}.png", archived="one.png")
        wait_for(lambda: samples(figures).get(("srwatchd_pictures_total", "a", "quarantined")) == 1)
        service.process.send_signal(signal.SIGHUP)
        wait_for(
            lambda: len([line for line in service.ledger() if line["event.action"] == "configuration.loaded"]) == 2
        )
        service.await_answer()
        service.drop("a", "two.png", png(shade=9))
        wait_for(lambda: samples(figures).get(("srwatchd_pictures_total", "a", "delivered")) == 2)
        seen = samples(figures)
        asked = call(tmp_path / "var/control.sock", "metrics")["text"]
        last = service.ledger()[-1]["event.sequence"]
    assert stat.S_IMODE(figures.stat().st_mode) == 0o644
    assert seen["srwatchd_input_pixels_total", "a"] == 2 * 24 * 16
    assert seen["srwatchd_output_pixels_total", "a"] == 2 * 24 * 16 * small_scale() ** 2
    assert seen["srwatchd_failures_total", "a", "incomplete"] == 1
    assert seen["srwatchd_stage_seconds_total", "a", "upscale"] > 0
    assert seen["srwatchd_waiting_files", "a"] == seen["srwatchd_oldest_file_age_seconds", "a"] == 0
    assert 0 < seen["srwatchd_ledger_sequence"] <= last
    assert seen["srwatchd_config_last_load_successful"] == 1
    assert seen["srwatchd_disk_free_bytes", str(tmp_path / "a/done")] > 0
    answer = tmp_path / "answer.prom"
    answer.write_text(asked)
    assert samples(answer).keys() == seen.keys()
    assert samples(answer)["srwatchd_pictures_total", "a", "delivered"] == 2


def test_hooks_of_a_running_daemon(tmp_path):
    """Success, failure and hold each run their command with what happened, and nothing of the daemon's environment."""
    out = tmp_path / "out"
    out.mkdir()
    words = [program(tmp_path, "hook.sh", SCRIPT.format(out=out))]
    hooks = {"on_success": words, "on_failure": words, "on_hold": words}
    with Service(tmp_path, {"a": {"hooks": hooks}}) as service:
        service.drop("a", "one.png", png())
        service.drop("a", "broken.png", png()[:40])
        wait_for((out / "success.json").exists)
        wait_for((out / "failure.json").exists)
        service.place("a", "done").rename(tmp_path / "away")
        wait_for((out / "hold.json").exists)
        (tmp_path / "away").rename(service.place("a", "done"))
        success, failure, hold = (
            json.loads((out / f"{each}.json").read_text()) for each in ("success", "failure", "hold")
        )
    assert success["result"] == str(service.place("a", "done") / f"one_x{small_scale()}.png")
    assert success["source"] == str(service.place("a", "archive") / "one.png")
    assert (failure["code"], failure["name"], failure["folder"]) == ("incomplete", "broken.png", "a")
    assert failure["source"] == str(service.place("a", "error") / "broken.png")
    assert hold["code"] == "folder_missing"
    lines = (out / "success.env").read_text().splitlines()
    told = {line.partition("=")[0] for line in lines}
    assert {name for name in told if not name.startswith("SRWATCHD_")} <= {
        "PATH",
        "LC_ALL",
        "PWD",
        "SHLVL",
        "_",
        "OLDPWD",
    }
    assert f"SRWATCHD_JOB={success['job']}" in lines


def test_a_hook_that_fails_or_hangs_costs_nothing_but_itself(tmp_path):
    """It is killed with what it started, told in log and ledger, and pictures go on meanwhile."""
    hang = program(tmp_path, "hang.sh", f"#!/bin/sh\nsleep 1000 & echo $! >> {tmp_path}/children\nsleep 1000\n")
    fail = program(tmp_path, "fail.sh", "#!/bin/sh\necho it went wrong\nexit 3\n")
    folders = {
        "a": {"hooks": {"on_success": [hang], "timeout": "3 s"}},
        "b": {"hooks": {"on_success": [fail]}},
    }
    with Service(tmp_path, folders) as service:
        for number in range(3):
            service.drop("a", f"{number}.png", png(shade=number))
        service.drop("b", "one.png", png())
        service.await_file("a", "archive", "2.png")
        wait_for(lambda: len([line for line in service.ledger() if line["event.action"] == "hook.failed"]) == 4)
        lines = [line for line in service.ledger() if line["event.action"] == "hook.failed"]
        children = [int(pid) for pid in (tmp_path / "children").read_text().split()]
    failed = next(line for line in lines if line["srwatchd.folder"] == "b")
    assert (failed["srwatchd.hook.status"], failed["srwatchd.hook.output"]) == (3, "it went wrong")
    hung = [line for line in lines if line["srwatchd.folder"] == "a"]
    assert all(line["event.reason"] == "it did not end in its time and was killed" for line in hung)
    wait_for(lambda: not any("sleep" in _command_of(child) for child in children))
    assert len({line["trace.id"] for line in lines}) == 4


def _command_of(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().decode()
    except (FileNotFoundError, ProcessLookupError):  # gone before it was opened, or before it was read
        return ""


def test_a_stop_does_not_wait_for_hooks(tmp_path):
    """The running one is killed, those that wait are dropped, and both are told."""
    hang = program(tmp_path, "hang.sh", "#!/bin/sh\nsleep 1000\n")
    service = Service(tmp_path, {"a": {"hooks": {"on_success": [hang], "timeout": "10 min"}}})
    with service:
        for number in range(3):
            service.drop("a", f"{number}.png", png(shade=number))
        service.await_file("a", "archive", "2.png")
        wait_for(lambda: len([line for line in service.ledger() if line["event.action"] == "job.completed"]) == 3)
    reasons = [line["event.reason"] for line in service.ledger() if line["event.action"] == "hook.failed"]
    assert sorted(reasons) == ["2 hooks were dropped: the service stopped", "the service stopped, and it was killed"]


def test_once_waits_for_its_hooks(tmp_path):
    """A drain that ends has run them all."""
    out = tmp_path / "out"
    slow = program(tmp_path, "slow.sh", f'#!/bin/sh\nsleep 0.2\necho "$SRWATCHD_NAME" >> {out}\n')
    service = Service(tmp_path, {"a": {"hooks": {"on_success": [slow]}}})
    service.once()
    for number in range(4):
        service.drop("a", f"{number}.png", png(shade=number))
    assert service.once() == 0
    assert sorted(out.read_text().split()) == ["0.png", "1.png", "2.png", "3.png"]


def test_a_bounded_ledger(tmp_path):
    """Old segments go, each with a tombstone, and what is left still verifies."""
    ledger = tmp_path / "var/audit/audit.jsonl"
    service = Service(tmp_path, {"a": {}}, audit={"segment_size": 65536})
    with service:
        for number in range(60):
            service.drop("a", f"{number}.png", png(shade=number))
        wait_for(lambda: len(closed_segments(ledger)) >= 3)
    service.write({"b": {}}, audit={"segment_size": 65536, "max_size": 2 * 65536})  # nothing else is written meanwhile
    with service:
        wait_for(lambda: len(closed_segments(ledger)) < 3)
    report = verify(ledger, None)
    assert report.ok, str(report)
    assert report.retired >= 1
