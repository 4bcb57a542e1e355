"""The whole way: pictures per minute, stages, what verification costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks.performance.bench import Section, Target
from benchmarks.performance.parts.way import CONTESTANTS
from benchmarks.performance.plot import Bar, bars
from benchmarks.performance.samples import median, short, spread
from benchmarks.performance.tables import skipped_lines, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.performance.bench import Row

__all__ = ["section"]

_WANTED: Final = {"fsrcnn_x3 JPEG": 2.5, "fsrcnn_x3 PNG": 2.0, "edsr_x3 JPEG": 1.4}
_REFERENCE: Final = "superres"


def section(rows: Sequence[Row]) -> Section:
    """A table of contestants, one of stages, bars of the ratios."""
    done = [row for row in rows if "seconds" in row]
    drawn = [bar for row in done for bar in _bars(row)]
    return Section(
        texts={
            "way plot": "![pictures a minute against the plain loop](performance-way.svg)" if done else "",
            "way": "\n".join([*_contest(done), *skipped_lines(rows)]),
            "stages": "\n".join(_stages(done)),
            "verification": "\n".join(_verification(done)),
        },
        plots={
            "performance-way.svg": bars(
                "pictures per minute, as a multiple of the loop with dnn_superres", drawn, unit="x"
            )
        },
        targets=[target for row in done for target in _targets(row)],
    )


def ratios(row: Row, name: str, *, to: str) -> list[float]:
    """How many times as fast as ``to``, batch by batch: the two had each batch one right after the other."""
    return [theirs / ours for theirs, ours in zip(row["seconds"][to], row["seconds"][name], strict=True)]


def _contest(rows: Sequence[Row]) -> list[str]:
    body = []
    for row in rows:
        for name, seconds in row["seconds"].items():
            rates = [60 * count / each for count, each in zip(row["batches"], seconds, strict=True)]
            times = ratios(row, name, to=_REFERENCE)
            body.append(
                [
                    f"`{row['key'].replace(' ', '` ')}, {row['pictures']}" if name == _REFERENCE else "",
                    CONTESTANTS[name],
                    f"{median(rates):,.0f}",
                    f"{50 * spread(rates):.0f} %",
                    f"{row['megapixels'] / sum(seconds):.2f}",
                    f"**{median(times):.2f}x**" if name != _REFERENCE else "1x",
                    f"{row['written'][name] / 2**20:.0f}",
                ]
            )
    head = ["pictures", "contestant", "a minute", "±", "megapixels/s in", "times the first", "written, MiB"]
    return table(head, body, right=5)


def _bars(row: Row) -> Iterator[Bar]:
    for name in row["seconds"]:
        if name != _REFERENCE:
            times = ratios(row, name, to=_REFERENCE)
            yield Bar(row["key"], CONTESTANTS[name], median(times), min(times), max(times))


def _stages(rows: Sequence[Row]) -> list[str]:
    names = list(dict.fromkeys(stage for row in rows for stages in row["stages"].values() for stage in stages))
    body = []
    for row in rows:
        for contestant, stages in row["stages"].items():
            shown = [f"{1000 * _mean(stages[name]):.1f}" if stages.get(name) else "-" for name in names]
            body.append([row["key"], CONTESTANTS[contestant], *shown])
    return table(["pictures", "contestant", *names], body, right=len(names))


def _verification(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        stages = row["stages"].get("daemon 1", {})
        if stages.get("verify"):
            spent, whole = sum(stages["verify"]), sum(map(sum, stages.values()))
            took = short(sum(row["seconds"]["daemon 1"]))
            yield (
                f"- {row['key']}: {1000 * _mean(stages['verify']):.1f} ms of a picture, {100 * spent / whole:.0f} % of"
                f" all stages together ({short(spent)} of {short(whole)} s; they overlap, everything took {took} s)."
            )


def _targets(row: Row) -> Iterator[Target]:
    key = row["key"]
    if key in _WANTED:
        times = median(ratios(row, "daemon 1", to=_REFERENCE))
        wanted = _WANTED[key]
        yield Target(
            f"way: {key}, daemon against the loop with `dnn_superres`", f"{wanted}x", f"{times:.2f}x", times >= wanted
        )
    times = median(ratios(row, "daemon 1", to="ours"))
    yield Target(f"way: {key}, daemon against the same loop on our engine", "1x", f"{times:.2f}x", times >= 1)
    times = median(ratios(row, "daemon 2", to="daemon 1"))
    yield Target(f"way: {key}, two workers against one", "1x", f"{times:.2f}x", times >= 1)
    if "daemon bf16" in row["seconds"]:
        times = median(ratios(row, "daemon bf16", to=_REFERENCE))
        yield Target(f"way: {key}, bf16", "4x", f"{times:.2f}x", times >= 4)  # noqa: PLR2004 - the target
    elif key == "fsrcnn_x3 JPEG":
        yield Target(f"way: {key}, bf16", "4x", "-", None, "this processor has no bf16")


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
