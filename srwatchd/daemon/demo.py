"""``srwatchd demo``: the whole way of one picture, on the shipped defaults, for somebody who has just installed it."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from srwatchd.config import data_path, init_text, load
from srwatchd.daemon import service

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["prepare", "run_demo"]

_SAMPLE: Final = ("config", "sample.png")
_LOOK_SECONDS: Final = 0.2
_PATIENCE_SECONDS: Final = 120.0


def prepare(directory: Path, *, model: str | None) -> Path:
    """Make ``directory`` with the example configuration unless it has one already; the configuration's path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory.absolute() / "srwatchd.yaml"
    if not path.exists():
        text = init_text() if model is None else init_text(model=model)
        path.write_text(text, encoding="utf-8")
    return path


def run_demo(directory: Path, *, model: str | None, say: Callable[[str], None]) -> int:
    """Serve ``directory``, drop the sample into its first inbox, ``say`` where the result is, and keep watching."""
    path = prepare(directory, model=model)
    folder = load(path).folders[0]
    say(f"configuration: {path}")
    say(f"drop pictures into {folder.inbox}; results appear in {folder.done} (Ctrl-C ends it)")
    name = f"sample-{time.time_ns():x}.png"
    threading.Thread(target=_drop_and_tell, args=(folder.inbox, folder.done, name, say), daemon=True).start()
    return service.run(path)


def _drop_and_tell(inbox: Path, done: Path, name: str, say: Callable[[str], None]) -> None:
    """Drop the sample once the daemon watches, and wait for what becomes of it."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not (inbox / ".srwatchd" / "id").exists() and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
    staged = inbox / f".{name}"
    shutil.copyfile(data_path(*_SAMPLE), staged)
    os.rename(staged, inbox / name)
    begin = time.monotonic()
    say(f"dropped: {inbox / name}")
    stem = Path(name).stem
    while time.monotonic() < deadline:
        for result in done.glob(f"{stem}*"):
            say(f"result: {result} after {time.monotonic() - begin:.1f} s")
            return
        time.sleep(_LOOK_SECONDS)
    say("no result yet; `srwatchd status` tells why")
