"""A folder whose model comes later, while the daemon runs."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

import networks
from commands import png, small_model, srwatchd, wait_for
from daemon_bench import Service


def test_a_folder_takes_its_missing_model_up(tmp_path):
    """Held and named while the model is missing, the others served; done without a restart once it is imported."""
    file = tmp_path / "late.onnx"
    file.write_bytes(networks.onnx())
    with Service(tmp_path, {"a": {}, "late": {"model": "late"}}) as service:
        hold = wait_for(lambda: service.folder("late")["hold"])
        assert (hold["code"], "late" in hold["message"]) == ("model_missing", True)
        service.drop("late", "one.png", png())
        service.drop("a", "two.png", png())
        service.await_file("a", "archive", "two.png")
        assert srwatchd("models", "import", file, "--config", service.config).returncode == 0
        service.await_delivered("late", "one_x2.png", archived="one.png")
        assert service.folder("late")["hold"] is None
        assert service.folder("late")["engine"]

        def selected():
            lines = service.ledger()
            return [line["srwatchd.model.name"] for line in lines if line["event.action"] == "model.selected"]

        assert selected() == [small_model(), "late"]
        service.process.send_signal(1)  # a reload finds everything there
        wait_for(lambda: selected() == [small_model(), "late"] * 2)


def test_a_reload_onto_a_missing_model_is_refused(tmp_path):
    """Until it is imported; a folder that waits for its model does not get in the way of another reload."""
    file = tmp_path / "late.onnx"
    file.write_bytes(networks.onnx())
    with Service(tmp_path, {"a": {}}) as service:
        service.write({"a": {}, "late": {"model": "late"}})
        service.process.send_signal(1)
        wait_for(lambda: any(line["event.action"] == "configuration.refused" for line in service.ledger()))
        assert [each["id"] for each in service.ask("status")["folders"]] == ["a"]
        assert srwatchd("models", "import", file, "--config", service.config).returncode == 0
        service.process.send_signal(1)
        service.drop("late", "one.png", png())
        service.await_delivered("late", "one_x2.png", archived="one.png")


def test_an_import_disturbs_no_other_folder(tmp_path):
    """Workers have given up the folder of imported models before there was one, and do not need it."""
    file = tmp_path / "late.onnx"
    file.write_bytes(networks.onnx())
    with Service(tmp_path, {"a": {}}) as service:
        service.drop("a", "one.png", png())
        service.await_file("a", "archive", "one.png")
        assert srwatchd("models", "import", file, "--config", service.config).returncode == 0
        service.drop("a", "two.png", png())
        service.await_file("a", "archive", "two.png")
        assert not service.logged("held")
