from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

from intake_bench import Folder, running

from srwatchd.intake.claims import Claims
from srwatchd.intake.hints import HintKind
from srwatchd.intake.mounts import Timing
from srwatchd.intake.settle import Doomed, WaitReason
from srwatchd.job import Record

SLOW = Timing(30.0, 60.0)
WRITER = """
import sys, time
with open(sys.argv[1], "wb") as file:
    file.write(b"x" * 100)
    file.flush()
    print("in", flush=True)
    time.sleep(99)
"""


def test_flow_clean_write_is_ready_without_settling_and_without_a_scan(tmp_path):
    """Write, close, two looks that agree: no settle time, no scan."""
    with running(tmp_path / "in", timing=SLOW) as loop:
        (loop.inbox.root / "a.jpg").write_bytes(b"x" * 100)
        (verdict,) = loop.until_ready()
        assert verdict.snapshot.name == "a.jpg"
        assert not verdict.hole
        assert loop.scans == 0


def test_flow_rename_into_place_is_ready_without_settling(tmp_path):
    """A temporary name is never taken, its final name at once; so is a file moved in from outside."""
    with running(tmp_path / "in", timing=SLOW) as loop:
        (loop.inbox.root / ".a.jpg.Xy12").write_bytes(b"x")
        (loop.inbox.root / ".a.jpg.Xy12").rename(loop.inbox.root / "a.jpg")
        (tmp_path / "b.jpg").write_bytes(b"x")
        (tmp_path / "b.jpg").rename(loop.inbox.root / "b.jpg")
        found = loop.until_ready(2)
        assert {verdict.snapshot.name for verdict in found} == {"a.jpg", "b.jpg"}
        assert loop.scans == 0


def test_flow_claims_do_not_hold_up_the_next_hint(tmp_path):
    """A file taken away, also from the private folder, delays no other one: all are ready without settling."""
    with running(tmp_path / "in", timing=SLOW) as loop:
        claims = Claims(loop.inbox)
        for number in range(5):
            name = f"{number}.jpg"
            (loop.inbox.root / name).write_bytes(b"x")
            (verdict,) = loop.until_ready()
            assert verdict.snapshot.name == name
            record = Record(f"job{number}", "f", verdict.snapshot, "2026")
            loop.settler.reserve(name)
            claims.take(record)
            loop.settler.claimed(name, time.monotonic())
            (loop.inbox.root / f".srwatchd/job{number}.src").rename(tmp_path / name)
            claims.drop(record)
        loop.rescan()
        assert len(loop.settler) == 0


def test_flow_link_settles(tmp_path):
    """`ln` and a plain SFTP rename tell only the name: the settle time decides."""
    with running(tmp_path / "in") as loop:
        (tmp_path / "a.jpg").write_bytes(b"x")
        os.link(tmp_path / "a.jpg", loop.inbox.root / "a.jpg")
        assert loop.until_ready()[0].snapshot.name == "a.jpg"
        assert {hint.kind for hint in loop.hints} == {HintKind.CREATED}


def test_flow_slow_writer_is_waited_for(tmp_path):
    """A file that grows with pauses longer than the settle time is ready only after its last byte."""
    with running(tmp_path / "in") as loop:
        path = loop.inbox.root / "a.jpg"

        def write():
            with path.open("wb") as file:
                for _ in range(4):
                    file.write(b"x" * 1000)
                    file.flush()
                    time.sleep(0.5)

        writer = threading.Thread(target=write)
        writer.start()
        (verdict,) = loop.until_ready()
        writer.join()
        assert verdict.snapshot.size == 4000


def test_flow_frozen_writer_holds_its_file_until_it_is_given_up(tmp_path):
    """A stopped client with an open file and a stable size: busy, then `writer_never_closed`."""
    with running(tmp_path / "in", folder=Folder(max_hold=2.0)) as loop:
        command = [sys.executable, "-c", WRITER, str(loop.inbox.root / "a.jpg")]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout.readline() == b"in\n"
            writer.send_signal(signal.SIGSTOP)
            begin = time.monotonic()
            try:
                loop.until(lambda: loop.waits("a.jpg") is WaitReason.WRITER_OPEN)
                (verdict,) = loop.until_ready()
                assert time.monotonic() - begin >= 2.0
                assert isinstance(verdict, Doomed)
                assert verdict.code == "writer_never_closed"
            finally:
                writer.kill()


