"""Which engine runs a model on this machine: the one that was asked for, or the fastest one that works."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from srwatchd.engine.opencv import OpenCVEngine
from srwatchd.engine.openvino import OpenVINOEngine
from srwatchd.engine.smoke import smoke_test
from srwatchd.errors import ModelError, SrwatchdError, TransientError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from srwatchd.config.models import ModelSpec
    from srwatchd.engine.base import Engine, Network

__all__ = ["Choice", "EngineSettings", "choose", "engines"]

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
    engines that work besides the chosen one, fastest first, ``seconds_per_megapixel`` that of the chosen one.
    ``reason`` is a sentence for the log.
    """

    engine: str
    device: str
    precision: str
    reason: str
    seconds_per_megapixel: float
    timings: dict[str, float] = field(hash=False)
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Working:
    network: Network
    seconds: float

    @property
    def label(self) -> str:
        return f"{self.network.engine} {self.network.device}"


def engines() -> tuple[Engine, ...]:
    """Every engine of this build, each whether it is available here or not; the reference first."""
    return OpenCVEngine(), OpenVINOEngine()


def choose(
    settings: EngineSettings,
    spec: ModelSpec,
    *,
    among: Sequence[Engine] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[Network, Choice]:
    """Open ``spec`` as ``settings`` ask, smoke-test it, and say why it runs where it does.

    ``auto`` opens the model on every engine and device that is there (an NPU only by name), times each on a small
    tile after a warm-up, and keeps the fastest one that passes. Raises ``ModelError``: ``engine_unavailable`` when
    the engine or device asked for is missing, ``model_unusable`` when the model fails on all of them,
    ``model_missing``; and ``TransientError("out_of_memory")`` when memory was all that was missing.
    """
    offered = {engine.name: engine for engine in (engines() if among is None else among)}
    if settings.name != "auto" and settings.name not in offered:
        raise ModelError("engine_unavailable", f"this build has no {settings.name!r} engine, only {', '.join(offered)}")
    wanted = offered if settings.name == "auto" else {settings.name: offered[settings.name]}
    working: list[_Working] = []
    failures: dict[str, SrwatchdError] = {}
    for engine in wanted.values():
        for device in _devices(engine, settings.device):
            try:
                working.append(_tried(engine, device, settings, spec, clock))
            except (ModelError, TransientError) as error:
                if error.code in _SPOILED:
                    raise
                failures[f"{engine.name} {device}"] = error
    if not working:
        raise _failure(spec, failures)
    working.sort(key=lambda one: one.seconds)
    return working[0].network, _choice(working, failures, auto=settings.name == "auto")


def _devices(engine: Engine, wanted: str) -> tuple[str, ...]:
    """What to try on ``engine``; at least one, so that its refusal is on record."""
    if wanted != "auto":
        return (wanted,)
    return tuple(device for device in engine.devices() if device != "npu") or ("auto",)


def _tried(
    engine: Engine, device: str, settings: EngineSettings, spec: ModelSpec, clock: Callable[[], float]
) -> _Working:
    if (reason := engine.available()) is not None:
        raise ModelError("engine_unavailable", f"{engine.name}: {reason}")
    if spec.engines and engine.name not in spec.engines:
        raise ModelError("model_unusable", f"{spec.name} did not run right on {engine.name} when it was imported")
    network = engine.open(spec, device=device, precision=settings.precision, threads=settings.threads)
    return _Working(network, smoke_test(network, clock=clock).seconds_per_megapixel)


def _choice(working: Sequence[_Working], failures: Mapping[str, SrwatchdError], *, auto: bool) -> Choice:
    best = working[0]
    timings = {one.label: round(one.seconds, 4) for one in working}
    times = ", ".join(f"{label} {seconds:.3g} s" for label, seconds in timings.items())
    why = "the fastest that works" if auto else "as configured"
    missing = "".join(f"; not {label}: {error.message}" for label, error in failures.items())
    others = dict.fromkeys(one.network.engine for one in working if one.network.engine != best.network.engine)
    return Choice(
        engine=best.network.engine,
        device=best.network.device,
        precision=best.network.precision,
        reason=f"{best.label} in {best.network.precision} is {why} (per megapixel: {times}){missing}",
        seconds_per_megapixel=best.seconds,
        timings=timings,
        others=tuple(others),
    )


def _failure(spec: ModelSpec, failures: Mapping[str, SrwatchdError]) -> SrwatchdError:
    """One error for all that went wrong: of memory if that was among it, else of the model, else of the engines."""
    text = f"{spec.name}: " + "; ".join(error.message for error in failures.values())
    codes = {error.code for error in failures.values()}
    if "out_of_memory" in codes:
        return TransientError("out_of_memory", text)
    return ModelError("model_unusable" if "model_unusable" in codes else "engine_unavailable", text)
