"""Write the generated parts of the documents: between ``<!-- generated: NAME -->`` and ``<!-- end -->``.

From the top of a checkout::

    PYTHONPATH=. python docs/generate.py            writes them
    PYTHONPATH=. python docs/generate.py --check    1 when one of them is out of date

Every part is made from what the program itself uses, so that a document cannot say something else.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from srwatchd.codec.formats import FORMATS
from srwatchd.config import init_text, read_manifest
from srwatchd.config.jsonschema import descriptions
from srwatchd.config.publicmodels import PUBLIC
from srwatchd.config.schema import Config, Defaults, Folder
from srwatchd.console.figures import METRICS as CONSOLE_METRICS
from srwatchd.daemon.figures import METRICS
from srwatchd.errors import HINTS
from srwatchd.job import diagram

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydantic import BaseModel

__all__ = [
    "DOCUMENTS",
    "configuration",
    "errors",
    "formats",
    "main",
    "metrics",
    "models",
    "models_zh",
    "public",
    "rendered",
    "states",
]

ROOT: Final = Path(__file__).resolve().parent.parent
DOCUMENTS: Final = (
    "README.md",
    "README.zh-CN.md",
    "ARCHITECTURE.md",
    "docs/configuration.md",
    "docs/errors.md",
    "docs/formats.md",
    "docs/models.md",
    "docs/operations.md",
)
_SETS: Final = ("Set5", "Set14", "Kodak", "Kodak JPEG 85", "Kodak JPEG 75")
_PART: Final = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_KEY: Final = re.compile(r"^(?P<indent> *)(?:- )?(?P<off>#?)(?P<key>[a-z_]+):(?: (?P<value>.*))?$")


def states() -> str:
    """The state diagram of a job."""
    return f"```mermaid\n{diagram()}\n```"


def errors() -> str:
    """Every code of an error with what a person can do."""
    return _table(("code", "what to do"), ((f"`{code}`", hint) for code, hint in HINTS.items()))


def formats() -> str:
    """What is read and written, and what happens to the others."""
    rows = []
    for entry in FORMATS.values():
        can = {(True, True): "read, written", (True, False): "read"}.get(
            (entry.can_decode, entry.can_encode), "refused"
        )
        limit = "" if not entry.can_encode else f"{entry.max_edge:,}" if entry.max_edge else "none"
        depths = ", ".join(map(str, entry.depths)) if entry.can_encode else ""
        alpha = ("yes" if entry.alpha else "no") if entry.can_encode else ""
        names = " ".join(entry.extensions)
        rows.append((entry.title, names, can, depths, alpha, entry.several, limit, entry.hint or ""))
    heading = (
        "format", "usual names", "", "bits written", "transparency", "several", "longest edge",
        "hint in the error folder",
    )  # fmt: skip
    return _table(heading, rows)


def models() -> str:
    """The shipped models as the manifest has them."""
    return _models(("name", "scale", "parameters", *_SETS, "licence"))


def models_zh() -> str:
    """The same in Chinese."""
    return _models(("名称", "倍数", "参数量", *_SETS, "许可"))


def _models(titles: tuple[str, ...]) -> str:
    rows = []
    for spec in read_manifest(ROOT / "models" / "manifest.yaml").values():
        psnr = [f"{spec.scores[each]['psnr']:.2f}" if each in spec.scores else "" for each in _SETS]
        size = f"{spec.parameters:,}"
        rows.append((f"`{spec.name}`", f"x{spec.scale}", size, *psnr, spec.licence))
    return _table(titles, rows)


def public() -> str:
    """The public models that are recognised."""
    rows = []
    for each in PUBLIC:
        known = f"`{each.sha256[:16]}...`" if each.sha256 else f"{each.bytes:,} bytes, blob `{each.git_blob[:16]}...`"
        rows.append((f"`{each.file}`", each.architecture.upper(), f"x{each.scale}", str(each.receptive_radius), known))
        rows[-1] = (*rows[-1], each.origin, each.licence)
    return _table(("file", "network", "scale", "radius", "known by", "from", "licence"), rows)


def configuration() -> str:
    """Every key with its default and what the commented example says about it."""
    rows = []
    for key, value, comment in _keys():
        if value is None and not comment:
            continue
        required = key.startswith("folders[].") and key.rpartition(".")[2] in ("id", "inbox", "done", "error")
        default = "required" if required else "" if value is None else f"`{value}`"
        rows.append((f"`{key.replace('defaults.', '')}`", default, comment or _description(key)))
    return _table(("key", "default", ""), rows)


def metrics() -> str:
    """Every figure for Prometheus."""
    rows = (
        (f"`srwatchd_{each.name}`", each.kind, " ".join(each.labels), each.help)
        for each in (*METRICS, *CONSOLE_METRICS)
    )
    return _table(("name", "kind", "labels", ""), rows)


def rendered(text: str) -> str:
    """``text`` with every generated part as it should be. Raises KeyError for a part that nobody makes."""
    makers = {
        each.__name__: each for each in (configuration, errors, formats, metrics, models, models_zh, public, states)
    }
    return _PART.sub(lambda part: f"{part[1]}{makers[part[2]]()}\n{part[3]}", text)


def main(arguments: list[str]) -> int:
    """Bring the documents up to date, or with ``--check`` name those that are not."""
    stale = []
    for name in DOCUMENTS:
        path = ROOT / name
        text = path.read_text(encoding="utf-8")
        if (wanted := rendered(text)) != text:
            stale.append(name)
            if "--check" not in arguments:
                path.write_text(wanted, encoding="utf-8")
    for name in stale:
        sys.stdout.write(f"{name}: {'out of date' if '--check' in arguments else 'written'}\n")
    return 1 if stale and "--check" in arguments else 0


def _table(heading: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heading, tuple("---" for _ in heading), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _keys() -> Iterator[tuple[str, str | None, str]]:
    """Each key of the example: its path, its default (None for a section), and the comment above it."""
    parents: dict[int, str] = {}
    comment: list[str] = []
    for line in init_text().splitlines():
        stripped = line.strip()
        if stripped.startswith("# ") or stripped == "#":
            comment.append(stripped[1:].strip())
            continue
        match = _KEY.match(line.replace("- ", "  ", 1) if stripped.startswith("- ") else line)
        if match is None:
            comment = []
            continue
        depth = len(match["indent"])
        name = match["key"]
        above = [parent for level, parent in sorted(parents.items()) if level < depth]
        path = ".".join([*above, name])
        section = not match["value"]
        if section:
            parents = {level: parent for level, parent in parents.items() if level < depth}
            parents[depth] = f"{name}[]" if name == "folders" else name
        if not (section and name in ("defaults", "folders")):
            yield path, None if section else match["value"], " ".join(comment)
        comment = []


def _description(path: str) -> str:
    """What the class of the configuration says about the key at ``path``."""
    parts = path.replace("[]", "").split(".")
    section: type[BaseModel] = Config
    for part in parts[:-1]:
        kind: Any = {"defaults": Defaults, "folders": Folder}.get(part, section.model_fields[part].annotation)
        section = kind
    return descriptions(section).get(parts[-1], "").replace("\n", " ")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
