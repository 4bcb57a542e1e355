"""The figures of a campaign as a part of a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.fuzz.campaign import Campaign, Case

__all__ = ["figures", "write"]

_BEGIN: Final = "<!-- figures -->"
_END: Final = "<!-- end of figures -->"


def figures(campaign: Campaign, *, command: str, seconds: float) -> str:
    """Tables in Markdown."""
    formats = sorted(campaign.counts)
    outcomes = sorted({outcome for counter in campaign.counts.values() for outcome in counter})
    lines = [
        f"`{command}`: {campaign.cases} cases in {seconds / 60:.0f} minutes.",
        f"Most memory of a worker: {campaign.peak >> 20} MiB, libraries and mapped files included.",
        "",
        "| outcome | " + " | ".join(formats) + " | all |",
        "|---|" + "---:|" * (len(formats) + 1),
    ]
    for outcome in outcomes:
        row = [campaign.counts[name][outcome] for name in formats]
        lines.append(f"| {outcome} | " + " | ".join(map(str, (*row, sum(row)))) + " |")
    totals = [sum(campaign.counts[name].values()) for name in formats]
    lines += ["| **all** | " + " | ".join(map(str, (*totals, sum(totals)))) + " |", ""]
    lines += ["Slowest, by processor time of all steps:", "", *map(_line, campaign.slowest), ""]
    if campaign.offenders:
        lines += [f"Kept for a look, {len(campaign.offenders)} in all:", "", *map(_line, campaign.offenders[:20]), ""]
    else:
        lines += ["No worker died, hung, ran out of memory or raised anything unforeseen.", ""]
    return "\n".join(lines)


def _line(case: Case) -> str:
    what = f" ({case.detail.splitlines()[-1][:160]})" if case.detail.strip() else ""
    return f"- {case.cpu:.2f} s: case {case.number}, {case.seed}, {case.mutations}: {case.outcome}{what}"


def write(path: Path, text: str) -> None:
    """Put ``text`` between the marks of the page ``path``; a page without them is made or gets them at its end."""
    page = path.read_text(encoding="utf-8") if path.exists() else "# Fuzzing the codec\n\n"
    if _BEGIN in page and _END in page:
        before, after = page.partition(_BEGIN)[0], page.partition(_END)[2]
    else:
        before, after = page, "\n"
    path.write_text(f"{before}{_BEGIN}\n{text}{_END}{after}", encoding="utf-8")
