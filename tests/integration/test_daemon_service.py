"""srwatchd.daemon.service: signals at any moment, whatever the generation is doing."""

# ruff: noqa: ARG002 - stand-ins have the signatures of what they stand in for
from __future__ import annotations

import asyncio
import json
import logging
from types import SimpleNamespace

import pytest
import structlog
from commands import small_model

from srwatchd.config import load
from srwatchd.control.socket import call
from srwatchd.daemon import service
from srwatchd.daemon.service import Daemon
from srwatchd.errors import ConfigurationError, FatalError


class FakeGeneration:
    """Starts at once or never, and serves until it is stopped."""

    made: list[FakeGeneration]
    hangs = False
    slow_stop = None
    paused = None

    def __init__(self, config, state, ledger, *, finished, unfinished, lasting, once=False, reloaded=False):
        self.config, self.reloaded, self.tasks, self.folders = config, reloaded, set(), {}
        self.made.append(self)

    async def start(self):
        if self.hangs:
            await asyncio.Event().wait()

    async def stop(self, seconds, *, following):
        self.following = following
        if self.slow_stop is not None and len(self.made) == 1:
            await self.slow_stop()

    def pause(self, folders, *, paused, by):
        self.paused = folders

    def record(self, entry):
        pass

    def headline(self):
        return ""

    def totals(self):
        return {}

    def makes_progress(self):
        return True

    def count_restarts(self):
        pass

    def exit_status(self):
        return 75


@pytest.fixture
def generations(monkeypatch):
    """The generations that were made, instead of real ones; the logging set-up is restored afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr(FakeGeneration, "made", [], raising=False)
    monkeypatch.setattr(service, "Generation", FakeGeneration)
    yield FakeGeneration
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "srwatchd.yaml"
    folder = {"id": "a", "inbox": "in", "done": "out", "error": "err", "model": small_model()}
    path.write_text(json.dumps({"folders": [folder]}))
    return load(path)


async def _until(holds):
    async with asyncio.timeout(30.0):
        while not holds():  # noqa: ASYNC110 - what is waited for is in another task
            await asyncio.sleep(0.01)


def test_a_stop_during_start_up(config, generations, monkeypatch):
    """A disk that hangs at the start keeps nobody from stopping the service; a drain that never began says so."""
    monkeypatch.setattr(generations, "hangs", True)

    async def body(*, once):
        daemon = Daemon(config, once=once)
        running = asyncio.create_task(daemon.run())
        await _until(lambda: generations.made)
        daemon.stop()
        async with asyncio.timeout(30.0):
            return await running

    assert asyncio.run(body(once=False)) == 0
    generations.made.clear()
    assert asyncio.run(body(once=True)) == 75


def test_a_second_reload_during_the_first_is_not_lost(config, generations, monkeypatch):
    """The configuration that stands in the file at the end is the one that is served."""
    daemon = None

    async def again():
        daemon.reload()

    async def body():
        nonlocal daemon
        daemon = Daemon(config)
        running = asyncio.create_task(daemon.run())
        await _until(lambda: daemon._generation is not None)
        monkeypatch.setattr(generations, "slow_stop", staticmethod(again))
        daemon.reload()
        await _until(lambda: len(generations.made) == 3 and daemon._generation is not None)
        daemon.stop()
        assert await running == 0

    asyncio.run(body())
    assert [each.reloaded for each in generations.made] == [False, True, True]


def test_a_command_during_a_reload_is_done_after_it(config, generations, monkeypatch):
    """Nobody has to ask again because the configuration is just being read; only a look says so after a while."""

    async def body():
        daemon, asked = Daemon(config), []

        async def meanwhile():
            assert daemon._generation is None
            asked.append(asyncio.create_task(asyncio.to_thread(call, config.state_dir / "control.sock", "pause")))
            with pytest.raises(FatalError, match="is starting"):
                await daemon.served(0)

        monkeypatch.setattr(generations, "slow_stop", staticmethod(meanwhile))
        running = asyncio.create_task(daemon.run())
        await _until(lambda: daemon._generation is not None)
        daemon.reload()
        await _until(lambda: asked and asked[0].done())
        assert asked[0].result() == {}
        assert [each.paused for each in generations.made] == [None, []]
        daemon.stop()
        assert await running == 0

    asyncio.run(body())


def test_a_stop_while_a_bad_configuration_is_read(config, generations, monkeypatch):
    """The refusal of the one does not swallow the other."""
    signals = SimpleNamespace(stop=None)

    def bad(_daemon):
        signals.stop()
        raise ConfigurationError(())

    monkeypatch.setattr(Daemon, "_loaded_again", bad)

    async def body():
        daemon = Daemon(config)
        loop = asyncio.get_running_loop()
        signals.stop = lambda: loop.call_soon_threadsafe(daemon.stop)
        running = asyncio.create_task(daemon.run())
        await _until(lambda: daemon._generation is not None)
        daemon.reload()
        async with asyncio.timeout(30.0):
            return await running

    assert asyncio.run(body()) == 0
    assert len(generations.made) == 1
