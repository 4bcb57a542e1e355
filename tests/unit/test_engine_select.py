"""engine.select: which engine is taken, and what is said about it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from engine_standin import Clock, StandInEngine, spec

from srwatchd.engine.select import check_equipment, choose
from srwatchd.errors import ModelError, TransientError

BROKEN = ModelError("model_unusable", "does not load")


def settings(**changes: Any) -> SimpleNamespace:
    return SimpleNamespace(**({"name": "auto", "device": "auto", "precision": "f32", "threads": 0} | changes))


def pair(**slow: Any) -> tuple[Clock, StandInEngine, StandInEngine]:
    clock = Clock()
    return clock, StandInEngine("slow", clock, 2.0, **slow), StandInEngine("fast", clock, 0.5)


def test_auto_takes_the_faster() -> None:
    """Both are timed, the faster one is taken, the other one is named as the one to fall back to."""
    clock, slow, fast = pair()
    network, choice = choose(settings(), spec(), among=[slow, fast], clock=clock)
    assert (network.engine, choice.engine, choice.device, choice.others) == ("fast", "fast", "cpu", ("slow",))
    assert choice.timings == {"fast cpu": 0.5, "slow cpu": 2.0}
    assert choice.seconds_per_megapixel == pytest.approx(0.5)
    assert choice.reason == "fast cpu in f32 is the fastest that works (per megapixel: fast cpu 0.5 s, slow cpu 2 s)"


def test_for_little_work_the_first_that_works_is_taken() -> None:
    """The first one fails, the second is taken without a look at the third, which stays to fall back to."""
    clock, slow, fast = pair()
    broken = StandInEngine("broken", clock, failure=BROKEN)
    network, choice = choose(settings(), spec(), timed=False, among=[broken, slow, fast], clock=clock)
    assert (network.engine, choice.engine, choice.others, choice.timings) == ("slow", "slow", ("fast",), {})
    assert choice.reason == (
        "slow cpu in f32 is the first that works (not timed, for so little); not broken cpu: does not load"
    )
    assert not fast.opened
    limited = spec(engines=("slow", "broken"))
    _, choice = choose(settings(), limited, timed=False, among=[slow, fast], clock=clock)
    assert choice.others == (), "what did not run right when it was imported is nothing to fall back to"


def test_a_named_engine_is_taken() -> None:
    """A configuration that names the slower one gets it, with its device, precision and threads."""
    clock, slow, fast = pair(present=("cpu", "gpu"))
    wanted = settings(name="slow", device="gpu", precision="bf16", threads=3)
    network, choice = choose(wanted, spec(), among=[slow, fast], clock=clock)
    assert (network.engine, choice.device, choice.precision) == ("slow", "gpu", "bf16")
    assert slow.opened == [("gpu", "bf16", 3)]
    assert not fast.opened
    assert "as configured" in choice.reason


def test_auto_tries_every_device_but_the_npu() -> None:
    """An NPU computes in f16 only and is used when it is asked for."""
    clock = Clock()
    one = StandInEngine("one", clock, present=("cpu", "gpu", "npu"))
    _, choice = choose(settings(), spec(), among=[one], clock=clock)
    assert [device for device, *_ in one.opened] == ["cpu", "gpu"]
    assert choice.device == "gpu"
    assert choice.others == ()


@pytest.mark.parametrize(
    "trouble", [{"missing": "not installed"}, {"failure": BROKEN}, {"failure": TransientError("out_of_memory", "full")}]
)
def test_auto_survives_an_engine_that_does_not_work(trouble: dict[str, Any]) -> None:
    """The one that works is taken, and the log says why not the other."""
    clock, slow, fast = pair(**trouble)
    _, choice = choose(settings(), spec(), among=[slow, fast], clock=clock)
    assert choice.engine == "fast"
    assert "; not slow " in choice.reason
    [said] = choice.warnings
    assert said.startswith("not slow ")


@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        ({"missing": "not installed"}, "engine_unavailable"),
        ({"failure": BROKEN}, "model_unusable"),
        ({"failure": ModelError("engine_unavailable", "no gpu")}, "engine_unavailable"),
        ({"failure": ModelError("model_missing", "gone")}, "model_missing"),
        ({"failure": TransientError("out_of_memory", "full")}, "out_of_memory"),
    ],
)
def test_a_named_engine_that_does_not_work_is_an_error(trouble: dict[str, Any], code: str) -> None:
    """There is no silent fallback from a name."""
    clock, slow, fast = pair(**trouble)
    with pytest.raises((ModelError, TransientError)) as caught:
        choose(settings(name="slow"), spec(), among=[slow, fast], clock=clock)
    assert caught.value.code == code


def test_an_unknown_engine_is_an_error() -> None:
    """The message lists what there is."""
    clock, slow, fast = pair()
    with pytest.raises(ModelError, match="only slow, fast") as caught:
        choose(settings(name="onnxruntime"), spec(), among=[slow, fast], clock=clock)
    assert caught.value.code == "engine_unavailable"


@pytest.mark.parametrize("passed_over", [{"absent": True, "missing": "not installed"}, {"unreadable": True}])
def test_auto_says_nothing_of_an_engine_that_is_not_meant(passed_over: dict[str, Any]) -> None:
    """One that nobody installed, or that does not read such files, is no news; named it is an error."""
    clock, slow, fast = pair(**passed_over)
    _, choice = choose(settings(), spec(), among=[slow, fast], clock=clock, accelerators=dict)
    assert (choice.engine, choice.others, choice.warnings) == ("fast", (), ())
    assert not slow.opened
    if "absent" in passed_over:
        with pytest.raises(ModelError, match="not installed"):
            check_equipment(settings(name="slow"), among=[slow, fast])


def test_a_named_device_is_used_by_who_has_it() -> None:
    """The engines without it are no news."""
    clock, slow, fast = pair(present=("cpu", "cuda"))
    _, choice = choose(settings(device="cuda"), spec(), among=[slow, fast], clock=clock, accelerators=dict)
    assert (choice.engine, choice.device, choice.others, choice.warnings) == ("slow", "cuda", (), ())


@pytest.mark.parametrize("name", ["auto", "slow"])
@pytest.mark.parametrize("device", ["gpu", "npu", "cuda"])
def test_a_named_device_that_is_missing_is_an_error(name: str, device: str) -> None:
    """It says which, what there is instead, why, and what to do; nothing is opened."""
    _, slow, fast = pair()
    wanted = settings(name=name, device=device)
    for ask in (
        lambda: check_equipment(wanted, among=[slow, fast]),
        lambda: choose(wanted, spec(), among=[slow, fast]),
    ):
        with pytest.raises(ModelError) as caught:
            ask()
        assert caught.value.code == "engine_unavailable"
        assert f"{device!r} here" in caught.value.message
        assert f"it has no {device}" in caught.value.message
        assert caught.value.message.endswith("there is: cpu")
        assert "engine.device to auto" in caught.value.hint
    assert not slow.opened


def test_an_accelerator_that_nobody_can_use_is_a_warning() -> None:
    """Under auto the next best works on, and the log says what is missing; who asks for the cpu hears nothing."""
    clock, slow, fast = pair()
    found = {"cuda": "/dev/nvidia0"}
    _, choice = choose(settings(), spec(), among=[slow, fast], clock=clock, accelerators=lambda: found)
    [said] = choice.warnings
    assert said.startswith(
        "/dev/nvidia0 is here, and no engine can use it (slow: it has no cuda; fast: it has no cuda)"
    )
    assert "srwatchd[cuda]" in said
    assert (choice.engine, choice.device) == ("fast", "cpu")
    _, quiet = choose(settings(device="cpu"), spec(), among=[slow, fast], clock=clock, accelerators=lambda: found)
    assert quiet.warnings == ()


def test_an_accelerator_that_fails_is_a_warning() -> None:
    """Under auto the processor works on."""
    clock = Clock()
    broken = StandInEngine("gpu only", clock, failure=ModelError("model_unusable", "no kernel"), present=("cuda",))
    fine = StandInEngine("fine", clock)
    found = {"cuda": "/dev/nvidia0"}
    _, choice = choose(settings(), spec(), among=[broken, fine], clock=clock, accelerators=lambda: found)
    assert (choice.engine, choice.warnings) == ("fine", ("not gpu only cuda: no kernel",))
