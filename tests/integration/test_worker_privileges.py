"""srwatchd.worker.landlock, .privileges and the report of .confinement, each alone and in a thread that then ends."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from srwatchd.worker import confinement, landlock, privileges, seccomp
from srwatchd.worker.confinement import Confinement, Measure

ROOT = os.geteuid() == 0
NOBODY = 65534


def in_thread(action):
    """What ``action`` returns or raises in a thread of its own: what it gives up is given up there only."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(_prepared, action).result()


def _prepared(action):
    libc = ctypes.CDLL(None)
    assert libc.prctl(38, ctypes.c_ulong(1), *[ctypes.c_ulong(0)] * 3) == 0  # no_new_privs
    return action()


def error_of(action, *arguments):
    """The errno of a failing call, 0 when it succeeds."""
    try:
        action(*arguments)
    except OSError as error:
        return error.errno
    return 0


@pytest.fixture
def landlocked():
    """Skips where there is no Landlock; its version."""
    try:
        return landlock.abi()
    except OSError as error:
        pytest.skip(f"no Landlock here: {error.strerror}")


def test_files(landlocked, tmp_path):
    """Only what is named can be opened, folders with what is in them, for reading; what is not there is left out."""
    named, other = tmp_path / "named", tmp_path / "other"
    for folder in (named, other):
        folder.mkdir()
        (folder / "file").write_text("x")
    single = other / "single"
    single.write_text("x")

    def body():
        used = landlock.restrict([str(named), str(single), str(tmp_path / "absent"), f"{single}/below"])
        return used, [
            error_of(os.open, named / "file", os.O_RDONLY),
            error_of(os.listdir, named),
            error_of(os.open, single, os.O_RDONLY),
            error_of(os.open, named / "file", os.O_WRONLY),
            error_of(os.open, named / "new", os.O_WRONLY | os.O_CREAT),
            error_of(os.open, other / "file", os.O_RDONLY),
            error_of(os.listdir, other),
            error_of(os.unlink, named / "file"),
        ]

    used, errors = in_thread(body)
    assert used == landlocked
    assert errors == [0, 0, 0] + [errno.EACCES] * 5


def test_devices(landlocked, tmp_path):
    """Device nodes may be named for both directions."""

    def body():
        landlock.restrict([], ["/dev/null"])
        return error_of(os.open, "/dev/null", os.O_RDWR), error_of(os.open, "/dev/zero", os.O_RDONLY)

    errors = in_thread(body)
    assert errors == (0, errno.EACCES)


