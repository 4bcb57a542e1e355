"""Which engine runs a model on this machine: the one that was asked for, or the fastest one that works."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from srwatchd.engine.accelerators import NO_SUCH_DEVICE, missing_device, unused, visible
from srwatchd.engine.onnxruntime import OnnxRuntimeEngine
from srwatchd.engine.opencv import OpenCVEngine
from srwatchd.engine.openvino import OpenVINOEngine
from srwatchd.engine.smoke import smoke_test
from srwatchd.errors import ModelError, SrwatchdError, TransientError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from srwatchd.config.models import ModelSpec
    from srwatchd.engine.base import Engine, Network

__all__ = ["Choice", "EngineSettings", "check_equipment", "choose", "engines"]

_SPOILED: Final = ("model_missing", "model_altered")
"""What no other engine can help."""


class EngineSettings(Protocol):
    """The part ``engine`` of the configuration."""

    @property
    def name(self) -> str:
        """``auto`` or an engine's name."""
        ...

    @property
    def device(self) -> str:
        """``auto``, ``cpu``, ``gpu``, ``npu`` or ``cuda``."""
        ...

    @property
    def precision(self) -> str:
        """The least precise arithmetic that is allowed: ``f32``, ``bf16`` or ``f16``."""
        ...

    @property
    def threads(self) -> int:
        """Threads of an engine; 0 leaves it to the engine."""
        ...


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen for a model, and why.

    ``timings`` is seconds per megapixel of input for each that works ("openvino cpu"), ``others`` the names of the
    engines that work besides the chosen one, fastest first, ``seconds_per_megapixel`` that of the chosen one. When
    nothing was timed, ``others`` were not tried either, and ``seconds_per_megapixel`` is more than a tile takes.
    ``reason`` is a sentence for the log; ``warnings`` say what is here and could not be used.
    """

    engine: str
    device: str
    precision: str
    reason: str
    seconds_per_megapixel: float
    timings: dict[str, float] = field(hash=False)
    others: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Working:
    network: Network
    seconds: float

    @property
    def label(self) -> str:
        """Engine and device, for messages."""
        return f"{self.network.engine} {self.network.device}"


def engines() -> tuple[Engine, ...]:
    """Every engine of this build, each whether it is available here or not; first what is mostly the fastest."""
    return OpenVINOEngine(), OnnxRuntimeEngine(), OpenCVEngine()


def check_equipment(settings: EngineSettings, *, among: Sequence[Engine] | None = None) -> None:
    """Raise ``ModelError("engine_unavailable")`` unless the engine and the device that ``settings`` name are here."""
    _candidates(settings, _wanted(settings, among))


def choose(
    settings: EngineSettings,
    spec: ModelSpec,
    *,
    timed: bool = True,
    among: Sequence[Engine] | None = None,
    accelerators: Callable[[], Mapping[str, str]] = visible,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[Network, Choice]:
    """Open ``spec`` as ``settings`` ask, smoke-test it, and say why it runs where it does.

    ``auto`` opens the model on every engine that is installed and reads it, and on every device that is there (an NPU
    only by name), times each on a small tile after a warm-up, and keeps the fastest one that passes. What fails, and an
    accelerator (its kind and node, as ``accelerators`` finds them) that no engine can use, becomes a warning. Without
    ``timed`` it keeps the first one that passes: for work that is done before timing would pay. Raises ``ModelError``:
    ``engine_unavailable`` when the engine or device asked for is missing, ``model_unusable`` when the model fails on
    all of them, ``model_missing``; and ``TransientError("out_of_memory")`` when memory was all that was missing.
    """
    wanted = _wanted(settings, among)
    if settings.name == "auto":
        wanted = [engine for engine in wanted if engine.reads(spec)]
    candidates = _candidates(settings, wanted)
    working: list[_Working] = []
    failures: dict[str, SrwatchdError] = {}
    for engine, device in candidates:
        try:
            fastest = min((one.seconds for one in working), default=math.inf)
            network = _opened(engine, device, settings, spec)
            seconds = smoke_test(network, fastest=fastest, timed=timed, clock=clock).seconds_per_megapixel
        except (ModelError, TransientError) as error:
            if error.code in _SPOILED:
                raise
            failures[f"{engine.name} {device}"] = error
        else:
            network.release()
            working.append(_Working(network, seconds))
            if not timed:
                break
    if not working:
        raise _failure(spec, failures)
    working.sort(key=lambda one: one.seconds)
    best = working[0]
    unused = _unused(wanted, candidates, accelerators()) if settings.device == "auto" else ()
    others = [one.network.engine for one in working]
    if not timed:
        untried = (engine for engine, device in candidates if f"{engine.name} {device}" not in failures)
        others = [engine.name for engine in untried if _refusal(engine, spec) is None]
    timings = {one.label: round(one.seconds, 4) for one in working if timed}
    missing = tuple(f"not {label}: {error.message}" for label, error in failures.items())
    return best.network, Choice(
        engine=best.network.engine,
        device=best.network.device,
        precision=best.network.precision,
        reason="; ".join((_reason(best, timings, auto=settings.name == "auto"), *missing)),
        seconds_per_megapixel=best.seconds,
        timings=timings,
        others=tuple(name for name in dict.fromkeys(others) if name != best.network.engine),
        warnings=(*missing, *unused),
    )


def _wanted(settings: EngineSettings, among: Sequence[Engine] | None) -> list[Engine]:
    """The engine that is named, or all that are installed."""
    offered = {engine.name: engine for engine in (engines() if among is None else among)}
    if settings.name == "auto":
        return [engine for engine in offered.values() if engine.installed()]
    if settings.name not in offered:
        raise ModelError("engine_unavailable", f"this build has no {settings.name!r} engine, only {', '.join(offered)}")
    return [offered[settings.name]]


def _candidates(settings: EngineSettings, wanted: Sequence[Engine]) -> list[tuple[Engine, str]]:
    """What to try; an engine that is not available is tried all the same, so that its refusal is on record.

    Raises ``engine_unavailable`` when the named engine is missing, or no engine has the named device.
    """
    reasons = {engine.name: engine.available() for engine in wanted}
    if settings.name != "auto" and (reason := reasons[settings.name]) is not None:
        raise ModelError("engine_unavailable", f"{settings.name}: {reason}")
    if settings.device == "auto":
        return [(engine, device) for engine in wanted for device in _devices(engine)]
    lacking = {engine.name: reasons[engine.name] or engine.lacks(settings.device) for engine in wanted}
    if all(lacking.values()):
        present = dict.fromkeys(device for engine in wanted for device in engine.devices())
        who = "" if settings.name == "auto" else settings.name
        why = lacking[who] if who else "; ".join(f"{name}: {reason}" for name, reason in lacking.items())
        raise missing_device(who, settings.device, why or "", present)
    return [(engine, settings.device) for engine in wanted if lacking[engine.name] is None]


def _devices(engine: Engine) -> tuple[str, ...]:
    return tuple(device for device in engine.devices() if device != "npu") or ("auto",)


def _unused(
    wanted: Sequence[Engine], candidates: Sequence[tuple[Engine, str]], found: Mapping[str, str]
) -> tuple[str, ...]:
    """A sentence for each accelerator that is here and that nothing was tried on."""
    used = {device for _, device in candidates}
    said = []
    for kind, node in found.items():
        if kind not in used:
            why = "; ".join(
                f"{engine.name}: {reason}"
                for engine in wanted
                if engine.available() is None and (reason := engine.lacks(kind)) not in (None, NO_SUCH_DEVICE)
            )
            said.append(unused(kind, node, why))
    return tuple(said)


def _refusal(engine: Engine, spec: ModelSpec) -> ModelError | None:
    """Why ``engine`` cannot be tried with ``spec`` at all."""
    if (reason := engine.available()) is not None:
        return ModelError("engine_unavailable", f"{engine.name}: {reason}")
    if spec.engines and engine.name not in spec.engines:
        return ModelError("model_unusable", f"{spec.name} did not run right on {engine.name} when it was imported")
    return None


def _opened(engine: Engine, device: str, settings: EngineSettings, spec: ModelSpec) -> Network:
    if (refusal := _refusal(engine, spec)) is not None:
        raise refusal
    return engine.open(spec, device=device, precision=settings.precision, threads=settings.threads)


def _reason(best: _Working, timings: Mapping[str, float], *, auto: bool) -> str:
    if not timings:
        why = "the first that works" if auto else "as configured"
        return f"{best.label} in {best.network.precision} is {why} (not timed, for so little)"
    why = "the fastest that works" if auto else "as configured"
    times = ", ".join(f"{label} {seconds:.3g} s" for label, seconds in timings.items())
    return f"{best.label} in {best.network.precision} is {why} (per megapixel: {times})"


def _failure(spec: ModelSpec, failures: Mapping[str, SrwatchdError]) -> SrwatchdError:
    """One error for all that went wrong: of memory if that was among it, else of the model, else of the engines."""
    text = f"{spec.name}: " + "; ".join(error.message for error in failures.values())
    codes = {error.code for error in failures.values()}
    if "out_of_memory" in codes:
        return TransientError("out_of_memory", text)
    return ModelError("model_unusable" if "model_unusable" in codes else "engine_unavailable", text)
