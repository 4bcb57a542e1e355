"""What the documents say is what the manifest and the measurements say; no torch needed."""

from srtrain.cards import cards
from srtrain.manifest import MODEL_FOLDER, read_manifest
from srtrain.report import DOCUMENT, rendered

SHIPPED = read_manifest(MODEL_FOLDER)["models"]


def test_the_cards_are_up_to_date():
    """Every family has its card, as ``python -m srtrain.cards`` writes it."""
    for name, text in cards(MODEL_FOLDER).items():
        assert (MODEL_FOLDER / name).read_text(encoding="utf-8") == text, name


def test_the_tables_are_up_to_date():
    """``docs/model-comparison.md`` is as ``python -m srtrain.report`` writes it."""
    text = DOCUMENT.read_text(encoding="utf-8")
    assert rendered(text) == text


def test_a_photo_profile_is_worth_its_place():
    """On compressed photographs it beats the clean profile of its network at both qualities."""
    by_name = {entry["name"]: entry for entry in SHIPPED}
    photos = [entry for entry in SHIPPED if entry["profile"] == "photo"]
    assert photos
    for entry in photos:
        clean = by_name[entry["name"].removesuffix("_photo")]["scores"]
        for name in ("Kodak JPEG 75", "Kodak JPEG 85"):
            assert entry["scores"][name]["psnr"] > clean[name]["psnr"], (entry["name"], name)
