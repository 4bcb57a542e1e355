"""The command: ``python -m benchmarks.large [--report docs/large-pictures.md]``."""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.large.case import Case, play
from benchmarks.large.group import hierarchy
from benchmarks.large.report import figures, line, write

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["main", "picture"]

_MIB: Final = 1 << 20
_LEAST: Final = 384 * _MIB
_USUAL: Final = 1024 * _MIB
_EVERYDAY: Final = 12
_SIZES: Final = {_EVERYDAY: (4000, 3000), 100: (12000, 8400), 400: (24000, 16800)}
_KINDS: Final = {"progressive JPEG": "jpeg", "PNG": "png", "TIFF": "tiff", "baseline JPEG": "jpeg"}
_SHORT: Final = (
    Case("baseline JPEG", 1200, 840, "fsrcnn_x3", "jpeg", _LEAST),
    Case("progressive JPEG", 1200, 840, "fsrcnn_x2", "jpeg", _LEAST),
    Case("PNG", 1200, 840, "fsrcnn_x2", "png", _LEAST),
    Case("TIFF", 1200, 840, "fsrcnn_x2", "tiff", _LEAST),
    Case("WebP", 2000, 1250, "fsrcnn_x2", "png", _LEAST),  # takes so much that the networks are put away for it
    Case("interlaced PNG", 7000, 5000, "fsrcnn_x2", "png", _LEAST),  # is refused
)
_SECONDS_PER_MEGAPIXEL: Final = 60.0


def main(words: list[str]) -> int:
    """Play the cases one after the other; 0 when all are fine, 75 without a control group."""
    arguments = _parse(words)
    interface = hierarchy()
    if interface is None:
        print("No control group can be made here (root is needed): memory is neither limited nor measured.")
    results = []
    with tempfile.TemporaryDirectory(dir=arguments.directory, prefix="srwatchd-large.") as made:
        cases = _SHORT if arguments.short else _cases(arguments.megapixels, arguments.only)
        for case in cases:
            with picture(case, Path(made), photograph=arguments.photograph) as source:
                patience = 120 + _SECONDS_PER_MEGAPIXEL * case.megapixels
                result = play(case, source, Path(made) / "site", interface=interface, patience=patience)
            results.append(result)
            print(line(result), flush=True)
            if arguments.report is not None:
                text = figures(results, command=_command(arguments), grouped=interface is not None)
                write(arguments.report, text)
    if interface is None:
        return 75
    return 0 if all(each.fine for each in results) else 1


@contextlib.contextmanager
def picture(case: Case, directory: Path, *, photograph: str = "") -> Iterator[Path]:
    """The file of ``case``, made for the block."""
    target = directory / "picture"
    shape = (str(case.width), str(case.height))
    program = [sys.executable, "-m", "benchmarks.large.pictures"]
    subprocess.run([*program, "make", photograph, str(target), case.kind, *shape], check=True)
    path = next(directory.glob("picture.*"))
    try:
        yield path
    finally:
        path.unlink()


def _cases(megapixels: Sequence[int], only: str) -> list[Case]:
    cases = []
    for count in megapixels:
        across, down = _SIZES[count]
        if count == _EVERYDAY:
            cases += [Case("baseline JPEG", across, down, model, "jpeg", _LEAST) for model in ("fsrcnn_x3", "edsr_x3")]
            cases.append(Case("progressive JPEG", across, down, "fsrcnn_x3", "jpeg", _LEAST))
        else:
            cases.append(Case("progressive JPEG", across, down, "fsrcnn_x2", "jpeg", _LEAST))
            cases += [Case(kind, across, down, "fsrcnn_x2", result, _USUAL) for kind, result in _KINDS.items()]
            if count == max(_SIZES):  # the coefficients of such a progressive JPEG take 2.4 GiB
                cases.append(Case("progressive JPEG", across, down, "fsrcnn_x2", "jpeg", 3 * _USUAL))
    return [case for case in cases if only in str(case)]


def _command(arguments: argparse.Namespace) -> str:
    """What to type for the same cases; where the files lie is one's own."""
    words = ["python -m benchmarks.large", "--megapixels", *map(str, arguments.megapixels)]
    if arguments.short:
        words[1:] = ["--short"]
    elif arguments.only:
        words.append(f'--only "{arguments.only}"')
    return " ".join(words)


def _parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large", description=__doc__)
    parser.add_argument(
        "--megapixels", type=int, nargs="+", choices=_SIZES, default=[_EVERYDAY, 100], help="Of the sources."
    )
    parser.add_argument("--short", action="store_true", help="Small pictures that do the same, in a minute or two.")
    parser.add_argument("--only", default="", metavar="TEXT", help="Only cases whose line contains this.")
    parser.add_argument("--photograph", default="", metavar="FILE", help="Of what to tile them; else a made one.")
    parser.add_argument("--directory", type=Path, metavar="DIR", help="Where there are about 20 GB of disk.")
    parser.add_argument("--report", type=Path, metavar="FILE", help="Put the figures into this page.")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
