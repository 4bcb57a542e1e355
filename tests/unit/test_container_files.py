"""Dockerfile, compose.yaml and the pinned lists say the same as each other and as the project."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from srwatchd.config import Config

ROOT = Path(__file__).resolve().parents[2]
PIN = re.compile(r"^([a-z0-9][a-z0-9-]*)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", re.MULTILINE)
LOCKS = ("runtime.lock", "build.lock", "onnx.lock")


def read(*names):
    return ROOT.joinpath(*names).read_text()


def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def constraints():
    lines = (line for line in read("constraints.txt").splitlines() if line and not line.startswith("#"))
    return {plain(name): version for name, _, version in (line.partition("==") for line in lines)}


def pins(lock):
    return {
        name: (version, hashes.split("--hash=")[1:]) for name, version, hashes in PIN.findall(read("packaging", lock))
    }


def service():
    return yaml.safe_load(read("compose.yaml"))["services"]["srwatchd"]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_pinned_list_has_nothing_but_pins_at_the_versions_of_the_constraints(lock):
    """`python packaging/lock.py` was run after the last change of constraints.txt."""
    body = [line for line in read("packaging", lock).splitlines() if not line.startswith(("#", "    "))]
    found = pins(lock)
    assert len(body) == len(found) > 0
    assert {name: version for name, (version, _) in found.items()}.items() <= constraints().items()


def test_everything_that_the_project_asks_for_is_pinned():
    """Neither an image nor a wheelhouse leaves a choice to the day on which it is made."""
    project = tomllib.loads(read("pyproject.toml"))
    for lock, wanted in (
        ("runtime.lock", project["project"]["dependencies"]),
        ("build.lock", project["build-system"]["requires"]),
        ("onnx.lock", project["project"]["optional-dependencies"]["onnx"]),
    ):
        names = {plain(re.match(r"[A-Za-z0-9_.-]+", each)[0]) for each in wanted}
        assert names <= set(pins(lock))


def test_compiled_packages_are_pinned_for_both_processors_and_every_python():
    """Two files at least, one per processor; six where the package is compiled for each Python."""
    found = pins("runtime.lock")
    assert all(len(found[name][1]) >= 2 for name in ("opencv-contrib-python-headless", "pyvips-binary", "watchdog"))
    assert all(len(found[name][1]) >= 6 for name in ("numpy", "openvino", "pydantic-core", "pyyaml", "cffi"))


def test_the_image_copies_only_what_its_context_holds():
    """.dockerignore leaves everything out that it does not name."""
    kept = {line[1:] for line in read(".dockerignore").splitlines() if line.startswith("!")}
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", read("Dockerfile"), re.MULTILINE):
        for source in sources.split():
            assert source == "." or source in kept or any(Path(source).match(each) for each in kept), source
    assert all(list(ROOT.glob(each)) for each in kept)


def test_compose_asks_for_the_health_as_the_image_does():
    """podman-compose builds images without their health check, so it stands in both."""
    options, command = re.search(r"^HEALTHCHECK (.+) \\\n    CMD (.+)$", read("Dockerfile"), re.MULTILINE).groups()
    check = service()["healthcheck"]
    assert check.pop("test") == ["CMD-SHELL", command.replace("$", "$$")]
    assert options.split() == [f"--{name.replace('_', '-')}={value}" for name, value in check.items()]


def test_compose_leaves_the_time_and_the_memory_that_the_daemon_needs():
    """A stop takes at most 25 s; half of memory_limit is for cached files, as in the systemd unit."""
    assert int(service()["stop_grace_period"].removesuffix("s")) >= 30
    assert int(service()["mem_limit"].removesuffix("m")) << 20 >= 1.5 * Config.model_fields["memory_limit"].default


def test_the_user_is_the_same_everywhere():
    """The owner of the folders in the image, the user that it runs as, and compose's."""
    owners = set(re.findall(r"\b(\d{5}:\d{5})\b", read("Dockerfile") + read("compose.yaml").replace("1000:1000", "")))
    assert owners == {"10001:10001"}
