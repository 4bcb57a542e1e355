"""pipeline.bundle: what goes in comes out, and nothing else."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from dataclasses import replace

import pytest
from modelstore_driver import spec

from srwatchd.config.manifests import manifest_text
from srwatchd.errors import ModelError, RefusedError
from srwatchd.pipeline.bundle import is_bundle, unpack, write_bundle

CONTENT = b"a network" * 700


@pytest.fixture
def models(tmp_path):
    """Two models with their files."""
    found = []
    for name in ("two", "one"):
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(CONTENT + name.encode())
        found.append(replace(spec(path), name=name))
    return found


def packed(models):
    target = io.BytesIO()
    write_bundle(models, target)
    return target.getvalue()


def unpacked(tmp_path, data):
    """The models of a bundle with these bytes, in ``tmp_path / "out"``."""
    file, folder = tmp_path / "bundle.tar", tmp_path / "out"
    file.write_bytes(data)
    folder.mkdir()
    descriptor = os.open(file, os.O_RDONLY)
    try:
        return unpack(descriptor, folder)
    finally:
        os.close(descriptor)


def tar(*members, form=tarfile.USTAR_FORMAT, **changes):
    """A tar of (name, bytes); ``changes`` are made to the header of the last one."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=form) as archive:
        for number, (name, content) in enumerate(members):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in changes.items() if number == len(members) - 1 else ():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content))
    return target.getvalue()


def parts(models):
    """The two texts of a bundle of ``models``."""
    sums = "".join(f"{each.sha256}  {each.path.name}\n" for each in models)
    return [("manifest.yaml", manifest_text(models).encode()), ("SHA256SUMS", sums.encode())]


def test_there_and_back(models, tmp_path):
    """Every fact and every byte comes through."""
    found = unpacked(tmp_path, packed(models))
    wanted = [
        replace(each, path=tmp_path / "out" / each.path.name) for each in sorted(models, key=lambda one: one.name)
    ]
    assert found == wanted
    assert [each.path.read_bytes() for each in found] == [CONTENT + b"one", CONTENT + b"two"]


def test_the_same_models_give_the_same_bytes(models, tmp_path):
    """Whoever writes it, whenever, in whatever order: no time, owner or folder of this machine is in it."""
    first = packed(models)
    os.utime(models[0].path, (1, 1))
    assert packed(models[::-1]) == first
    assert is_bundle(first[:512])
    assert str(tmp_path).encode() not in first


def test_an_altered_file_is_not_handed_on(models):
    """What is not as recorded is not exported."""
    models[0].path.write_bytes(b"other")
    with pytest.raises(ModelError, match="recorded is"):
        packed(models)


@pytest.mark.parametrize("kept", [0, 100, 511, 512, 2000, 4000, 9000])
def test_cut_short(models, tmp_path, kept):
    """Refused wherever it ends."""
    with pytest.raises(RefusedError, match="bundle is refused"):
        unpacked(tmp_path, packed(models)[:kept])


def test_every_damaged_block_is_noticed(models, tmp_path):
    """One byte changed anywhere before the end: refused."""
    whole = packed(models)
    end = len(whole.rstrip(b"\0"))
    for number, position in enumerate(range(7, end, 611)):
        damaged = bytearray(whole)
        damaged[position] ^= 0x15
        place = tmp_path / str(number)
        place.mkdir()
        if whole[position] == 0 and _padding(whole, position):
            continue
        with pytest.raises(RefusedError):
            unpacked(place, bytes(damaged))


def _padding(whole, position):
    """Whether it is in the unused end of a member's last block."""
    return not whole[position : position - position % 512 + 512].strip(b"\0")


@pytest.mark.parametrize(
    "changes",
    [
        {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"},
        {"type": tarfile.LNKTYPE, "linkname": "one.onnx"},
        {"type": tarfile.DIRTYPE},
        {"type": tarfile.CHRTYPE},
        {"type": tarfile.FIFOTYPE},
        {"type": tarfile.GNUTYPE_SPARSE},
        {"name": "../one.onnx"},
        {"name": "/tmp/one.onnx"},
        {"name": "a/one.onnx"},
        {"name": ".one.onnx"},
        {"name": ""},
        {"name": "extra.onnx"},
        {"name": "manifest.yaml"},
    ],
    ids=str,
)
def test_no_links_paths_or_strangers(models, tmp_path, changes):
    """Only the plain files that the manifest names, and nothing is written for anything else."""
    one = models[1]
    content = one.path.read_bytes()
    data = tar(*parts([one]), ("one.onnx", content), **changes)
    with pytest.raises(RefusedError, match="bundle is refused"):
        unpacked(tmp_path, data)
    assert not (tmp_path / "out" / "one.onnx").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle.tar", "one.onnx", "out", "two.onnx"]


@pytest.mark.parametrize(
    "data",
    [
        tar(("manifest.yaml", b"x" * (2 << 20)), ("SHA256SUMS", b"")),
        tar(("manifest.yaml", b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"), ("SHA256SUMS", b"")),
        tar(("manifest.yaml", b"models: []\n"), ("SHA256SUMS", b"")),
        tar(("SHA256SUMS", b""), ("manifest.yaml", b"models: []\n")),
        tar(*((f"f{number}", b"") for number in range(1100))),
        tar(("manifest.yaml", b"models: []\n"), form=tarfile.PAX_FORMAT, pax_headers={"comment": "x"}),
        tar(("n" * 120, b"x"), form=tarfile.GNU_FORMAT),
    ],
    ids=["large", "aliases", "empty", "order", "many", "pax", "gnu"],
)
def test_what_we_did_not_write_is_not_read(tmp_path, data):
    """Bombs, other dialects, other orders."""
    with pytest.raises(RefusedError, match="bundle is refused"):
        unpacked(tmp_path, data)


def test_a_false_sum_and_a_false_record(models, tmp_path):
    """The file has to be what both the list and the manifest speak of."""
    one = models[1]
    content = one.path.read_bytes()
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    manifest, sums = parts([one])
    with pytest.raises(RefusedError, match="SHA256SUMS"):
        unpacked(tmp_path / "a", tar(manifest, ("SHA256SUMS", b""), ("one.onnx", content)))
    altered = hashlib.sha256(b"x").hexdigest().encode()
    false = manifest[1].replace(one.sha256.encode(), altered)
    with pytest.raises(RefusedError, match="recorded is"):
        unpacked(tmp_path / "b", tar(("manifest.yaml", false), sums, ("one.onnx", content)))
