"""What the tests of workers share: settings, and a fresh worker for each test."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import os
from pathlib import Path

from srwatchd.worker.launch import SpawnSettings
from srwatchd.worker.process import Worker

HERE = str(Path(__file__).parent)
COVERAGE = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
SETTINGS = SpawnSettings(
    role="test", tasks="worker_ops:TASKS", python_path=(HERE,), environment=COVERAGE, confinement=None
)


@contextlib.contextmanager
def no_descriptor_left():
    """Prove that a block leaves as many descriptors open as it found."""
    gc.collect()  # what tests before this one have forgotten is not to go meanwhile
    before = len(os.listdir("/proc/self/fd"))
    yield
    assert len(os.listdir("/proc/self/fd")) == before


def with_worker(settings=SETTINGS):
    """Run an async test with a fresh worker, and prove that it leaves neither process nor descriptor behind."""

    def decorate(test):
        @functools.wraps(test)
        def run():
            async def body():
                worker = await Worker.spawn(settings)
                try:
                    await test(worker)
                finally:
                    await worker.stop()
                assert worker.returncode is not None
                return worker.pid

            with no_descriptor_left():
                pid = asyncio.run(body())
            assert not Path(f"/proc/{pid}").exists()

        del run.__wrapped__
        return run

    return decorate
