"""How time and memory grow with the picture, the backlog, the folders and the workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks.performance.bench import Section, Target
from benchmarks.performance.plot import Curve, curves
from benchmarks.performance.samples import exponent, median, short
from benchmarks.performance.tables import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.performance.bench import Row

__all__ = ["section"]

_LINEAR: Final = 1.05
"""An exponent up to which growth counts as linear: what the spread of single runs can make of 1."""
_BASE: Final = 4.0
_LARGE: Final = 90.0
_SAME: Final = 1.1
"""How much longer a megapixel of a large picture may take and still count as the same."""


def section(rows: Sequence[Row]) -> Section:
    """Four tables, one plot of panels, exponents."""
    kinds = {kind: _sorted(rows, kind) for kind in ("size", "backlog", "folders", "workers")}
    makers: dict[str, Callable[[Sequence[Row]], list[str]]] = {
        "size": _sizes,
        "backlog": _backlogs,
        "folders": _folders,
        "workers": _workers,
    }
    texts = {f"growth {kind}": "\n".join(makers[kind](seen)) for kind, seen in kinds.items() if seen}
    powers = list(_exponents(kinds))
    texts["growth plot"] = "![time and memory against each](performance-growth.svg)"
    texts["exponents"] = "\n".join(table(["what", "against", "exponent"], [each[:3] for each in powers], right=1))
    targets = [*_megapixels(kinds["size"]), *(_linear(what, against, power) for what, against, power in powers)]
    return Section(texts, {"performance-growth.svg": curves(_panels(kinds))}, targets)


def _sorted(rows: Sequence[Row], kind: str) -> list[Row]:
    return sorted(
        (row for row in rows if row["key"].startswith(f"{kind} ")), key=lambda row: float(row["key"].split()[1])
    )


# -- tables -----------------------------------------------------------------------------------------------------------


def _sizes(rows: Sequence[Row]) -> list[str]:
    names = list(dict.fromkeys(name for row in rows for name in row["stages"]))
    body = []
    for row in rows:
        seconds = median(row["seconds"])
        stages = {name: median(row["stages"][name]) for name in names if row["stages"].get(name)}
        body.append(
            [
                short(row["megapixels"]),
                short(seconds),
                short(seconds / row["megapixels"]),
                *(short(stages[name]) if name in stages else "-" for name in names),
                f"{row['private'] / 2**20:.0f}" if "private" in row else "-",
                max(stages, key=stages.__getitem__),
            ]
        )
    head = ["megapixels", "s", "s a megapixel", *(f"{name}, s" for name in names), "private memory, MiB", "most time"]
    return table(head, body, right=len(head) - 1)


def _backlogs(rows: Sequence[Row]) -> list[str]:
    body = [
        [
            f"{row['files']:,}",
            f"{row['first']:.1f}",
            f"{1e6 * row['first_processor'] / row['files']:,.0f}",
            f"{row['steady'] / row['steady_seconds']:.1f}",
            f"{1e3 * row['steady_processor'] / row['steady']:.1f}",
            f"{row['memory'] / 1e6:.0f}",
            f"{row['drained']:.0f}" if "drained" in row else "-",
            f"{row['files'] / row['drained']:.1f}" if "drained" in row else "-",
        ]
        for row in rows
    ]
    head = [
        "files",
        "start to first result, s",
        "supervisor until then, µs a file",
        "then: pictures/s",
        "supervisor, ms a picture",
        "supervisor, MB",
        "all done, s",
        "pictures/s",
    ]
    return table(head, body, right=7)


def _folders(rows: Sequence[Row]) -> list[str]:
    body = [
        [
            f"{row['folders']}",
            f"{row['serving']:.2f}",
            f"{row['memory'] / 1e6:.0f}",
            f"{row['threads']}",
            f"{100 * row['idle']:.2f}",
            f"{row['pictures'] / row['seconds']:.1f}",
            f"{1e3 * row['processor'] / row['pictures']:.1f}",
        ]
        for row in rows
    ]
    head = [
        "folders",
        "start to serving, s",
        "supervisor, MB",
        "threads",
        "idle processor, %",
        "pictures/s",
        "supervisor, ms a picture",
    ]
    return table(head, body, right=6)


def _workers(rows: Sequence[Row]) -> list[str]:
    body = []
    for row in rows:
        rates = [60 * count / each for count, each in zip(row["batches"], row["seconds"], strict=True)]
        first = rows[0]["seconds"]
        ratio = median(one / each for one, each in zip(first, row["seconds"], strict=True))
        body.append([f"{row['workers']}", f"{median(rates):,.0f}", f"{ratio:.2f}x", f"{row['share'] / 2**20:.0f}"])
    return table(["workers", "pictures a minute", "times the first", "all processes, proportional, MiB"], body, right=3)


# -- growth -----------------------------------------------------------------------------------------------------------


def _exponents(kinds: dict[str, list[Row]]) -> Iterator[tuple[str, str, str]]:
    """Of the upper end of each growth: what is constant at the lower end would only flatter it."""
    large = [row for row in kinds["size"] if row["megapixels"] >= 1]
    yield from _power("time of a picture, from 1 megapixel", "megapixels", large, "megapixels", _wall)
    yield from _power(
        "private memory, from 1 megapixel", "megapixels", large, "megapixels", lambda row: row.get("private", 0)
    )
    backlog = [row for row in kinds["backlog"] if row["files"] >= 1000]  # noqa: PLR2004 - beyond what the start costs
    yield from _power("time to the first result, from 1,000", "files", backlog, "files", lambda row: row["first"])
    yield from _power(
        "supervisor until then, from 1,000", "files", backlog, "files", lambda row: row["first_processor"]
    )
    yield from _power(
        "supervisor for one picture",
        "files",
        kinds["backlog"],
        "files",
        lambda row: row["steady_processor"] / row["steady"],
    )
    yield from _power("time to drain", "files", kinds["backlog"], "files", lambda row: row.get("drained", 0))
    yield from _power("memory of the supervisor", "files", kinds["backlog"], "files", lambda row: row["memory"])
    for what, value in (
        ("start to serving", lambda row: row["serving"]),
        ("memory of the supervisor", lambda row: row["memory"]),
        ("supervisor for one picture", lambda row: row["processor"] / row["pictures"]),
    ):
        yield from _power(what, "folders", kinds["folders"], "folders", value)


def _power(
    what: str, against: str, rows: Sequence[Row], key: str, value: Callable[[Row], float]
) -> Iterator[tuple[str, str, str]]:
    points = [(float(row[key]), float(value(row))) for row in rows]
    points = [(x, y) for x, y in points if y > 0]
    if len({x for x, _ in points}) > 1:
        yield what, against, f"{exponent([x for x, _ in points], [y for _, y in points]):.2f}"


def _wall(row: Row) -> float:
    return median(row["seconds"])


def _linear(what: str, against: str, power: str) -> Target:
    return Target(f"growth: {what}, against {against}", "exponent 1", power, float(power) <= _LINEAR)


def _megapixels(rows: Sequence[Row]) -> Iterator[Target]:
    base = next((row for row in rows if abs(row["megapixels"] - _BASE) < 1), None)
    for row in rows:
        if base is not None and row["megapixels"] > _LARGE:
            ratio = (_wall(row) / row["megapixels"]) / (_wall(base) / base["megapixels"])
            what = f"time a megapixel at {row['megapixels']:.0f} megapixels against {base['megapixels']:.0f}"
            yield Target(what, "1x", f"{ratio:.2f}x", ratio <= _SAME)


def _panels(kinds: dict[str, list[Row]]) -> list[tuple[str, str, str, list[Curve]]]:
    size, backlog, folders, workers = (kinds[kind] for kind in ("size", "backlog", "folders", "workers"))
    stages = list(dict.fromkeys(name for row in size for name in row["stages"]))
    return [
        ("time of a picture", "megapixels", "s", [_curve("", size, "megapixels", _wall)]),
        (
            "stages",
            "megapixels",
            "s",
            [_curve(name, size, "megapixels", lambda row, name=name: median(row["stages"][name])) for name in stages],
        ),
        (
            "private memory",
            "megapixels",
            "MiB",
            [_curve("", size, "megapixels", lambda row: row.get("private", 0) / 2**20)],
        ),
        (
            "backlog",
            "files",
            "s",
            [
                _curve("first result", backlog, "files", lambda row: row["first"]),
                _curve("supervisor until then", backlog, "files", lambda row: row["first_processor"]),
                _curve("all done", backlog, "files", lambda row: row.get("drained", 0)),
            ],
        ),
        (
            "supervisor for one picture",
            "files",
            "ms",
            [_curve("", backlog, "files", lambda row: 1e3 * row["steady_processor"] / row["steady"])],
        ),
        (
            "supervisor",
            "folders",
            "",
            [
                _curve("memory, MB", folders, "folders", lambda row: row["memory"] / 1e6),
                _curve("start, s", folders, "folders", lambda row: row["serving"]),
                _curve("ms a picture", folders, "folders", lambda row: 1e3 * row["processor"] / row["pictures"]),
            ],
        ),
        (
            "pictures a minute",
            "workers",
            "",
            [_curve("", workers, "workers", lambda row: 60 * sum(row["batches"]) / sum(row["seconds"]))],
        ),
        ("all processes", "workers", "MiB", [_curve("", workers, "workers", lambda row: row["share"] / 2**20)]),
    ]


def _curve(name: str, rows: Sequence[Row], key: str, value: Callable[[Row], float]) -> Curve:
    points = [(float(row[key]), float(value(row))) for row in rows]
    return Curve(name, [(x, y) for x, y in points if y > 0])
