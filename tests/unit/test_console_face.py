"""The console's pages, as far as they are judged without a browser: words, symbols, contrasts, what is never used."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from srwatchd.audit.events import ACTIONS
from srwatchd.errors import HINTS

STATIC = Path(__file__).parents[2] / "srwatchd" / "console" / "static"
SCRIPTS = sorted(STATIC.glob("js/**/*.js"))
SHEETS = sorted(STATIC.glob("css/*.css"))
BOOKS = {name: json.loads((STATIC / "texts" / f"{name}.json").read_text("utf-8")) for name in ("en", "zh")}
OWN_CODES = {"unreachable"}
"""What the pages say without the server."""


def placeholders(entry):
    forms = [entry] if isinstance(entry, str) else entry.values()
    return {name for form in forms for name in re.findall(r"\{(\w+)\}", form)}


def keys_used():
    """Keys that stand in the scripts as they are; those that are put together are in PREFIXES."""
    text = "\n".join(script.read_text("utf-8") for script in SCRIPTS)
    return set(re.findall(r"""["']((?:[a-z_]+\.)+[a-z_0-9]+)["']""", text)), set(re.findall(r"t\(`([a-z_.]+)\$", text))


def test_both_languages_have_the_same_texts():
    """The same keys, and the same values to fill in."""
    assert BOOKS["en"].keys() == BOOKS["zh"].keys()
    for key, entry in BOOKS["en"].items():
        assert placeholders(entry) == placeholders(BOOKS["zh"][key]), key


def test_plural_forms_are_those_of_the_language():
    """English needs one and other, Chinese has other only."""
    for name, wanted in (("en", {"one", "other"}), ("zh", {"other"})):
        for key, entry in BOOKS[name].items():
            assert isinstance(entry, str) or entry.keys() == wanted, key


def test_every_code_has_a_title_and_a_hint_in_both_languages():
    """The English hint is the program's own; the Chinese one is Chinese."""
    for code, hint in HINTS.items():
        assert BOOKS["en"][f"hint.{code}"] == hint
        assert re.search(r"[\u4e00-\u9fff]", BOOKS["zh"][f"hint.{code}"]), code
        for book in BOOKS.values():
            assert book[f"code.{code}"]
    told = {key.split(".", 1)[1] for key in BOOKS["en"] if key.startswith("hint.")}
    assert told == HINTS.keys() | OWN_CODES


def test_every_action_of_the_ledger_has_words():
    told = {key.split(".", 1)[1] for key in BOOKS["en"] if key.startswith("action.")} - {"again"}
    assert told == set(ACTIONS)


def test_no_text_is_missing_and_none_is_left_over():
    """Every key in the scripts is in the books, and the other way round."""
    used, prefixes = keys_used()
    known = BOOKS["en"].keys()
    starts = {key.rpartition(".")[0] for key in known} | {key.partition(".")[0] for key in known}
    unknown = {key for key in used if key.rpartition(".")[0] in starts and key not in known}
    assert {key for key in unknown if not key.endswith((".js", ".json", ".svg")) and key not in set(ACTIONS)} == set()
    prefixes |= {"action.", "code.", "hint.", "stage."}
    assert [key for key in known if key not in used and not key.startswith(tuple(prefixes))] == []


def test_every_symbol_that_is_used_is_drawn():
    drawn = set(re.findall(r'<symbol id="(\w+)"', (STATIC / "symbols.svg").read_text()))
    used = {name for script in SCRIPTS for name in re.findall(r'\bicon\("(\w+)"', script.read_text("utf-8"))}
    assert used <= drawn


@pytest.mark.parametrize(
    "word", ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"]
)
def test_markup_is_never_made_from_a_text(word):
    assert [script.name for script in SCRIPTS if word in script.read_text("utf-8")] == []


def test_nothing_comes_from_outside():
    """No address of another host in any file, but for the name of SVG itself."""
    for file in (*SCRIPTS, *SHEETS, STATIC / "index.html", STATIC / "symbols.svg", STATIC / "mark.svg"):
        text = file.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|@import|//[a-z]+\.[a-z]+/", text), file.name


def test_nothing_needs_a_looser_policy():
    """No inline script, handler or style in the page."""
    page = (STATIC / "index.html").read_text()
    assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", page)


def colours(theme):
    sheet = (STATIC / "css" / "tokens.css").read_text()
    blocks = re.findall(r"(:root[^{]*)\{([^}]*)\}", sheet)
    light = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", blocks[0][1]))
    dark = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", blocks[1][1]))
    assert "dark" in blocks[1][0]
    return light if theme == "light" else {**light, **dark}


def luminance(colour):
    """Relative luminance, WCAG 2.2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts]
    return sum(weight * each for weight, each in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    bright, dim = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


GROUNDS = ("paper", "sheet", "well", "accent-wash", "bad-wash", "hold-wash")
TEXTS = [
    *((ink, ground) for ink in ("ink", "ink-soft") for ground in GROUNDS),
    *(("ink-faint", ground) for ground in ("paper", "sheet", "accent-wash", "bad-wash", "hold-wash")),
    *(("accent", ground) for ground in GROUNDS),
    *(("accent-deep", ground) for ground in ("paper", "sheet")),
    *(("bad", ground) for ground in ("paper", "sheet", "bad-wash")),
    *(("hold", ground) for ground in ("paper", "sheet", "hold-wash", "accent-wash")),
    *(("on-accent", ground) for ground in ("accent", "accent-deep")),
    ("paper", "ink"),
]
SHAPES = [
    ("edge", "paper"),
    ("edge", "sheet"),
    ("accent", "line"),
    ("bad", "line"),
    ("ink-faint", "stage"),
    ("hold", "line"),
]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrasts_are_those_of_wcag_aa(theme):
    """4.5 for text, 3 for the edges of controls and for what a drawing says."""
    known = colours(theme)
    short = {pair: round(contrast(known[pair[0]], known[pair[1]]), 2) for pair in TEXTS}
    assert {pair: ratio for pair, ratio in short.items() if ratio < 4.5} == {}
    shapes = {pair: round(contrast(known[pair[0]], known[pair[1]]), 2) for pair in SHAPES}
    assert {pair: ratio for pair, ratio in shapes.items() if ratio < 3} == {}
