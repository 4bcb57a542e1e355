"""README.zh-CN.md is README.md in Chinese: the same structure, so that neither is forgotten when the other changes."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENGLISH, CHINESE = ((ROOT / name).read_text("utf-8") for name in ("README.md", "README.zh-CN.md"))
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def prose(text):
    """Without code blocks and generated parts."""
    return re.sub(r"<!-- generated.*?<!-- end -->", "", BLOCK.sub("", text), flags=re.DOTALL)


def headings(text):
    return [len(marks) for marks in re.findall(r"^(#+) ", prose(text), re.MULTILINE)]


def sections(text):
    return re.split(r"^#+ .*$", prose(text), flags=re.MULTILINE)


def rows(text):
    """The rows of the tables, section by section, by the number of their cells."""
    return [
        [len(re.findall(r"(?<!\\)\|", line)) for line in part.splitlines() if line.startswith("|")]
        for part in sections(text)
    ]


def links(text):
    return [
        sorted(target for target in re.findall(r"\]\(([^)]+)\)", part) if not target.startswith("README"))
        for part in sections(text)
    ]


def code(text):
    """What stands in backquotes and is the same in every language: commands, keys, names; not placeholders of words."""
    found = re.findall(r"`([^`\n]+)`", prose(text))
    return sorted(each for each in found if "<" not in each)


def figures(text):
    """The numbers of the prose, where a language does not write them as words."""
    plain = re.sub(r"\]\([^)]+\)|`[^`]*`", "", prose(text))
    return set(re.findall(r"\d+(?:\.\d+)+|\d{2,}", plain))


def test_both_have_the_same_sections():
    assert headings(CHINESE) == headings(ENGLISH)


def test_both_have_the_same_commands():
    """Code blocks, to the letter."""
    assert BLOCK.findall(CHINESE) == BLOCK.findall(ENGLISH)


def test_both_have_the_same_tables():
    assert rows(CHINESE) == rows(ENGLISH)


def test_both_lead_to_the_same_places():
    assert links(CHINESE) == links(ENGLISH)
    assert "(README.zh-CN.md)" in ENGLISH
    assert "(README.md)" in CHINESE


def test_both_name_the_same_things():
    assert code(CHINESE) == code(ENGLISH)


def test_both_have_the_same_figures():
    """But for what Chinese counts in other units: 250 M pixels are 2.5 亿, 12 megapixels 1200 万."""
    assert figures(CHINESE) - {"2.5", "20", "1200"} == figures(ENGLISH) - {"250", "12"}


def test_the_chinese_one_is_chinese():
    """In every paragraph of some length."""
    for paragraph in prose(CHINESE).split("\n\n"):
        plain = re.sub(r"\[[^]]*\]\([^)]*\)|`[^`]*`|[^\w]", "", paragraph)
        assert len(plain) < 40 or re.search(r"[\u4e00-\u9fff]", paragraph), paragraph
