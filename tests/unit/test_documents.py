"""The documents say what the program does: generated parts, keys, commands, links, versions."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from srwatchd.cli import _COMMANDS
from srwatchd.config.schema import Config
from srwatchd.daemon.hookrun import VARIABLES
from srwatchd.errors import HINTS
from srwatchd.job import diagram
from srwatchd.pipeline import custody

if TYPE_CHECKING:
    from types import ModuleType

TOP: Final = Path(__file__).resolve().parents[2]
DOCUMENTS: Final = sorted(
    str(path.relative_to(TOP)) for pattern in ("*.md", "docs/*.md", "models/*.md") for path in TOP.glob(pattern)
)


@cache
def script(path: str) -> ModuleType:
    """A script of the checkout as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, TOP / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def text(name: str) -> str:
    return (TOP / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", script("docs/generate.py").DOCUMENTS)
def test_generated_parts_are_up_to_date(name: str) -> None:
    """What is generated is as the program has it; `PYTHONPATH=. python docs/generate.py` brings it up to date."""
    assert script("docs/generate.py").rendered(text(name)) == text(name)


def test_the_state_diagram_is_in_the_architecture_verbatim() -> None:
    """Nobody has to trust a drawing."""
    assert diagram() in text("ARCHITECTURE.md")


def test_the_crash_table_has_every_crash_of_custody() -> None:
    """A step that is added to custody is added to the document."""
    rows = (custody.__doc__ or "").split("=\n")[2].strip().splitlines()
    crashes = [row for row in rows if not row.startswith((" ", "="))]
    table = text("ARCHITECTURE.md").partition("| the crash comes |")[2].partition("\n\n")[0].splitlines()[2:]
    assert len(table) == len(crashes)


def test_every_key_of_the_configuration_is_documented() -> None:
    """A key that nobody can find is no key."""
    documented = set(re.findall(r"^\| `([^`]+)` \|", text("docs/configuration.md"), flags=re.MULTILINE))
    assert _keys(Config.model_json_schema()) <= {key.removeprefix("folders[].") for key in documented}


def _keys(schema: dict[str, Any]) -> set[str]:
    """Every leaf of the configuration as one writes it, defaults and folders taken as one."""

    def below(node: dict[str, Any], path: str) -> set[str]:
        node = schema["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node
        if "properties" not in node:
            return {path}
        return {key for name, each in node["properties"].items() for key in below(each, f"{path}.{name}".strip("."))}

    top = {key for key in below(schema, "") if not key.startswith(("defaults", "folders"))}
    return top | below(schema["$defs"]["Folder"], "")


def test_every_code_of_an_error_is_documented() -> None:
    """A code in a sidecar can be looked up."""
    assert all(f"| `{code}` |" in text("docs/errors.md") for code in HINTS)


def test_every_code_of_an_error_has_its_remedy_in_the_operators_document() -> None:
    """Once each: the table cannot lag behind the program."""
    codes = re.findall(r"^\| `([a-z_]+)` \| [^|]", text("docs/operations.md"), flags=re.MULTILINE)
    assert sorted(code for code in codes if not code.startswith("srwatchd_")) == sorted(HINTS)


def test_every_fact_of_a_hook_is_documented() -> None:
    """Whoever writes one knows what it is told."""
    table = text("docs/operations.md").partition("| variable |")[2].partition("\n\n")[0]
    told = {part.removeprefix("SRWATCHD") for part in re.findall(r"`(\w+)`", table) if "_" in part}
    assert {f"_{name.upper()}" for name in VARIABLES} == told


def test_the_commands_of_the_documents_exist() -> None:
    """No document speaks of a command that cannot be run."""
    named = {
        command
        for name in DOCUMENTS
        if name not in ("CHANGELOG.md", "docs/glossary.md")
        for command in re.findall(r"(?:`|&& |bin/)srwatchd ([a-z][a-z-]+)", text(name))
    }
    key_context = {"ledger"}  # a text that the ledger's documentation quotes
    assert named - key_context <= set(_COMMANDS)


def test_every_command_is_in_the_readme() -> None:
    """Who reads the first page knows what there is."""
    table = text("README.md").partition("## Commands")[2].partition("\n## ")[0]
    named = re.findall(r"^\| `srwatchd ([a-z\\|-]+)", table, flags=re.MULTILINE)
    assert {command for each in named for command in each.split("\\|")} == set(_COMMANDS)


def test_the_readme_has_the_two_commands_that_ci_runs() -> None:
    """CI takes them from there literally."""
    commands = [line for line in text("README.md").splitlines() if line.startswith("python3 -m venv ")]
    assert [command.rpartition(" && ")[2] for command in commands] == [".venv/bin/srwatchd demo", ".venv/bin/pytest"]
    assert all("-c constraints.txt" in command for command in commands)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    """A link to another file of the repository leads to one."""
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text(name))
    assert [link for link in links if not (TOP / name).parent.joinpath(link).exists()] == []


def test_constraints_pin_every_requirement_within_its_range() -> None:
    """The set that CI installs is one that the ranges allow."""
    lines = [line for line in text("constraints.txt").splitlines() if line and not line.startswith("#")]
    pins = {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}
    project = tomllib.loads(text("pyproject.toml"))["project"]
    wanted = [Requirement(each) for each in (*project["dependencies"], *project["optional-dependencies"]["test"])]
    assert [str(each) for each in wanted if pins.get(canonicalize_name(each.name), "") not in each.specifier] == []


def test_the_documented_versions_are_the_pinned_ones() -> None:
    """Whoever checks licences checks those of what is installed."""
    table = text("docs/dependencies.md")
    runtime = text("constraints.txt").partition("# runtime\n")[2].partition("\n\n")[0].splitlines()
    assert [pin for pin in runtime if not all(part in table for part in pin.split("=="))] == []


def test_the_sample_is_what_its_script_draws() -> None:
    """The picture can be drawn again; processors may differ in the last place of a sine."""
    np = pytest.importorskip("numpy")
    cv2 = pytest.importorskip("cv2")
    stored = cv2.imread(str(TOP / "config" / "sample.png"))[:, :, ::-1].astype(int)
    drawn = script("config/draw_sample.py").draw().astype(int)
    assert stored.shape == (320, 480, 3)
    assert np.abs(stored - drawn).max() <= 1
