"""Pin every file that an image or a wheelhouse is made of, by hash, for x86-64 and arm64.

    python packaging/lock.py            writes runtime.lock, build.lock and onnx.lock beside this file
    python packaging/lock.py --check    ends with 1 if they are not what it would write

pip resolves what pyproject.toml asks for, at the versions in constraints.txt, once for each processor and Python,
without downloading or installing a wheel. That it succeeds proves that every dependency has a wheel there. The
exception is pyvips, which exists as source only; it is built with what build.lock lists, and needs no compiler.

Wants a package index and a pip that knows reports (22.2 or newer) in the Python that runs it.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any, Final, TypeAlias

__all__ = ["PROCESSORS", "PYTHONS", "main"]

Pins: TypeAlias = dict[tuple[str, str], set[str]]
"""Name and version of a package, and the sha256 of every file of it that some installation takes."""

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parent
PROCESSORS: Final = ("x86_64", "aarch64")
PYTHONS: Final = ("3.11", "3.12", "3.13")

_GLIBC: Final = range(17, 42)
"""Minor versions of glibc 2 whose wheels run on every system the project supports; 2.35 is what the newest asks for."""

_SOURCES: Final = {"pyvips": ["pyvips-binary", "cffi"]}
"""Packages without wheels, and the packages that stand for their own requirements."""

_SOURCE_BUILD: Final = ["setuptools", "cffi", "pkgconfig"]
"""What pyvips is built with; hatchling, for srwatchd itself, is in pyproject.toml."""

_INSTALLER: Final = ["pip"]
"""What a wheelhouse is made with, and installed with on its box."""

_HEAD: Final = """\
# {what}
# Made by `python packaging/lock.py` from pyproject.toml and constraints.txt; do not edit.
# For Python {pythons} on {processors}: pip install --require-hashes -r {name}
"""


def _pip(*words: str) -> Pins:
    """The name, version and file hashes of everything that ``pip install words`` would install."""
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--ignore-installed"]
        command += ["--report", report.name, "--constraint", str(ROOT / "constraints.txt"), *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        installs: list[dict[str, Any]] = json.load(report)["install"]
    pins: Pins = {}
    for each in installs:
        key = (re.sub(r"[-_.]+", "-", each["metadata"]["name"]).lower(), each["metadata"]["version"])
        pins.setdefault(key, set()).add(each["download_info"]["archive_info"]["hashes"]["sha256"])
    return pins


def _wheels(requirements: list[str]) -> Pins:
    """What ``requirements`` come to, as wheels only, on every processor and Python together."""
    pins: Pins = {}
    for processor in PROCESSORS:
        tags = [word for minor in _GLIBC for word in ("--platform", f"manylinux_2_{minor}_{processor}")]
        tags += ["--platform", f"manylinux2014_{processor}"]
        for python in PYTHONS:
            print(f"{len(requirements)} requirements on {processor}, Python {python}", file=sys.stderr)
            with tempfile.TemporaryDirectory() as nowhere:
                target = ["--target", nowhere, "--implementation", "cp", "--python-version", python]
                found = _pip("--only-binary", ":all:", *target, *tags, *requirements)
            for key, hashes in found.items():
                pins.setdefault(key, set()).update(hashes)
    return pins


def _runtime(project: dict[str, Any]) -> Pins:
    wanted: list[str] = []
    sources: list[str] = []
    for requirement in [*project["project"]["dependencies"], *_asked_for(project, "console")]:
        plain = requirement.partition(";")[0].strip()  # the markers hold on both processors
        name = re.split(r"[^A-Za-z0-9_.-]", plain, maxsplit=1)[0]
        if name in _SOURCES:
            sources.append(name)
            wanted += _SOURCES[name]
        else:
            wanted.append(plain)
    return _wheels(wanted) | _pip("--no-deps", "--no-binary", ":all:", *sources)


def _extra(project: dict[str, Any], extra: str, runtime: Pins) -> Pins:
    """What ``extra`` brings besides ``runtime``."""
    return {key: hashes for key, hashes in _wheels(_asked_for(project, extra)).items() if key not in runtime}


def _asked_for(project: dict[str, Any], extra: str) -> list[str]:
    wanted: list[str] = project["project"]["optional-dependencies"][extra]
    return wanted


def _text(name: str, what: str, pins: Pins) -> str:
    head = _HEAD.format(what=what, name=name, pythons=", ".join(PYTHONS), processors=" and ".join(PROCESSORS))
    lines = [
        " \\\n    ".join([f"{package}=={version}", *(f"--hash=sha256:{each}" for each in sorted(hashes))])
        for (package, version), hashes in sorted(pins.items())
    ]
    return head + "\n".join(lines) + "\n"


def main() -> int:
    """Write or check both lists; the exit status."""
    parser = argparse.ArgumentParser(description="Pin every file of an installation by hash.")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    check = parser.parse_args().check
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    runtime = _runtime(project)
    lists = {
        "runtime.lock": ("What srwatchd needs to run.", runtime),
        "onnx.lock": ("What the extra onnx adds to it.", _extra(project, "onnx", runtime)),
        "build.lock": (
            "What srwatchd's own wheel and pyvips are built with, and what installs them.",
            _wheels([*project["build-system"]["requires"], *_SOURCE_BUILD, *_INSTALLER]),
        ),
    }
    status = 0
    for name, (what, pins) in lists.items():
        text = _text(name, what, pins)
        path = HERE / name
        if not check:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            print(f"{path} is not what `python packaging/lock.py` writes", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
