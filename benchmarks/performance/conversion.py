"""An ONNX twin as ncnn takes it, by pnnx, the converter of ncnn's own project.

Two things have to be done by hand. pnnx (20261020) crashes on a network of several outputs, which LapSRN is: all but
the wanted one are taken off. And it writes a pixel shuffle down as ``DepthToSpace``, which ncnn calls ``PixelShuffle``.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from srwatchd.engine.onnxfile import read_onnx
from srwatchd.engine.wire import Field, encode, parse, text

if TYPE_CHECKING:
    from srwatchd.modelspec import ModelSpec

__all__ = ["converted"]

_GRAPH: Final = 7
_OUTPUT: Final = 12
_DEPTH_COLUMN_ROW: Final = 1
"""Which planes of a block are neighbours, in ncnn's words: those of one place."""


def converted(spec: ModelSpec, folder: Path) -> Path:
    """The network's ``.param`` below ``folder``, its ``.bin`` beside it. Raises ImportError and RuntimeError."""
    found = importlib.util.find_spec("pnnx")  # not imported: its Python part wants torch
    if found is None or found.origin is None:
        raise ImportError("there is no package pnnx, which converts for ncnn")
    twin = Path(str(spec.onnx)).read_bytes()
    (folder / "model.onnx").write_bytes(_one_output(twin, spec.output_node))
    words = [str(Path(found.origin).with_name("pnnx")), "model.onnx", f"inputshape=[1,96,128,{spec.channels}]"]
    answer = subprocess.run(words, cwd=folder, check=False, capture_output=True)
    layers = folder / "model.ncnn.param"
    if answer.returncode != 0 or not layers.exists():
        raise RuntimeError(f"pnnx does not convert the twin, it ends with {answer.returncode}")
    blocks = iter([each.number("blocksize", 1) for each in read_onnx(twin).operations if each.kind == "DepthToSpace"])
    layers.write_text(
        re.sub(
            r"^DepthToSpace( .*)$",
            lambda line: f"PixelShuffle{line[1]} 0={next(blocks)} 1={_DEPTH_COLUMN_ROW}",
            layers.read_text(encoding="ascii"),
            flags=re.MULTILINE,
        ),
        encoding="ascii",
    )
    return layers


def _one_output(model: bytes, name: str) -> bytes:
    """``model`` with the output ``name`` only."""
    kept = []
    for part in parse(model):
        value = part.value
        if part.number == _GRAPH and not isinstance(value, int):
            graph = [
                each
                for each in parse(value)
                if each.number != _OUTPUT or isinstance(each.value, int) or text(parse(each.value), 1) == name
            ]
            kept.append(Field(part.number, part.kind, encode(graph)))
        else:
            kept.append(part)
    return encode(kept)
