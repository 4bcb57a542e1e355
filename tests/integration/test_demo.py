"""``srwatchd demo``: what somebody sees who has just installed it. Each test runs it as a process of its own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from commands import PATIENCE, ROOT, png, size_of, small_model, small_scale, wait_for

from srwatchd.config import data_path, load
from srwatchd.daemon import demo

PROGRAM = (
    "import sys; from pathlib import Path; from srwatchd.daemon.demo import run_demo; "
    "sys.exit(run_demo(Path(sys.argv[1]), model=sys.argv[2], say=lambda line: print(line, flush=True)))"
)


class Demo:
    """The demo in ``directory``, and the lines that it has said so far."""

    def __init__(self, directory):
        self.log = directory.parent / "demo.log"
        self.said = []
        with self.log.open("ab") as log:
            words = [sys.executable, "-c", PROGRAM, directory, small_model()]
            self.process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        self.said.extend(line.rstrip("\n") for line in self.process.stdout)

    def line(self, start):
        """What follows ``start`` in the first line that begins so, once it has been said."""

        def found():
            return next((line for line in self.said if line.startswith(start)), None) or self.process.poll() is not None

        line = wait_for(found)
        assert line is not True, self.log.read_text()
        return line.removeprefix(start).lstrip()

    def result(self):
        """The path that it says the result has."""
        matched = re.fullmatch(r"(.+) after \d+\.\d s", self.line("result:"))
        assert matched, self.said
        return Path(matched[1])

    def end(self, number):
        """Send a signal; the exit status."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join()
        self.process.stdout.close()


@contextlib.contextmanager
def demonstrated(directory):
    running = Demo(directory)
    try:
        yield running
    finally:
        running.close()


@pytest.fixture
def directory(tmp_path):
    """The folder of a demo that does not care how full the disk of this machine is."""
    config = demo.prepare(tmp_path / "my demo", model=small_model())
    text = config.read_text()
    assert "min_free: 1GiB" in text
    config.write_text(text.replace("min_free: 1GiB", "min_free: 1", 1))
    return config.parent


def test_a_result_then_it_keeps_watching_until_ctrl_c(directory):
    """The path it says is the enlarged sample; what is dropped afterwards is enlarged, too; Ctrl-C ends it well."""
    folder = load(directory / "srwatchd.yaml").folders[0]
    with demonstrated(directory) as running:
        result = running.result()
        width, height = size_of(data_path("config", "sample.png"))
        assert size_of(result) == (width * small_scale(), height * small_scale())
        assert result.parent == folder.done
        assert running.line("configuration:") == str(directory / "srwatchd.yaml")
        assert running.line("drop pictures into").startswith(f"{folder.inbox};")
        assert Path(running.line("dropped:")).parent == folder.inbox
        staged = directory / "own.png"
        staged.write_bytes(png())
        os.rename(staged, folder.inbox / "own.png")
        wait_for(lambda: list(folder.done.glob("own*")))
        assert running.end(signal.SIGINT) == 0
    assert "Traceback" not in running.log.read_text()


def test_a_second_time_in_the_same_folder(directory):
    """SIGTERM ends it; begun again it keeps the configuration and makes a result of its own beside the first."""
    config = (directory / "srwatchd.yaml").read_bytes()
    results = []
    for _ in range(2):
        with demonstrated(directory) as running:
            results.append(running.result())
            assert running.end(signal.SIGTERM) == 0
        assert "Traceback" not in running.log.read_text()
    assert len(set(results)) == 2
    assert all(result.is_file() for result in results)
    assert (directory / "srwatchd.yaml").read_bytes() == config


def test_the_folder_is_made_with_the_example(tmp_path):
    """Parents and all; the model is the one asked for, or the example's, and a configuration that is there stays."""
    config = demo.prepare(tmp_path / "a" / "b", model=small_model())
    assert config == tmp_path / "a" / "b" / "srwatchd.yaml"
    assert load(config).folders[0].model == small_model()
    written = config.read_bytes()
    assert demo.prepare(tmp_path / "a" / "b", model="another") == config
    assert config.read_bytes() == written
    plain = demo.prepare(tmp_path / "c", model=None)
    assert plain.read_bytes() == data_path("config", "srwatchd.example.yaml").read_bytes()


def test_no_result_is_said_too(tmp_path, monkeypatch):
    """When patience ends, the next thing to do is said instead of nothing."""
    monkeypatch.setattr(demo, "_PATIENCE_SECONDS", 0.0)
    (tmp_path / "in").mkdir()
    said = []
    demo._drop_and_tell(tmp_path / "in", tmp_path / "done", "sample-1.png", said.append)
    assert said == [f"dropped: {tmp_path / 'in' / 'sample-1.png'}", "no result yet; `srwatchd status` tells why"]
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["sample-1.png"]
