"""Takes a model into a store, or drops it, killed before each step on the disk in turn: ``DIR take|drop``."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from pathlib import Path

from srwatchd.config import find_models, verify_file
from srwatchd.config.models import ModelSpec
from srwatchd.pipeline.modelstore import ModelStore
from srwatchd.storage import hash_file

STEPS = ("replace", "rename", "fsync", "fchmod", "unlink", "write", "mkdir", "rmdir")


def spec(path):
    return ModelSpec(
        name="net",
        architecture="onnx",
        scale=2,
        path=path,
        sha256=hash_file(path),
        input_colour="y",
        input_range=(0.0, 1.0),
        mean=(),
        output_node="y",
        receptive_radius=2,
        parameters=1,
        macs_per_input_pixel=1,
    )


def dying_at(step):
    """Have the process killed right before its ``step``-th call of one of STEPS."""
    calls = itertools.count()

    def wrapped(function):
        def call(*arguments, **named):
            if next(calls) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **named)

        return call

    for name in STEPS:
        setattr(os, name, wrapped(getattr(os, name)))


def work(folder, verb):
    """Do it to the end."""
    with ModelStore.open(folder) as store:
        if verb == "drop":
            store.drop("net")
        else:
            staged = store.staging / "net.onnx"
            staged.write_bytes(b"a network" * 1000)
            store.take([spec(staged)])


def there(folder):
    """Whether the model is in the store; then its file is the recorded one."""
    found = find_models(folder).get("net")
    if found is not None:
        verify_file(found)
    return found is not None


def interrupted(folder, verb, step):
    """Do it in a child that dies at ``step``; whether it lived, and what is there afterwards and after a repetition."""
    if verb == "drop":
        work(folder, "take")
    child = os.fork()
    if child == 0:
        dying_at(step)
        work(folder, verb)
        os._exit(0)
    lived = os.waitpid(child, 0)[1] == 0
    after = there(folder)
    if after == (verb == "drop"):
        work(folder, verb)
    with ModelStore.open(folder) as store:
        leftovers = [path.name for path in store.staging.iterdir()]
    return {"lived": lived, "there": after, "repeated": there(folder), "leftovers": leftovers}


def main(root, verb):
    """One line of JSON for each step, until one lives."""
    for step in range(60):
        seen = interrupted(Path(root, str(step)), verb, step)
        sys.stdout.write(json.dumps(seen) + "\n")
        if seen["lived"]:
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
