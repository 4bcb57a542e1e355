"""The operations of a worker that looks at a model before it is taken in. Imported in worker processes only.

A foreign model file is as hostile as a foreign picture: it is read, rewritten and run here, where nothing else can be
reached. Each engine tries it in a process of its own.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from srwatchd.config.manifests import entry_of
from srwatchd.config.models import entry_spec
from srwatchd.engine.budget import tile_for
from srwatchd.engine.graphdef import dequantized, read_graphdef
from srwatchd.engine.memory import room
from srwatchd.engine.onnxfile import FLOAT, HALF, freed, is_onnx, read_onnx
from srwatchd.engine.openvino import OpenVINONetwork
from srwatchd.engine.probing import Declared, probe, receptive_radius
from srwatchd.engine.select import engines
from srwatchd.engine.trial import COMPARED, differences, try_out
from srwatchd.engine.wire import WireError
from srwatchd.errors import ModelError, PermanentError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from srwatchd.config.models import ModelSpec
    from srwatchd.engine.base import Engine, Network
    from srwatchd.engine.onnxfile import Onnx

    Progress = Callable[[dict[str, Any]], None]

__all__ = ["TASKS"]

_ENTRY: Final = "NCHW_output"
_DAMAGED: Final = "Get the file again: it is damaged, cut short, or no model."


def inspect(_params: dict[str, Any], descriptors: list[int], _progress: Progress) -> dict[str, Any]:
    """What the model file behind the first descriptor holds; written to the second one when it has to be changed."""
    source, target = descriptors
    if os.fstat(source).st_size == 0:
        raise RefusedError("model_refused", "the file is empty", hint=_DAMAGED)
    data = memoryview(mmap.mmap(source, 0, prot=mmap.PROT_READ))
    try:
        facts, changed = _onnx(data) if is_onnx(data[:1]) else _graph(data)
    except WireError as error:
        raise RefusedError("model_refused", f"the file is no usable model: {error}", hint=_DAMAGED) from None
    if changed is not None:
        _write(target, changed)
    return facts


def find(params: dict[str, Any], _descriptors: list[int], progress: Progress) -> dict[str, Any]:
    """What can be found out about an ONNX network by running it on the engine ``params`` name."""
    engine = _engine(params["engine"])
    base = _spec(params)
    said = _said(progress)

    def opened(spec: ModelSpec) -> Any:
        """The network of ``spec`` on the processor."""
        return engine.open(spec, device="cpu", threads=int(params["threads"]))

    told: dict[str, Any] = {
        key: tuple(each) if isinstance(each, list) else each for key, each in params["declared"].items()
    }
    declared = Declared(**told)
    spec, facts = probe(opened, base, tuple(params["sizes"]), declared=declared, said=said)
    return {
        "entry": entry_of(spec),
        "facts": [{"fact": each.fact, "value": each.value, "how": each.how, "reason": each.reason} for each in facts],
    }


def reach(params: dict[str, Any], _descriptors: list[int], progress: Progress) -> dict[str, Any]:
    """The receptive radius of a frozen graph of a declared family."""
    spec = _spec(params)
    network: Any = _engine(params["engine"]).open(spec, device="cpu", threads=int(params["threads"]))
    return {"receptive_radius": receptive_radius(network, spec, _said(progress))}


def attempt(params: dict[str, Any], descriptors: list[int], progress: Progress) -> dict[str, Any]:
    """Try the model on one engine; its enlarged known picture goes into the descriptor."""
    engine, spec, said = _engine(params["engine"]), _spec(params), _said(progress)
    if not engine.reads(spec):
        raise ModelError("engine_unavailable", f"{engine.name} reads no such files")
    said("loading it")
    network: Network = engine.open(spec, device="cpu", threads=int(params["threads"]))
    measured = bool(params["measure"])
    trial = try_out(network, said=said, measure=measured)
    budget = {**spec.memory_per_pixel, engine.name: trial.memory_per_pixel} if measured else {}
    try:
        tile_for(_with_memory(spec, budget), engine.name, room(int(params["memory"])))
    except PermanentError as error:
        raise ModelError("model_unusable", f"{error.message}; raise memory_limit") from error
    _write(descriptors[0], trial.picture.tobytes())
    return {
        "decibels": round(trial.decibels, 2),
        "interpolation": round(trial.interpolation, 2),
        "seconds_per_megapixel": round(trial.seconds_per_megapixel, 4),
        "memory_per_pixel": trial.memory_per_pixel,
        "macs_per_input_pixel": network.macs_per_input_pixel() if isinstance(network, OpenVINONetwork) else 0,
    }


def compare(params: dict[str, Any], descriptors: list[int], _progress: Progress) -> dict[str, Any]:
    """How far the results of two engines are apart, in levels of 255."""
    scale = int(params["scale"])
    length = COMPARED[0] * COMPARED[1] * scale * scale * 3
    one, other = (np.frombuffer(os.pread(each, length, 0), np.uint8) for each in descriptors)
    mean, worst = differences(one, other)
    return {"mean": round(mean, 3), "worst": worst}


def _graph(data: memoryview) -> tuple[dict[str, Any], bytes | None]:
    graph = read_graphdef(data)
    pictures, leaves = graph.pictures, graph.leaves
    if len(pictures) != 1 or not leaves:
        raise WireError(f"it has {len(pictures)} inputs and {len(leaves)} outputs, and a network here has one input")
    output = _ENTRY if _ENTRY in leaves else leaves[0] if len(leaves) == 1 else ""
    if not output:
        raise WireError(f"it has the outputs {', '.join(leaves)}, and none is {_ENTRY}")
    facts = {"format": "pb", "parameters": graph.parameters, "output": output, "sizes": [], "change": ""}
    changed = dequantized(graph)
    return ({**facts, "change": "8-bit weights written as f32"} if changed else facts), changed


def _onnx(data: memoryview) -> tuple[dict[str, Any], bytes | None]:
    network = read_onnx(data)
    _one_picture(network)
    free = freed(network)
    facts = {
        "format": "onnx",
        "parameters": network.parameters,
        "output": network.outputs[0].name,
        "sizes": list((free or network).inputs[0].sizes if free is None else read_onnx(free.encoded()).inputs[0].sizes),
        "change": "" if free is None else "set free of the one picture size that it was exported for",
    }
    return facts, None if free is None else free.encoded()


def _one_picture(network: Onnx) -> None:
    ports = (len(network.inputs), len(network.outputs))
    if ports != (1, 1):
        raise WireError(f"it has {ports[0]} inputs and {ports[1]} outputs, and a network here has one of each")
    if network.inputs[0].kind not in (FLOAT, HALF):
        raise WireError("it does not take floating point")


def _write(descriptor: int, data: bytes) -> None:
    view, done = memoryview(data), 0
    os.ftruncate(descriptor, 0)
    while done < len(view):
        done += os.pwrite(descriptor, view[done:], done)


def _spec(params: dict[str, Any]) -> ModelSpec:
    return entry_spec(params["entry"], Path(params["folder"]))


def _with_memory(spec: ModelSpec, budget: dict[str, int]) -> ModelSpec:
    return replace(spec, memory_per_pixel=budget)


def _engine(name: str) -> Engine:
    found = next(each for each in engines() if each.name == name)
    if (reason := found.available()) is not None:
        raise ModelError("engine_unavailable", f"{name}: {reason}")
    return found


def _said(progress: Progress) -> Callable[[str], None]:
    return lambda step: progress({"step": step})


TASKS: Final = {"inspect": inspect, "find": find, "reach": reach, "attempt": attempt, "compare": compare}
