"""The workers that look at a model before it is taken in: one to read it, one for each engine to try it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from srwatchd.config.manifests import entry_of
from srwatchd.config.models import ModelSpec, entry_spec
from srwatchd.config.publicmodels import FAMILIES
from srwatchd.errors import ModelError, PermanentError, RefusedError, SrwatchdError, TransientError
from srwatchd.pipeline.memory import plan_memory
from srwatchd.worker.confinement import Confinement
from srwatchd.worker.launch import SpawnSettings
from srwatchd.worker.process import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from srwatchd.config import Config
    from srwatchd.config.publicmodels import PublicModel

__all__ = ["Bench", "Found"]

_ENGINES: Final = ("openvino", "opencv", "onnxruntime")
_EXTRA: Final = "onnxruntime"
"""An engine that need not be installed, and reads ONNX only: where it cannot try a model, that says nothing of it."""
_SECONDS: Final = 600.0
"""Without a sign of progress; the slowest step is one inference of a large network on a small picture."""
_SAME_MEAN: Final = 1.0
_SAME_WORST: Final = 3
_MEASURED: Final = frozenset({"fsrcnn", "espcn", "lapsrn"})
"""Families whose memory is known for every member."""
_FAILURES: Final = (ModelError, TransientError, PermanentError)


@dataclass(frozen=True, slots=True)
class Found:
    """A staged model file: what it is called, where it lies, its checksum and its original's, and what it holds."""

    name: str
    path: Path
    sha256: str
    source_sha256: str
    origin: str
    facts: dict[str, Any]