def test_flow_killed_writer_leaves_a_partial_file_that_is_resumed(tmp_path):
    """The kernel closes a killed writer's file, so it is ready and does not decode; its continuation makes it whole."""
    with running(tmp_path / "in", timing=Timing(0.3, 30.0)) as loop:
        path = loop.inbox.root / "a.jpg"
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout.readline() == b"in\n"
            writer.kill()
        (verdict,) = loop.until_ready()
        assert verdict.snapshot.size == 100
        loop.settler.reserve("a.jpg")
        loop.settler.undecodable("a.jpg", time.monotonic())
        assert loop.during(0.8) == []
        assert loop.waits("a.jpg") is WaitReason.UNDECODABLE
        with path.open("ab") as file:
            file.write(b"y" * 100)
        (verdict,) = loop.until_ready()
        assert verdict.snapshot.size == 200
        assert not isinstance(verdict, Doomed)


def test_flow_abandoned_partial_file_is_incomplete_after_its_grace(tmp_path):
    """Nobody resumes it: doomed, not probed for ever."""
    with running(tmp_path / "in") as loop:
        (loop.inbox.root / "a.jpg").write_bytes(b"x")
        loop.until_ready()
        loop.settler.reserve("a.jpg")
        loop.settler.undecodable("a.jpg", time.monotonic())
        (verdict,) = loop.until_ready()
        assert isinstance(verdict, Doomed)
        assert verdict.code == "incomplete"


def test_flow_preallocated_file_waits_and_is_then_ready_with_a_hole(tmp_path):
    """Full size from the beginning, its end never written, its writer gone."""
    with running(tmp_path / "in", timing=Timing(0.2, 1.0)) as loop:
        with (loop.inbox.root / "a.bmp").open("wb") as file:
            file.truncate(1 << 20)
            file.write(b"x" * 1000)
        begin = time.monotonic()
        loop.until(lambda: loop.waits("a.bmp") is WaitReason.HOLE)
        (verdict,) = loop.until_ready()
        assert time.monotonic() - begin >= 1.0
        assert verdict.hole


def test_flow_folder_moved_in_is_found_without_a_scan_of_everything(tmp_path):
    """What lies in a folder that was moved in is told, with or without closes."""
    with running(tmp_path / "in") as loop:
        (tmp_path / "out/deep").mkdir(parents=True)
        for name in ("a.jpg", "deep/b.jpg"):
            (tmp_path / "out" / name).write_bytes(b"x")
        (tmp_path / "out").rename(loop.inbox.root / "out")
        found = loop.until_ready(2)
        assert {verdict.snapshot.name for verdict in found} == {"out/a.jpg", "out/deep/b.jpg"}


def test_flow_scan_finds_what_no_event_told(tmp_path):
    """Files from before the start are ready after one scan and one look each."""
    (tmp_path / "in/sub").mkdir(parents=True)
    for number in range(50):
        (tmp_path / f"in/sub/{number:02}.jpg").write_bytes(b"x")
    with running(tmp_path / "in", folder=Folder(order="name")) as loop:
        loop.rescan()
        found = loop.until_ready(50)
        assert [verdict.snapshot.name for verdict in found] == [f"sub/{number:02}.jpg" for number in range(50)]


def test_flow_file_that_goes_is_forgotten(tmp_path):
    """Removed while it settles, or while it is queued: nothing is reported of it any more."""
    with running(tmp_path / "in") as loop:
        (loop.inbox.root / "a.jpg").write_bytes(b"x")
        loop.until_ready()
        (loop.inbox.root / "a.jpg").unlink()
        loop.rescan()
        assert loop.settler.ready(time.monotonic()) == []
        (tmp_path / "b.jpg").write_bytes(b"x")
        os.link(tmp_path / "b.jpg", loop.inbox.root / "b.jpg")
        loop.until(lambda: loop.waits("b.jpg") is WaitReason.SETTLING)
        (loop.inbox.root / "b.jpg").unlink()
        loop.until(lambda: len(loop.settler) == 0)


def test_flow_done_file_mode(tmp_path):
    """Ready when the marker comes, not before, and the marker goes with its file."""
    with running(tmp_path / "in", folder=Folder(ready="done_file", rescan_interval=5.0)) as loop:
        (loop.inbox.root / "a.jpg").write_bytes(b"x")
        loop.until(lambda: loop.waits("a.jpg") is WaitReason.NO_MARKER)
        assert loop.during(0.8) == []
        (loop.inbox.root / "a.jpg.done").write_bytes(b"")
        (verdict,) = loop.until_ready()
        claims = Claims(loop.inbox, markers=True)
        record = Record("j", "f", verdict.snapshot, "2026")
        claims.take(record)
        assert os.listdir(loop.inbox.root) == [".srwatchd"]
        assert claims.release(record) == "a.jpg"
        assert sorted(os.listdir(loop.inbox.root)) == [".srwatchd", "a.jpg", "a.jpg.done"]