def test_networks_and_signals(landlocked):
    """TCP since ABI 4; other processes, and sockets of theirs without a path, since 6."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def body():
            landlock.restrict([])
            with socket.socket() as client:
                return error_of(client.connect, server.getsockname()), error_of(os.kill, os.getppid(), 0)

        tcp, signal = in_thread(body)
    if landlocked < 4:
        pytest.skip(f"Landlock ABI {landlocked} knows no TCP")
    assert tcp == errno.EACCES
    if landlocked < 6:
        pytest.skip(f"Landlock ABI {landlocked} knows no signals")
    assert signal == errno.EPERM


@pytest.mark.parametrize("version", range(1, 8))
def test_older_kernels_are_asked_for_what_they_know(monkeypatch, tmp_path, version):
    """An unknown right would make the whole ruleset invalid: none newer than the kernel is asked for."""
    calls = []

    def recorded(number, *arguments):
        calls.append((number, arguments))
        return os.open("/", os.O_PATH)

    monkeypatch.setattr(landlock, "abi", lambda: version)
    monkeypatch.setattr(landlock, "_call", recorded)
    assert landlock.restrict([str(tmp_path)]) == version
    (_, (attributes, length, _)), (_, (_, _, rule, _)), _ = calls
    assert length == len(attributes) == (8 if version < 4 else 16 if version < 6 else 24)
    rights = int.from_bytes(attributes[:8], "little")
    assert rights.bit_length() == {1: 13, 2: 14}.get(version, 15 if version < 5 else 16)
    assert int.from_bytes(rule[:8], "little") & ~rights == 0


def test_every_capability_is_dropped(tmp_path):
    """Nothing is left, not even for root, and the thread beside keeps what it had."""
    before = privileges.capabilities()
    (tmp_path / "file").touch()

    def body():
        kept = privileges.drop_capabilities([str(tmp_path), str(tmp_path / "file"), "/nowhere"])
        bounding = ctypes.CDLL(None).prctl(23, ctypes.c_ulong(21))
        return kept, privileges.capabilities(), bounding

    kept, left, bounding = in_thread(body)
    assert (kept, left) == ((), 0)
    if before >> 8 & 1:  # CAP_SETPCAP
        assert bounding == 0
    assert privileges.capabilities() == before


@pytest.mark.skipif(not ROOT, reason="files of another user are made by root only")
def test_files_of_another_user_stay_readable(tmp_path):
    """Root with a models folder of somebody else keeps the right to read it, and no other."""
    if not privileges.capabilities() >> privileges.DAC_READ_SEARCH & 1:
        pytest.skip("this root has no CAP_DAC_READ_SEARCH")
    file = tmp_path / "model"
    file.write_text("x")
    file.chmod(0o600)
    os.chown(file, NOBODY, NOBODY)

    def body():
        kept = privileges.drop_capabilities([str(file)])
        return kept, error_of(os.open, file, os.O_RDONLY), error_of(os.open, file, os.O_WRONLY)

    assert in_thread(body) == ((privileges.DAC_READ_SEARCH,), 0, errno.EACCES)


def test_a_network_of_its_own_has_nothing_in_it():
    """Only a loopback interface that is down."""

    def body():
        code = error_of(privileges.separate_network)
        devices = Path(f"/proc/self/task/{threading.get_native_id()}/net/dev")
        return code, [] if code else devices.read_text().splitlines()

    code, interfaces = in_thread(body)
    if code:
        pytest.skip(f"no network namespaces here: {os.strerror(code)}")
    assert [line.split(":")[0].strip() for line in interfaces[2:]] == ["lo"]


# -- the report --------------------------------------------------------------------------------------------------------


@pytest.fixture
def refused(monkeypatch):
    """A host that refuses everything, with this errno."""

    def refuse(code):
        def raising(*_, **__):
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(privileges, "limit_resources", lambda: None)
        for module, name in (
            (privileges, "separate_network"),
            (privileges, "drop_capabilities"),
            (landlock, "restrict"),
            (seccomp, "install"),
        ):
            monkeypatch.setattr(module, name, raising)
        return confinement.confine(Confinement(readable=("/nowhere",), devices=True))

    return refuse


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL])
def test_a_host_that_refuses_is_reported_and_no_error(refused, code):
    """A worker starts with what it is given, and says of each measure why it does not hold."""
    measures = refused(code)
    assert [each.active for each in measures] == [True, False, False, False, False]
    assert all(each.detail for each in measures[1:])
    assert confinement.gaps(measures) == measures[1:]
    assert confinement.summary(measures).startswith("resource limits, no network namespace (")


def test_a_processor_without_a_filter_is_reported(refused, monkeypatch):
    """Where no filter is known there is none."""
    monkeypatch.setattr(seccomp, "machine", lambda: None)
    assert "no filter is known for" in refused(errno.EPERM)[-1].detail


def test_a_c_library_without_a_call_is_reported(monkeypatch, refused):
    """Nor is that a reason not to work."""

    def missing():
        raise AttributeError("undefined symbol: unshare")

    refused(errno.EPERM)
    monkeypatch.setattr(privileges, "separate_network", missing)
    measures = confinement.confine(Confinement())
    assert measures[1] == Measure("network namespace", active=False, detail="undefined symbol: unshare")


def test_details_of_what_was_kept_or_missed(monkeypatch, refused):
    """A right that was kept, and threads that a measure does not reach, are said."""
    refused(errno.EPERM)
    monkeypatch.setattr(privileges, "drop_capabilities", lambda _: (2,))
    monkeypatch.setattr(landlock, "restrict", lambda *_: 3)
    monkeypatch.setattr(seccomp, "install", lambda _: "this thread and those to come")
    stop = threading.Event()
    beside = threading.Thread(target=stop.wait)
    beside.start()
    try:
        texts = [str(each) for each in confinement.confine(Confinement())]
    finally:
        stop.set()
        beside.join()
    assert "CAP_DAC_READ_SEARCH" in texts[2]
    assert texts[3].startswith("landlock abi 3 (not for ")
    assert texts[4].startswith("seccomp (not for ")


def test_an_empty_network_is_not_missed_under_a_filter():
    """The filter refuses every socket; only without it is the namespace a gap."""
    network, landlocked = Measure("network namespace", active=False, detail="x"), Measure("landlock", active=False)
    assert confinement.gaps([network, landlocked, Measure("seccomp", active=True)]) == (landlocked,)
    assert confinement.gaps([network]) == (network,)
    assert confinement.summary([]) == "nothing"


def test_plain_data():
    """Settings and measures come through the socket as they were."""
    settings = Confinement(readable=("/a", "/b"), devices=True)
    assert Confinement.from_wire(settings.to_wire()) == settings
    measure = Measure("landlock", active=True, detail="abi 7")
    assert Measure.from_wire(measure.to_wire()) == measure


def test_code_is_readable_and_a_checkout_is_not():
    """Libraries and packages, but nothing that lies beside the package in a checkout."""
    folders = confinement.code_folders()
    package = os.path.dirname(os.path.realpath(confinement.srwatchd.__file__))
    assert package in folders
    assert os.path.dirname(os.__file__) in folders
    site = os.path.basename(os.path.dirname(package)) in ("site-packages", "dist-packages")
    assert site or os.path.dirname(package) not in folders
    assert "/" not in folders
