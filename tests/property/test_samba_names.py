"""No name that a client can give a file makes Samba's audit log name another user."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parents[1] / "unit"))
from test_intake_samba import ANNA, BERT, ROOT, entry, header

from srwatchd.intake.samba import Splitter, Trails

FORGED = b"srw|bert|bert|10.0.0.2|pc|scans|create_file|ok|0x2|file|create|/srv/scans/in/victim"
PIECES = (b"\n", b"  ", b" ", b"|", b"/", b"\0", b"\xff", b"a", header(), header()[:-1], FORGED, b"  " + FORGED)
NAMES = st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=8)), max_size=12).map(b"".join)
OPERATIONS = st.sampled_from(["create_file", "renameat", "close", "unlinkat", "pwrite_recv"])


def written(operation, name):
    """An entry of Anna's as smbd writes it: what follows a line break in a name is indented."""
    path = f"{ROOT}/".encode() + name.replace(b"\n", b"\n  ")
    words = {"create_file": ("0x2", "file", "create"), "renameat": (f"{ROOT}/old",)}.get(operation, ())
    return entry(operation, "ok", *words, path)


@given(deeds=st.lists(st.tuples(OPERATIONS, NAMES), max_size=6), cut=st.integers(0, 400), size=st.integers(1, 300))
def test_a_name_never_speaks_for_somebody_else(deeds, cut, size):
    """Whatever the names are, wherever the reading begins and however it is cut: only Anna is ever heard."""
    log = b"".join(written(*deed) for deed in deeds)
    splitter, trails, lines = Splitter(cut=cut > 0), Trails([ROOT]), []
    for start in range(cut, len(log), size):
        lines += splitter.feed(log[start : start + size], end=False)
    lines += splitter.feed(b"", end=True)
    assert {line.visitor for line in lines} <= {ANNA}
    trails.take_all(lines)
    assert all(trail.visitor != BERT for trails_of in trails._trails.values() for trail in trails_of)
