"""Configuration: the YAML file, the registry of models, and the files that come with srwatchd.

The only home of YAML. Nothing here makes or changes a file.
"""

from srwatchd.config.console import Console
from srwatchd.config.data import data_path
from srwatchd.config.implied import implied_id
from srwatchd.config.loader import load
from srwatchd.config.models import ModelSpec, find_models, missing_models, read_manifest, verify_file
from srwatchd.config.schema import (
    MINIMUM_MEMORY,
    Audit,
    Config,
    Defaults,
    Engine,
    Folder,
    Hooks,
    Keep,
    Limits,
    Log,
    Metrics,
    Output,
    Retention,
    Retry,
    Source,
    memory_floor,
)
from srwatchd.config.template import init_text
from srwatchd.config.units import ActiveHours, parse_duration, parse_size

__all__ = [
    "MINIMUM_MEMORY",
    "ActiveHours",
    "Audit",
    "Config",
    "Console",
    "Defaults",
    "Engine",
    "Folder",
    "Hooks",
    "Keep",
    "Limits",
    "Log",
    "Metrics",
    "ModelSpec",
    "Output",
    "Retention",
    "Retry",
    "Source",
    "data_path",
    "find_models",
    "implied_id",
    "init_text",
    "load",
    "memory_floor",
    "missing_models",
    "parse_duration",
    "parse_size",
    "read_manifest",
    "verify_file",
]
