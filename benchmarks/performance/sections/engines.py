"""The engines: time, memory, difference and share of the peak, for every model and size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from benchmarks.performance.bench import Section, Target
from benchmarks.performance.networks import NAMES
from benchmarks.performance.plot import Bar, bars
from benchmarks.performance.samples import median, with_spread
from benchmarks.performance.tables import table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from benchmarks.performance.bench import Row

__all__ = ["section"]

_REFERENCE: Final = "superres"
_OURS: Final = ("opencv", "openvino", "onnxruntime")
_FASTER: Final = {"fsrcnn": 3.5, "espcn": 2.5, "lapsrn": 2.0, "edsr": 1.5}
_SHARES: Final = {"espcn": 0.75, "lapsrn": 0.75, "edsr": 0.75}
_NAMES: Final = {"fsrcnn": "FSRCNN", "espcn": "ESPCN", "lapsrn": "LapSRN", "edsr": "EDSR"}
_LEVELS: Final = 1.0
_STANDING: Final = ("edsr_x3 480x320", 3.0)
"""A case of its own, and the seconds that it may take."""


def section(rows: Sequence[Row]) -> Section:
    """A table for each size, bars of the ratios, targets by family."""
    rows = sorted(rows, key=lambda row: (row["model"], row["pixels"]))
    sizes = sorted({row["size"] for row in rows}, key=lambda size: int(size.partition("x")[0]))
    texts = {"engines": "\n".join(line for size in sizes for line in _table(size, rows))}
    texts["engine plots"] = "\n\n".join(f"![{size}](performance-engines-{size}.svg)" for size in sizes)
    texts["left out"] = "\n".join(_left_out(rows))
    texts["sgemm"] = _sgemm(rows)
    plots = {
        f"performance-engines-{size}.svg": bars(
            f"{size}: time of dnn_superres divided by that of ...", list(_bars(size, rows)), unit="x"
        )
        for size in sizes
    }
    return Section(texts, plots, list(_targets(rows)))


def times(row: Row, name: str) -> list[float]:
    """How many times as fast as the reference, round by round; none where either did not run."""
    reference, one = _seconds(row, _REFERENCE), _seconds(row, name)
    return [theirs / ours for theirs, ours in zip(reference, one, strict=False)]


def share(row: Row, name: str) -> float:
    """Multiplications and additions of its convolutions a second, as a part of what sgemm reached in the same run."""
    return float(row["work"] / median(_seconds(row, name)) / median(row["flops"]))


def _seconds(row: Row, name: str) -> list[float]:
    return row["contestants"].get(name, {}).get("seconds") or []


def _table(size: str, rows: Sequence[Row]) -> Iterator[str]:
    body = []
    for row in rows:
        if row["size"] == size:
            shown = [name for name in NAMES if _seconds(row, name)]
            body += [
                [f"`{row['model']}`" if name == shown[0] else "", NAMES[name], *_cells(row, name)] for name in shown
            ]
    head = ["model", "contestant", "s", "times `dnn_superres`", "memory, MiB", "levels, mean (most)", "of sgemm"]
    yield from (f"### {size.replace('x', ' x ')}", "", *table(head, body, right=5), "")


def _cells(row: Row, name: str) -> list[str]:
    one: dict[str, Any] = row["contestants"][name]
    ratio = times(row, name)
    return [
        with_spread(one["seconds"]),
        "1x" if name == _REFERENCE else f"**{median(ratio):.2f}x**" if ratio else "-",
        f"{one['peak'] / 2**20:,.0f}",
        f"{one['mean']:.2f} ({one['most']})" if "mean" in one else "-",
        f"{100 * share(row, name):.0f} %",
    ]


def _left_out(rows: Iterable[Row]) -> Iterator[str]:
    """By contestant and reason, the cases."""
    reasons: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        for name, one in row["contestants"].items():
            if not one.get("seconds"):
                reason = one.get("skipped") or "it ended"
                reasons.setdefault(name, {}).setdefault(reason, []).append(f"`{row['model']}` {row['size']}")
    for name, by_reason in reasons.items():
        for reason, cases in by_reason.items():
            told = ", ".join(cases) if len(cases) <= 3 else f"{len(cases)} cases"  # noqa: PLR2004 - on one line
            yield f"- {NAMES[name]}: {told}: {reason}"


def _sgemm(rows: Sequence[Row]) -> str:
    tried = {name: max(row["tried"].get(name, 0.0) for row in rows) for name in rows[0]["tried"]}
    told = ", ".join(f"{name} {rate / 1e9:.0f}" for name, rate in tried.items())
    every = [each for row in rows for each in row["flops"]]
    return (
        f"Single-precision matrix multiplication, all cores, GFLOP/s: best of {told}; in the rounds of these runs"
        f" {min(every) / 1e9:.0f} to {max(every) / 1e9:.0f}, median {median(every) / 1e9:.0f}."
    )


def _bars(size: str, rows: Sequence[Row]) -> Iterator[Bar]:
    for row in rows:
        for name in NAMES:
            ratio = times(row, name)
            if row["size"] == size and name != _REFERENCE and ratio:
                yield Bar(row["model"], NAMES[name].replace("`", ""), median(ratio), min(ratio), max(ratio))


def _targets(rows: Sequence[Row]) -> Iterator[Target]:
    """Of a family the least that any model reaches at any size, on the fastest of our engines, as ``auto`` has it."""
    for family, wanted in _FASTER.items():
        seen = {row["key"]: best for row in rows if row["architecture"] == family and (best := _best(row))}
        if seen:
            key = min(seen, key=seen.__getitem__)
            reached = f"{seen[key]:.2f}x ({key}) to {max(seen.values()):.2f}x"
            met = seen[key] >= wanted
            yield Target(f"{_NAMES[family]} against `dnn_superres`", f"{wanted}x", reached, met, _partly(seen, wanted))
    for family, wanted in _SHARES.items():
        seen = {row["key"]: _share(row) for row in rows if row["architecture"] == family and _fastest(row)}
        if seen:
            key = min(seen, key=seen.__getitem__)
            reached = f"{100 * seen[key]:.0f} % ({key}) to {100 * max(seen.values()):.0f} %"
            met = seen[key] >= wanted
            yield Target(
                f"{_NAMES[family]}, share of sgemm", f"{100 * wanted:.0f} %", reached, met, _partly(seen, wanted)
            )
    yield from _levels(rows)
    for row in rows:
        if row["key"] == _STANDING[0] and (name := _fastest(row)):
            taken = median(_seconds(row, name))
            yield Target(f"{row['key']}", f"{_STANDING[1]:.0f} s", f"{taken:.2f} s", taken < _STANDING[1])


def _levels(rows: Sequence[Row]) -> Iterator[Target]:
    apart = {
        f"{row['key']}, {NAMES[name]}": row["contestants"][name]["mean"]
        for row in rows
        for name in _OURS
        if "mean" in row["contestants"].get(name, {})
    }
    if apart:
        key = max(apart, key=apart.__getitem__)
        reached = f"at most {apart[key]:.2f} ({key})"
        yield Target("mean difference from `dnn_superres`, levels", f"{_LEVELS:.0f}", reached, apart[key] <= _LEVELS)


def _partly(seen: dict[str, float], wanted: float) -> str:
    """How many cases reach it, where not all do."""
    reaching = sum(value >= wanted for value in seen.values())
    return "" if reaching == len(seen) else f"missed: {reaching} of {len(seen)} cases reach it"


def _fastest(row: Row) -> str:
    """The fastest of our engines, or "" where none ran."""
    ran = [name for name in _OURS if _seconds(row, name)]
    return min(ran, key=lambda name: median(_seconds(row, name)), default="")


def _best(row: Row) -> float:
    ratio = times(row, _fastest(row))
    return median(ratio) if ratio else 0.0


def _share(row: Row) -> float:
    return share(row, _fastest(row))
