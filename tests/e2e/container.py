"""Building the image and running what compose.yaml says, without an engine daemon and apart from anybody's images.

buildah and podman work on a storage of their own below a temporary folder. The base image is a Debian of the release
that the Dockerfile names, made by mmdebstrap once and kept in ``$XDG_CACHE_HOME/srwatchd-tests``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
STANDIN = "localhost/srwatchd-base:1"
IMAGE = "localhost/srwatchd:test"
TOOLS = ("buildah", "podman", "runc", "mmdebstrap")
SECONDS = 900
_NOT_RUN = {"profiles", "depends_on", "command", "ports"}
"""Keys of compose.yaml that are not about the container itself."""


def missing():
    """Why images cannot be built and run here; None if they can."""
    if os.geteuid() != 0:
        return "only root can make a base image and run a container without an engine"
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"not installed: {', '.join(absent)} (apt-get install {' '.join(TOOLS)})" if absent else None


def base_release():
    """The Debian release of the base that the Dockerfile names."""
    found = re.search(r"^ARG BASE=\S+:3\.\d+-slim-(\w+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert found, "the Dockerfile names no base of the form python:3.x-slim-RELEASE"
    return found[1]


def base_archive():
    """A root file system of that release with Python, as a tar file; made at the first use."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "srwatchd-tests"
    archive = cache / f"base-{base_release()}.tar"
    if not archive.exists():
        cache.mkdir(parents=True, exist_ok=True)
        part = cache / f".{archive.name}.{os.getpid()}.tar"
        made = ["mmdebstrap", "--quiet", "--variant=minbase", "--include=python3,python3-venv,ca-certificates"]
        subprocess.run([*made, base_release(), str(part)], check=True, timeout=SECONDS)
        part.rename(archive)
    return archive


@dataclass(frozen=True, slots=True)
class Engine:
    """buildah and podman with their images and containers in ``folder``."""

    folder: Path
    volatile: Path
    """Their mounts and locks. podman refuses more than 50 characters here."""

    @classmethod
    def at(cls, folder: Path):
        """An engine without images."""
        return cls(folder, Path(tempfile.mkdtemp(prefix="srwatchd-", dir="/tmp")))

    def _storage(self):
        return ["--root", str(self.folder), "--runroot", str(self.volatile)]

    def podman(self, *words, check=True, data=b""):
        """One podman command to its end, with ``data`` for it to read; the completed process with text output."""
        plain = ["--runtime", "runc", "--cgroup-manager", "cgroupfs", "--events-backend", "file"]
        command = ["podman", *self._storage(), *plain, *map(str, words)]
        done = subprocess.run(command, input=data, capture_output=True, timeout=SECONDS, check=False)
        done.stdout, done.stderr = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        assert not check or done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def build(self, *arguments):
        """The Dockerfile on the stand-in, from a copy of nothing but the checkout."""
        self.podman("import", "--quiet", base_archive(), STANDIN)
        command = ["buildah", *self._storage(), "build", "--isolation", "chroot", "--pull-never", "--format", "docker"]
        for path in ("/etc/ssl/certs", "/etc/pip.conf"):  # how this machine reaches its package index
            command += ["--volume", f"{path}:{path}:ro"] if Path(path).exists() else []
        command += ["--build-arg", f"BASE={STANDIN}", *arguments, "--tag", IMAGE, str(ROOT)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]

    def sizes(self):
        """Bytes of the base and of all that the Dockerfile adds to it."""
        layers = json.loads(self.podman("image", "history", "--format", "json", IMAGE).stdout)
        return layers[-1]["size"], sum(layer["size"] for layer in layers[:-1])

    def remove(self):
        """Every container, volume and image, and what still is mounted for them."""
        self.podman("rm", "--all", "--force", "--time", "0", check=False)
        self.podman("system", "reset", "--force", check=False)
        for each in (self.folder, self.volatile):
            shutil.rmtree(each, ignore_errors=True)


def podman_options(places: dict[str, Path], name: str = "srwatchd") -> list[str]:
    """A service of compose.yaml as options of ``podman run``: every key of it is translated, or fails the test.

    ``places`` has the test's own folder for each host folder of the file.
    """
    document = yaml.safe_load((ROOT / "compose.yaml").read_text())
    assert set(document) == {"name", "services", "networks", "volumes"}
    assert list(document["services"]) == ["srwatchd", "console"]
    service = document["services"][name]
    assert service.pop("image") == "srwatchd"
    for mount in service["volumes"]:
        assert mount.partition(":")[0] in {*places, *document["volumes"]}, f"{mount} is no place of this test"
    if service.pop("networks", None):  # it is reached from inside: no network can be made where tests run
        service["network_mode"] = "none"
    told = [(key, value) for key, value in service.items() if key not in _NOT_RUN]
    return [option for key, value in told for option in _translated(key, value, places)]


def _translated(key: str, value: Any, places: dict[str, Path]) -> list[str]:  # noqa: PLR0911 - a table
    match key:
        case "restart" | "user":
            return [f"--{key}={value}"]
        case "network_mode" | "mem_limit":
            return [f"--{key.partition('_')[0].replace('mem', 'memory')}={value}"]
        case "read_only":
            return [f"--read-only={str(value).lower()}"]
        case "pids_limit" | "cpu_shares":
            return [f"--{key.replace('_', '-')}={value}"]
        case "cap_drop" | "security_opt" | "tmpfs":
            return [f"--{key.replace('_', '-')}={each}" for each in value]
        case "stop_grace_period":
            return [f"--stop-timeout={value.removesuffix('s')}"]
        case "volumes":
            pairs = (each.split(":", 1) for each in value)
            return [f"--volume={places.get(source, source)}:{rest}" for source, rest in pairs]
        case "logging":
            return [f"--log-driver={value['driver']}", *(f"--log-opt={k}={v}" for k, v in value["options"].items())]
        case "healthcheck":
            kind, command = value["test"]
            assert kind == "CMD-SHELL"
            rest = {name.replace("_", "-"): each for name, each in value.items() if name != "test"}
            return [f"--health-cmd={command.replace('$$', '$')}", *(f"--health-{k}={v}" for k, v in rest.items())]
        case _:
            raise AssertionError(f"{key} has no translation")


def inspected(engine: Engine, name: str) -> dict[str, Any]:
    """What podman knows of a container."""
    return json.loads(engine.podman("inspect", name).stdout)[0]
