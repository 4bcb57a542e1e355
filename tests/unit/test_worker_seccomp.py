"""srwatchd.worker.seccomp: the filter's verdicts, by a small interpreter of the machine that it is written for."""

from __future__ import annotations

import errno
import os
import struct

import pytest

from srwatchd.worker import seccomp, syscalls

X86, ARM = seccomp._MACHINES["x86_64"], seccomp._MACHINES["aarch64"]
PID = 4711
REFUSED = 0x00050000


def verdict(program, number, *arguments, audit):
    """What the filter returns for a call (classic BPF, as the kernel's net/core/filter.c defines it)."""
    filled = (*arguments, *[0] * 6)[:6]
    data = struct.pack("<IIQ6Q", number, audit, 0, *[each % (1 << 64) for each in filled])
    accumulator, place = 0, 0
    while True:
        code, if_true, if_false, operand = program[place]
        place += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, operand)
        elif code == 0x06:
            return operand
        else:
            holds = {0x15: accumulator == operand, 0x35: accumulator >= operand, 0x45: bool(accumulator & operand)}
            place += if_true if holds[code] else if_false


@pytest.fixture(params=[X86, ARM], ids=lambda each: each.name)
def target(request):
    return request.param


@pytest.fixture
def ask(target):
    """The verdict on a call by name, with arguments; ``devices`` as in assemble."""
    tables = syscalls.CHECKED | syscalls.NETWORK | syscalls.OTHERS | syscalls.REPLACED

    def asked(name, *arguments, devices=False):
        number = tables[name][target.column]
        if number is None:
            pytest.skip(f"{target.name} has no {name}")
        program = seccomp.assemble(target, pid=PID, devices=devices)
        return verdict(program, number, *arguments, audit=target.audit)

    return asked


def test_whole_tables_are_refused(target):
    """Every call of the tables is refused with its errno, on both processors."""
    program = seccomp.assemble(target, pid=PID, devices=False)
    for table, code in (
        (syscalls.NETWORK, errno.EACCES),
        (syscalls.OTHERS, errno.EPERM),
        (syscalls.REPLACED, errno.ENOSYS),
    ):
        for name, numbers in table.items():
            number = numbers[target.column]
            if number is not None:
                assert verdict(program, number, audit=target.audit) == REFUSED | code, name


def test_no_number_stands_twice(target):
    """A slip in the tables would refuse the wrong call."""
    tables = (syscalls.CHECKED, syscalls.NETWORK, syscalls.OTHERS, syscalls.REPLACED)
    numbers = [numbers[target.column] for table in tables for numbers in table.values()]
    known = [number for number in numbers if number is not None]
    assert len(known) == len(set(known))
    assert max(known) <= syscalls.LAST_KNOWN


def test_everyday_calls_pass(target):
    """Reading, writing, mapping, waiting, ending."""
    everyday = {"x86_64": (0, 1, 3, 9, 10, 11, 17, 18, 47, 46, 202, 231), "aarch64": (63, 64, 57, 222, 226, 98, 94)}
    program = seccomp.assemble(target, pid=PID, devices=False)
    for number in everyday[target.name]:
        assert verdict(program, number, audit=target.audit) == seccomp.ALLOW


def test_what_is_not_known_yet_does_not_exist(target):
    """Calls of later kernels look as they do on this one."""
    program = seccomp.assemble(target, pid=PID, devices=False)
    assert verdict(program, syscalls.LAST_KNOWN + 1, audit=target.audit) == REFUSED | errno.ENOSYS
    assert verdict(program, syscalls.LAST_KNOWN, audit=target.audit) != REFUSED | errno.ENOSYS


def test_other_instruction_sets_end_the_process():
    """32-bit calls, and those of x32, which share the audit architecture of x86-64."""
    for target in (X86, ARM):
        program = seccomp.assemble(target, pid=PID, devices=False)
        assert verdict(program, 0, audit=0x40000003) == seccomp.KILL
    assert verdict(seccomp.assemble(X86, pid=PID, devices=False), 0x40000001, audit=X86.audit) == seccomp.KILL