class Bench:
    """Asks workers about staged models. ``said`` is told what is being done."""

    def __init__(self, config: Config, staging: Path, said: Callable[[str], None]) -> None:
        plan = plan_memory(config.memory_limit, config.workers)
        self._threads = config.engine.threads or max(1, (os.cpu_count() or 1) // config.workers)
        self._memory = plan.inference_memory
        self._limit = plan.inference_limit(self._threads)
        self._staging = staging
        self._said = said

    async def inspect(self, source: Path, target: Path) -> dict[str, Any]:
        """What the file ``source`` holds; ``target`` gets the form in which it is kept when that differs."""
        self._said("reading it")
        read = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        write = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            return await self._ask("inspect", {}, [read, write], readable=())
        except _FAILURES as error:
            raise _refused("the file cannot be read as a model", error) from error
        finally:
            os.close(read)
            os.close(write)

    async def examined(
        self, found: Found, declared: dict[str, Any], public: PublicModel | None
    ) -> tuple[ModelSpec, list[dict[str, str]], dict[str, str]]:
        """The model with all its facts, how each is known, and how each engine got on with it."""
        if found.facts["format"] == "onnx":
            spec, evidence = await self._network_found(found, declared)
        else:
            spec, evidence = await self._graph_found(found, declared, public)
        evidence.append({"fact": "parameters", "value": f"{spec.parameters:,}", "how": "counted", "reason": ""})
        if found.facts["change"]:
            evidence.append({"fact": "file", "value": found.facts["change"], "how": "rewritten", "reason": ""})
        measure = spec.architecture not in _MEASURED
        trials, failures = await self._tried(spec, measure=measure)
        spec = replace(
            spec,
            macs_per_input_pixel=max(each["macs_per_input_pixel"] for each in trials.values()),
            engines=tuple(trials) if any(isinstance(each, ModelError) for each in failures.values()) else (),
            memory_per_pixel={name: int(each["memory_per_pixel"]) for name, each in trials.items()} if measure else {},
        )
        return spec, evidence, _told(trials, failures)

    async def attempted(self, spec: ModelSpec) -> dict[str, str]:
        """How each engine gets on with a model of which a manifest says everything."""
        return _told(*await self._tried(spec, measure=False))

    async def _network_found(self, found: Found, declared: dict[str, Any]) -> tuple[ModelSpec, list[dict[str, str]]]:
        """The facts of an ONNX network, by running it on the first engine that can."""
        base = _base(found, architecture=declared.pop("architecture", "onnx"))
        params = {"declared": declared, "sizes": found.facts["sizes"]}
        first: SrwatchdError | None = None
        for engine in _ENGINES:
            try:
                answer = await self._engine("find", engine, base, params)
            except (*_FAILURES, RefusedError) as error:
                first = first or error
                continue
            spec = entry_spec(answer["entry"], self._staging)
            return spec, list(answer["facts"])
        assert first is not None  # noqa: S101 - there are engines
        raise first if isinstance(first, RefusedError) else _refused("it runs on no engine", first)

    async def _graph_found(
        self, found: Found, declared: dict[str, Any], public: PublicModel | None
    ) -> tuple[ModelSpec, list[dict[str, str]]]:
        """The facts of a frozen graph: those of the public one that it is, or of the family that is declared."""
        architecture = public.architecture if public else str(declared["architecture"])
        if architecture not in FAMILIES:
            known = ", ".join(FAMILIES)
            raise RefusedError("model_refused", f"{architecture!r} is no family of frozen graphs: {known}")
        family = FAMILIES[architecture]
        how, reason = ("recognised", public.file) if public else ("declared", "")
        spec = replace(
            _base(found, architecture=architecture),
            scale=public.scale if public else int(declared["scale"]),
            input_colour=declared.get("colour", family.input_colour),
            input_range=declared.get("input_range", family.input_range),
            mean=declared.get("mean", family.mean),
        )
        values = {"architecture": architecture, "scale": f"x{spec.scale}", "input_colour": spec.input_colour}
        evidence = [{"fact": key, "value": value, "how": how, "reason": reason} for key, value in values.items()]
        span = f"{spec.input_range[0]:g}..{spec.input_range[1]:g}"
        evidence.append({"fact": "input_range", "value": span, "how": how, "reason": reason})
        if public or "radius" in declared:
            radius = declared.get("radius", public.receptive_radius if public else 0)
        else:
            radius, how, reason = await self._radius(spec), "found", "the context that a pixel needs"
        evidence.append({"fact": "receptive_radius", "value": str(radius), "how": how, "reason": reason})
        return replace(spec, receptive_radius=radius), evidence

    async def _radius(self, spec: ModelSpec) -> int:
        failure: SrwatchdError | None = None
        for engine in _ENGINES:
            try:
                return int((await self._engine("reach", engine, spec, {}))["receptive_radius"])
            except _FAILURES as error:
                failure = failure or error
        assert failure is not None  # noqa: S101 - there are engines
        raise _refused(f"it does not run as {spec.architecture} x{spec.scale}", failure)

    async def _tried(
        self, spec: ModelSpec, *, measure: bool
    ) -> tuple[dict[str, dict[str, Any]], dict[str, SrwatchdError]]:
        """What each engine made of ``spec``, and why the others do not run it. At least one does."""
        trials: dict[str, dict[str, Any]] = {}
        failures: dict[str, SrwatchdError] = {}
        pictures: dict[str, int] = {}
        try:
            for engine in _ENGINES:
                pictures[engine] = os.open(self._staging, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
                params = {"measure": measure, "memory": self._memory}
                try:
                    trials[engine] = await self._engine("attempt", engine, spec, params, [pictures[engine]])
                except _FAILURES as error:
                    if not (engine == _EXTRA and error.code == "engine_unavailable"):
                        failures[engine] = error
            await self._compare(spec, trials, failures, pictures)
        finally:
            for each in pictures.values():
                os.close(each)
        if not trials:
            text = "; ".join(f"{engine}: {_short(error)}" for engine, error in failures.items())
            raise RefusedError("model_refused", f"{spec.name} runs right on no engine: {text}", hint=_hint(failures))
        return trials, failures

    async def _compare(
        self,
        spec: ModelSpec,
        trials: dict[str, dict[str, Any]],
        failures: dict[str, SrwatchdError],
        pictures: dict[str, int],
    ) -> None:
        """All engines give one picture; where they do not, the one that restores a known picture best is right."""
        if not trials:
            return
        best, *others = sorted(trials, key=lambda each: float(trials[each]["decibels"]), reverse=True)
        for each in others:
            both = [pictures[best], pictures[each]]
            apart = await self._ask("compare", {"scale": spec.scale}, both, readable=())
            if apart["mean"] > _SAME_MEAN or apart["worst"] > _SAME_WORST:
                how = f"by {apart['mean']:g} levels, at most {apart['worst']}"
                text = f"gives another and worse picture than {best} ({how})"
                failures[each] = ModelError("model_unusable", text)
                del trials[each]

    async def _engine(
        self, op: str, engine: str, spec: ModelSpec, params: dict[str, Any], fds: Sequence[int] = ()
    ) -> dict[str, Any]:
        given = {**params, "engine": engine, "threads": self._threads}
        given |= {"entry": entry_of(spec), "folder": str(spec.path.parent)}
        return await self._ask(op, given, fds, readable=(str(spec.path.parent),))

    async def _ask(
        self, op: str, params: dict[str, Any], fds: Sequence[int], *, readable: tuple[str, ...]
    ) -> dict[str, Any]:
        """One question to a fresh worker that can reach nothing but ``readable``, and ends after its answer."""
        settings = SpawnSettings(
            role="import",
            tasks="srwatchd.pipeline.import_tasks:TASKS",
            data_limit=self._limit,
            threads=self._threads,
            confinement=Confinement(readable=readable),
        )
        worker = await Worker.spawn(settings)
        where = params.get("engine", "")

        def told(progress: dict[str, Any]) -> None:
            """Say which step of the trial has begun, and where."""
            self._said(f"{where}: {progress['step']}")

        try:
            return await worker.call(op, params, fds, deadline=_SECONDS, on_progress=told)
        finally:
            await worker.stop()


def _base(found: Found, *, architecture: str) -> ModelSpec:
    """A model of which only the file is known."""
    return ModelSpec(
        name=found.name,
        architecture=architecture,
        scale=2,
        path=found.path,
        sha256=found.sha256,
        input_colour="y",
        input_range=(0.0, 1.0),
        mean=(),
        output_node=str(found.facts["output"]),
        receptive_radius=0,
        parameters=int(found.facts["parameters"]),
        macs_per_input_pixel=0,
        source=found.origin,
        source_sha256=found.source_sha256,
    )


def _told(trials: dict[str, dict[str, Any]], failures: dict[str, SrwatchdError]) -> dict[str, str]:
    """How each engine got on, in words."""
    told = {}
    for engine, trial in trials.items():
        told[engine] = (
            f"works, {trial['seconds_per_megapixel']:.3g} s per megapixel; {trial['decibels']:.1f} dB on a known "
            f"picture, plain interpolation {trial['interpolation']:.1f}"
        )
    return told | {engine: f"does not run it: {_short(error)}" for engine, error in failures.items()}


def _refused(what: str, error: SrwatchdError) -> RefusedError:
    return RefusedError("model_refused", f"{what}: {_short(error)}", hint=_hint({"": error}))


def _short(error: SrwatchdError) -> str:
    """Its message; of a traceback, which a foreign file may well cause, the last line."""
    return error.message.strip().splitlines()[-1] if error.code == "internal_error" else error.message


def _hint(failures: dict[str, SrwatchdError]) -> str:
    """What to do: memory if that was missing anywhere, else the file or what is said about it is wrong."""
    codes = {error.code for error in failures.values()}
    if "out_of_memory" in codes or any("memory_limit" in error.message for error in failures.values()):
        return "Raise memory_limit in the configuration: this network needs more than a worker has."
    return "Check what is declared about it, or get the file again: it may be damaged or no super-resolution network."
