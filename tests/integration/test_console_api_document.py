"""The examples of docs/api.md, run as they stand against a real console beside a real daemon."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from commands import PATIENCE, ROOT, png, srwatchd
from console_bench import Console
from daemon_bench import Service

BLOCKS = re.findall(r"```sh\n(.*?)```", (ROOT / "docs/api.md").read_text(), re.DOTALL)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_every_example_works(tmp_path):
    """In the order of the page; the one with a token last, for from then on there is a login."""
    with Service(tmp_path, {"photos": {}}, console={"upscale": {"models": ["fsrcnn_x2"]}}) as service:
        work = tmp_path / "work"
        work.mkdir()
        (work / "picture.png").write_bytes(png(60, 40))
        with Console(service.config) as console:
            token, *others = BLOCKS
            assert "$TOKEN" in token
            for block in others:
                run(block, console, work)
                if "-T picture.png" in block:
                    console.job("trip/picture.png", "delivered")
            assert (work / "enlarged.png").read_bytes().startswith(b"\x89PNG")
            assert len((work / "ledger.jsonl").read_text().splitlines()) > 10
            words = ("console", "token", "add", "scanner", "--role", "viewer", "--config", service.config)
            run(token, console, work, TOKEN=srwatchd(*words).stdout.strip())


def run(block, console, work, **environment):
    script = block.replace("http://127.0.0.1:8470", console.url)
    words = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(
        words,
        cwd=work,
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, (block, done.stdout[-500:], done.stderr[-500:])
