"""benchmarks.memory: a row for a model says what it takes, and that no less is planned."""

from __future__ import annotations

from benchmarks.memory import main


def test_a_row_for_a_model(capsys):
    """Measured in processes of its own; the plan has the margin of the budget's formula, and no more."""
    assert main(["lapsrn_x2", "--engine", "openvino"]) == 0
    *_, row = capsys.readouterr().out.splitlines()
    model, engine, most, planned, ratio = (cell.strip() for cell in row.strip("|").split("|"))
    assert (model, engine) == ("`lapsrn_x2`", "openvino")
    assert 200 < int(most.replace(",", "")) < 1000
    assert int(planned.replace(",", "")) > 200
    assert 0.9 < float(ratio) < 1.6
