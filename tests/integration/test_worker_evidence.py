"""srwatchd.worker.evidence: what is concluded from a worker's end."""

from __future__ import annotations

import os
import signal

import pytest

from srwatchd.worker import evidence


@pytest.mark.parametrize(
    ("returncode", "words", "oom_killed", "code", "expected"),
    [
        (-signal.SIGSEGV, "", False, "worker_died", "w was ended by SIGSEGV during 'op'"),
        (-signal.SIGKILL, "", False, "worker_killed", "not by srwatchd"),
        (-signal.SIGKILL, "", True, "out_of_memory", "SIGKILL"),
        (-signal.SIGKILL, "std::bad_alloc", False, "worker_killed", "SIGKILL"),
        (-signal.SIGABRT, "what():  std::bad_alloc", False, "out_of_memory", "std::bad_alloc"),
        (-signal.SIGABRT, "glib-error: failed to allocate 9 bytes", True, "out_of_memory", "its last words"),
        (-signal.SIGABRT, "assertion failed", True, "worker_died", "assertion failed"),
        (1, "MemoryError", False, "out_of_memory", "exit status 1"),
        (0, "MemoryError", False, "worker_died", "exit status 0"),
        (-99, "", False, "worker_died", "signal 99"),
    ],
)
def test_the_kind_of_death(returncode, words, oom_killed, code, expected):
    """Memory is blamed only on good evidence; everything else is a plain death, with what is known of it."""
    error = evidence.death("w", "op", returncode=returncode, words=words, oom_killed=oom_killed)
    assert error.code == code
    assert expected in error.message


def test_last_words_are_read_without_waiting():
    """The end of what was written is kept, earlier ops' words can be dropped, undecodable bytes are shown."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    words = evidence.LastWords(read)
    assert words.drain()
    os.write(write, b"old")
    words.forget()
    assert words.text() == ""
    os.write(write, b"x" * 20_000 + b"\xff end\n")
    assert words.drain()
    assert words.text().endswith("x\\xff end")
    assert len(words.text()) < 9000
    os.write(write, b"more")
    os.close(write)
    words.close()
    words.close()
    assert words.text().endswith("more")
    assert not words.drain()
    assert words.fileno() == -1


@pytest.mark.parametrize(
    ("membership", "file", "content", "expected"),
    [
        ("0::/unit.service\n", "unit.service/memory.events", "low 0\noom 3\noom_kill 2\n", 2),
        ("0::/\n", "memory.events", "oom_kill 5\n", 5),
        ("4:cpu,memory:/box\n0::/\n", "memory/box/memory.oom_control", "oom_kill_disable 0\noom_kill 7\n", 7),
        ("4:memory:/not/visible/here\n", "memory/memory.oom_control", "oom_kill 1\n", 1),
        ("0::/unit.service\n", "unit.service/memory.events", "oom_kill many\n", None),
        ("0::/unit.service\n", "unit.service/memory.events", "low 0\n", None),
        ("nonsense\n", "memory.events", "oom_kill 5\n", None),
    ],
)
def test_the_kernel_s_count_of_kills(tmp_path, membership, file, content, expected):
    """The counter of our own control group is found in both versions; where it is not visible nothing is claimed."""
    (tmp_path / "membership").write_text(membership)
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(content)
    assert evidence.oom_kills(str(tmp_path), str(tmp_path / "membership")) == expected


def test_no_control_groups_at_all(tmp_path):
    """A system without them is no error."""
    assert evidence.oom_kills(str(tmp_path), str(tmp_path / "missing")) is None


@pytest.mark.parametrize(
    ("states", "waits"), [("S", False), ("SR", False), ("SD", True), ("D", True), ("", False)], ids=str
)
def test_a_thread_that_sleeps_in_the_kernel_is_seen(tmp_path, states, waits):
    """Whichever thread it is, and whatever it is called; what cannot be read says nothing."""
    (tmp_path / "7" / "task" / "0").mkdir(parents=True)
    for number, state in enumerate(states, 1):
        task = tmp_path / "7" / "task" / str(number)
        task.mkdir()
        (task / "stat").write_text(f"{number} (D) S (x) {state} 1 2 3")
    assert evidence.waits_for_disk(7, str(tmp_path)) is waits
    assert not evidence.waits_for_disk(8, str(tmp_path))


def test_a_living_process_does_not_wait_for_a_disk():
    """As the kernel writes it."""
    assert not evidence.waits_for_disk(os.getpid())
