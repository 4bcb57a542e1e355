"""The machine that was measured, in words."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from benchmarks.endurance.report import now

__all__ = ["described", "has_bf16", "run_of"]

_ROOT: Final = Path(__file__).resolve().parents[2]
_PACKAGES: Final = ("numpy", "opencv-contrib-python-headless", "openvino", "onnxruntime", "ncnn", "pyvips-binary")
_SPEAKING: Final = re.compile(r"avx2|avx512f|avx512_vnni|avx512_bf16|avx_vnni|amx_\w+|asimd\w*|sve2?|bf16|i8mm")


def described() -> dict[str, str]:
    """Processor, memory, system, versions of what computes."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": f"{_processor()}, {len(os.sched_getaffinity(0))} cores",
        "instructions": ", ".join(sorted(flag for flag in _flags() if _SPEAKING.fullmatch(flag))) or "not known",
        "memory": f"{memory:.0f} GiB",
        "system": f"Linux {platform.release()}, {platform.machine()}, Python {platform.python_version()}",
        "packages": ", ".join(f"{name} {found}" for name in _PACKAGES if (found := _version(name))),
    }


def run_of(words: str) -> dict[str, str | float]:
    """When, on which code, by which command, and how busy the machine was just before."""
    git = shutil.which("git")
    words_of_git = ["-C", str(_ROOT), "describe", "--always", "--dirty", "--abbrev=7", "--exclude=*"]
    told = subprocess.run([git, *words_of_git], capture_output=True, text=True, check=False).stdout if git else ""
    return {
        "when": now(),
        "commit": told.strip() or "not a checkout",
        "command": words,
        "load": round(os.getloadavg()[0], 2),
    }


def has_bf16() -> bool:
    """Whether the processor multiplies bf16 itself; where it does not, OpenVINO computes in f32 whatever it is told."""
    return bool(_flags() & {"avx512_bf16", "amx_bf16", "bf16"})


def _flags() -> set[str]:
    text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    found = re.search(r"^(?:flags|Features)\s*: (.+)", text, re.MULTILINE)
    return set(found[1].split()) if found else set()


def _processor() -> str:
    text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    found = re.search(r"^model name\s*: (.+)", text, re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
