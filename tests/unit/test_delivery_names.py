from __future__ import annotations

import unicodedata

import pytest

from srwatchd.delivery import names


def size(name: str) -> int:
    return len(name.rpartition("/")[2].encode("utf-8", "surrogateescape"))


def result(name: str, template: str = "{stem}_x{scale}", *, scale: float = 2, limit: int = 255) -> str:
    fields = {"scale": f"{scale:g}", "model": "fsrcnn"}
    return names.result_name(template, name, fields=fields, extension="png", limit=limit)


@pytest.mark.parametrize(
    ("name", "template", "made"),
    [
        ("a.jpg", "{stem}_x{scale}", "a_x2.png"),
        ("a.png", "{stem}_x{scale}", "a_x2.png"),
        ("in/deep/a.tar.jpg", "{stem}_x{scale}", "in/deep/a.tar_x2.png"),
        ("a.jpg", "{model}-{stem}.{ext}", "fsrcnn-a.jpg.png"),
        ("noextension", "{stem}", "noextension.png"),
        ("a.jpg", "{name}", "a.jpg.png"),
        ("Mr. Smith", "{stem}", "Mr. Smith.png"),
        ("braces{stem}.jpg", "{stem}_{{x}}", "braces{stem}_{x}.png"),
        ("bad\udcff.jpg", "{stem}_x{scale}", "bad\udcff_x2.png"),
    ],
)
def test_result_name(name: str, template: str, made: str) -> None:
    """The template is filled from the source's name; sub folders are mirrored and odd bytes survive."""
    assert result(name, template) == made


def test_fractional_scale() -> None:
    """A factor shows as a plain number, a whole one without its point."""
    assert result("a.jpg", scale=1.5) == "a_x1.5.png"
    assert result("a.jpg", scale=4.0) == "a_x4.png"


@pytest.mark.parametrize(
    "template",
    [
        "{other}",
        "{stem.__class__}",
        "{stem[0]}",
        "{}",
        "{stem!r}",
        "{stem:>9}",
        ".{stem}",
        "sub/{stem}",
        "",
        " ",
        "{stem",
    ],
)
def test_templates_that_make_no_name(template: str) -> None:
    """Unknown fields, attribute access, formats, hidden names and paths are refused, never followed."""
    with pytest.raises(ValueError, match=r"template|expected"):
        result("a.jpg", template)


@pytest.mark.parametrize("letter", ["a", "ä", "漢", "😀", "\udcff", "e\u0301"])
def test_long_names_are_shortened_on_a_character_boundary(letter: str) -> None:
    """However long a name is, its result and numbered forms fit, keep extension and scale, and cut no character."""
    stem = (letter * 300).encode("utf-8", "surrogateescape")[:251].decode("utf-8", "surrogateescape")
    for made in (result(f"sub/{stem}.jpg"), names.numbered(result(f"{stem}.jpg"), 12)):
        assert 245 <= size(made) <= 255
        made.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
        kept = made.removeprefix("sub/").removesuffix(".png").removesuffix(" (12)")
        assert kept.endswith("_x2")
        body = kept.removesuffix("_x2")
        assert stem.startswith(body)
        assert not unicodedata.combining(stem[len(body)])


def test_long_template_without_a_stem_is_cut() -> None:
    """Even a template that is too long by itself gives a name that fits."""
    made = result("a.jpg", "t" * 400 + "{stem}")
    assert size(made) == 255
    assert made.endswith("t.png")


def test_small_limit_of_the_place() -> None:
    """A file system with shorter names (eCryptfs: 143 bytes) gets shorter names."""
    assert size(result("a" * 200 + ".jpg", limit=143)) == 143
    assert size(names.quarantine_name("a" * 200 + ".jpg", limit=143)) + len(".error.json") == 143


@pytest.mark.parametrize(
    ("name", "number", "made"),
    [
        ("a_x2.png", 0, "a_x2.png"),
        ("a_x2.png", 1, "a_x2 (1).png"),
        ("sub/a.tar.gz", 10, "sub/a.tar (10).gz"),
        ("noextension", 2, "noextension (2)"),
        ("Mr. Smith", 1, "Mr. Smith (1)"),
        ("..a", 1, "..a (1)"),
    ],
)
def test_numbered(name: str, number: int, made: str) -> None:
    """The number stands before the extension; number 0 changes nothing."""
    assert names.numbered(name, number) == made


def test_long_name_without_a_scale_is_numbered() -> None:
    """A long source's name loses as many characters as the number needs, and trailing spaces with them."""
    made = names.numbered("a" * 247 + "   x.jpg", 1)
    assert made == "a" * 247 + " (1).jpg"


def test_quarantine_leaves_room_for_the_sidecar() -> None:
    """The sidecar's name always fits beside the quarantined file's."""
    for number in (0, 1, 12345):
        name = names.quarantine_name("sub/" + "ü" * 125 + ".jpeg", number)
        assert size(names.sidecar_name(name)) <= 255
        assert name.endswith(".jpeg")
    assert names.sidecar_name("sub/a.jpg") == "sub/a.jpg.error.json"


@pytest.mark.parametrize(
    ("one", "other"),
    [("A.JPG", "a.jpg"), ("\u00e9.png", "e\u0301.png"), ("\u00c9", "e\u0301"), ("STRASSE", "straße"), ("Σ", "ς")],
)
def test_key_folds_case_and_form(one: str, other: str) -> None:
    """Names that a Windows or macOS client takes for one have one key."""
    assert names.key(one) == names.key(other)


def test_key_keeps_different_names_apart() -> None:
    """Other names, odd bytes among them, keep different keys."""
    assert len({names.key(name) for name in ("a", "b", "\udcff", "\udcfe", "ä")}) == 5


@pytest.mark.parametrize("occupied", [0, 1, 5, 16, 17, 1000, 100_000])
def test_first_free_asks_few_questions(occupied: int) -> None:
    """Behind any number of taken names a free one is found, exactly the next, in a few dozen questions."""
    asked = []

    def taken(number: int) -> bool:
        asked.append(number)
        return number < occupied

    assert names.first_free(taken) == occupied
    assert len(asked) <= 60


def test_first_free_starts_where_it_is_told() -> None:
    """A name just lost to somebody else is not proposed again."""
    assert names.first_free(lambda _: False, start=7) == 7


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("sub/a_x2 (1).png", "sub/a_x2 (1).png"),
        ("sub:1/what?.png", "sub_1/what_.png"),
        ("Übung \u65e5.png", "Ubung _.png"),
        ("bad\udcff\n.png", "bad__.png"),
        ("ends. /dots..", "ends__/dots__"),
        ("\u2100", "a_c"),
        ('a"b*c:d<e>f?g\\h|i', "a_b_c_d_e_f_g_h_i"),
    ],
)
def test_portable(name: str, plain: str) -> None:
    """A name that every file system takes, in as many folders as before; a plain one stays."""
    assert names.portable(name) == plain


def test_portable_is_as_short_as_it_has_to_be() -> None:
    """Every part of the path has room where names are short."""
    made = names.portable("f" * 200 + "/" + "s" * 200 + ".png", limit=100)
    assert [size(part) for part in made.split("/")] == [100, 100]
    assert made.endswith(".png")