@pytest.mark.parametrize(("name", "place"), [("openat", 2), ("open", 1)])
@pytest.mark.parametrize(
    ("flags", "plain", "with_devices"),
    [
        (os.O_RDONLY | os.O_CLOEXEC, True, True),
        (os.O_RDONLY | os.O_DIRECTORY, True, True),
        (os.O_PATH, True, True),
        (os.O_RDWR, False, True),
        (os.O_WRONLY, False, True),
        (os.O_WRONLY | os.O_CREAT, False, False),
        (os.O_RDONLY | os.O_CREAT, False, False),
        (os.O_RDONLY | os.O_TRUNC, False, False),
        (os.O_RDWR | os.O_TMPFILE, False, False),
    ],
)
def test_opening(ask, name, place, flags, plain, with_devices):
    """Files are opened for reading only; device nodes for both where there may be accelerators."""
    arguments = [0] * place + [flags]
    assert (ask(name, *arguments) == seccomp.ALLOW) == plain
    assert (ask(name, *arguments, devices=True) == seccomp.ALLOW) == with_devices


@pytest.mark.parametrize(
    ("name", "arguments", "allowed"),
    [
        ("clone", (0x3D0F00,), True),  # a thread, as glibc makes it
        ("clone", (17,), False),  # a fork
        ("clone", (0x4011,), False),  # vfork
        ("clone", (0x10000000 | 17,), False),
        ("clone", (0x40000000 | 0x3D0F00,), False),
        ("kill", (PID, 9), True),
        ("kill", (1, 9), False),
        ("kill", (0, 9), False),
        ("kill", (-1, 9), False),
        ("tgkill", (PID, 4712, 6), True),
        ("tgkill", (4712, 4712, 6), False),
        ("rt_tgsigqueueinfo", (PID,), True),
        ("rt_tgsigqueueinfo", (1,), False),
        ("prlimit64", (0, 7), True),
        ("prlimit64", (PID, 7), True),
        ("prlimit64", (1, 7), False),
        ("prctl", (15,), True),
        ("prctl", (1, 0), False),
        ("fcntl", (3, 1), True),
        ("fcntl", (3, 8), False),
        ("fcntl", (3, 15), False),
        ("fcntl", (3, 1024), False),
        ("fcntl", (3, 1026), False),
        ("ioctl", (3, 0x5401), True),
        ("ioctl", (0, 0x5412), False),
        ("ioctl", (0, 0x8902), False),
        ("ioctl", (0, (7 << 32) | 0x5412), False),  # the kernel looks at the low half
    ],
)
def test_arguments_decide(ask, name, arguments, allowed):
    """Threads but no processes, signals and limits for itself alone, no owners, leases or terminals."""
    assert ask(name, *arguments) == (seccomp.ALLOW if allowed else REFUSED | errno.EPERM)


def test_every_way_through_the_filter_ends(target):
    """No jump leads out of the program, and it fits the kernel's 4096 instructions."""
    program = seccomp.assemble(target, pid=PID, devices=True)
    assert len(program) <= 4096
    for place, (code, if_true, if_false, _) in enumerate(program):
        if code in (0x15, 0x35, 0x45):
            assert 0 <= if_true <= 255
            assert 0 <= if_false <= 255
            assert place + 1 + max(if_true, if_false) < len(program)
    assert program[-1][0] == 0x06


def test_machines(monkeypatch):
    """There is a filter for the two processors that wheels exist for, in 64 bits."""
    from types import SimpleNamespace

    for name in ("x86_64", "aarch64"):
        monkeypatch.setattr(seccomp.os, "uname", lambda name=name: SimpleNamespace(machine=name))
        assert seccomp.machine().name == name
    monkeypatch.setattr(seccomp.sys, "maxsize", (1 << 31) - 1)
    assert seccomp.machine() is None
    monkeypatch.undo()
    monkeypatch.setattr(seccomp.os, "uname", lambda: SimpleNamespace(machine="riscv64"))
    assert seccomp.machine() is None
    with pytest.raises(OSError, match="processor"):
        seccomp.install([])
