"""config.manifests and config.publicmodels: what is written is what is read, and the public files are known."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from srwatchd.config import find_models, read_manifest
from srwatchd.config.manifests import entry_of, manifest_text
from srwatchd.config.models import entry_spec
from srwatchd.config.publicmodels import FAMILIES, PUBLIC, recognised

UPSTREAM = Path(__file__).resolve().parents[3] / "shared" / "models" / "upstream"


@pytest.mark.parametrize("name", sorted(find_models(None)))
def test_every_fact_comes_back(name: str, tmp_path: Path) -> None:
    """Through a manifest and through a message between processes."""
    shipped = find_models(None)[name]
    spec = replace(
        shipped,
        path=tmp_path / shipped.path.name,
        onnx=None if shipped.onnx is None else tmp_path / shipped.onnx.name,
        engines=("openvino",),
        memory_per_pixel={"opencv": 7, "openvino": 9},
        source="somewhere",
        source_sha256="ab" * 32,
    )
    (tmp_path / "manifest.yaml").write_text(manifest_text([spec]))
    assert read_manifest(tmp_path / "manifest.yaml") == {name: spec}
    assert entry_spec(entry_of(spec), tmp_path) == spec


def test_equal_models_give_equal_text() -> None:
    """Whatever their order."""
    models = list(find_models(None).values())
    assert manifest_text(models) == manifest_text(models[::-1])


@pytest.mark.parametrize("public", PUBLIC, ids=lambda each: each.file)
def test_public_files_are_recognised(public) -> None:
    """By content alone; the facts of each are those of a family that is known."""
    assert recognised(sha256=public.sha256 or "x", git_blob=public.git_blob or "x", size=public.bytes) is public
    assert public.architecture in FAMILIES
    assert f"x{public.scale}.pb" in public.file
    path = UPSTREAM / public.file
    if path.is_file():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == public.sha256


def test_others_are_not() -> None:
    """Nothing is taken for a public file because a checksum is missing, or its size is right."""
    assert recognised(sha256="", git_blob="", size=0) is None
    assert recognised(sha256="0" * 64, git_blob="0" * 40, size=38_490_162) is None
