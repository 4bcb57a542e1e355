"""A filter of system calls for this process: classic BPF, assembled here, installed for all of its threads.

See Documentation/userspace-api/seccomp_filter.rst of the kernel and seccomp(2). Refused calls fail with EACCES
(network, opening for writing) or EPERM, as a library expects of a strict host; calls of a foreign instruction set,
which only an intruder makes, end the process.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from dataclasses import dataclass
from typing import Final

from srwatchd.worker import syscalls

__all__ = ["ALLOW", "KILL", "Machine", "assemble", "install", "machine"]

ALLOW: Final = 0x7FFF0000
KILL: Final = 0x80000000
_ERRNO: Final = 0x00050000

_LOAD: Final = 0x20
_EQUAL: Final = 0x15
_AT_LEAST: Final = 0x35
_ANY_BIT: Final = 0x45
_RETURN: Final = 0x06
_NUMBER: Final = 0
_ARCHITECTURE: Final = 4
_X32: Final = 0x40000000

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_SECCOMP: Final = 22
_MODE_FILTER: Final = 2
_SET_MODE_FILTER: Final = 1
_TSYNC: Final = 1
_SPEC_ALLOW: Final = 4  # else kernels before 5.16 make every load of a filtered process slower

_THREAD: Final = 0x00010000
_NEW_NAMESPACES: Final = 0x7E020000
_WRITING: Final = os.O_WRONLY | os.O_RDWR
_MAKING: Final = os.O_CREAT | os.O_TRUNC | os.O_APPEND | 0o20000000  # the last is O_TMPFILE without O_DIRECTORY
_OWNERS_LEASES_AND_WATCHES: Final = (8, 15, 1024, 1026)  # F_SETOWN, F_SETOWN_EX, F_SETLEASE, F_NOTIFY
_TERMINALS_AND_OWNERS: Final = (0x5412, 0x541C, 0x8901, 0x8902)  # TIOCSTI, TIOCLINUX, FIOSETOWN, SIOCSPGRP

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, operand."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A processor: its AUDIT_ARCH, its column in the tables of :mod:`~srwatchd.worker.syscalls`, its seccomp(2)."""

    name: str
    audit: int
    column: int
    seccomp: int


_MACHINES: Final = {
    "x86_64": Machine("x86_64", 0xC000003E, 0, 317),
    "aarch64": Machine("aarch64", 0xC00000B7, 1, 277),
}


def machine() -> Machine | None:
    """The instruction set of this process, None if no filter is known for it (also for a 32-bit process)."""
    return _MACHINES.get(os.uname().machine) if sys.maxsize > 1 << 32 else None


def assemble(target: Machine, *, pid: int, devices: bool) -> list[Instruction]:
    """The filter for process ``pid``. ``devices``: files may be opened for writing if they exist (device nodes do)."""
    program: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, target.audit),
        (_RETURN, 0, 0, KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if target.name == "x86_64":
        program += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, KILL)]
    for name, block in _checks(pid=pid, devices=devices).items():
        program += _for(syscalls.CHECKED[name][target.column], block)
    for table, code in (
        (syscalls.NETWORK, errno.EACCES),
        (syscalls.OTHERS, errno.EPERM),
        (syscalls.REPLACED, errno.ENOSYS),
    ):
        for numbers in table.values():
            program += _for(numbers[target.column], [_refuse(code)])
    return [
        *program,
        (_AT_LEAST, 0, 1, syscalls.LAST_KNOWN + 1),
        _refuse(errno.ENOSYS),
        (_RETURN, 0, 0, ALLOW),
    ]


def install(program: list[Instruction]) -> str:
    """Put the filter over this thread and all others; which threads it holds for.

    Needs ``no_new_privs``. Raises OSError where the kernel, or a filter around us, refuses.
    """
    here = machine()
    if here is None:
        raise OSError(errno.ENOSYS, "no filter is known for this processor")
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("@HP", len(program), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    number, operation, flags = map(ctypes.c_long, (here.seccomp, _SET_MODE_FILTER, _TSYNC | _SPEC_ALLOW))
    if libc.syscall(number, operation, flags, ctypes.c_char_p(header)) == 0:
        return "all threads"
    # A service manager's filter may refuse the newer call; the older one does not reach threads that already are.
    zero = ctypes.c_ulong(0)
    mode = ctypes.c_ulong(_MODE_FILTER)
    if libc.prctl(_PR_SET_SECCOMP, mode, ctypes.c_char_p(header), zero, zero) == 0:
        return "this thread and those to come"
    code_number = ctypes.get_errno()
    raise OSError(code_number, os.strerror(code_number))


def _checks(*, pid: int, devices: bool) -> dict[str, list[Instruction]]:
    """For each call of ``CHECKED``: what decides about its arguments. Each block ends with a return."""
    opening = _MAKING if devices else _MAKING | _WRITING
    return {
        "openat": _without(2, opening, errno.EACCES),
        "open": _without(1, opening, errno.EACCES),
        "fcntl": _except(1, _OWNERS_LEASES_AND_WATCHES),
        "ioctl": _except(1, _TERMINALS_AND_OWNERS),
        "clone": [
            _argument(0),
            (_ANY_BIT, 0, 1, _NEW_NAMESPACES),
            _refuse(errno.EPERM),
            (_ANY_BIT, 1, 0, _THREAD),
            _refuse(errno.EPERM),
            (_RETURN, 0, 0, ALLOW),
        ],
        "kill": _only(0, (pid,)),
        "tgkill": _only(0, (pid,)),
        "rt_tgsigqueueinfo": _only(0, (pid,)),
        "prlimit64": _only(0, (0, pid)),
        "prctl": _except(0, (_PR_SET_PDEATHSIG,)),
    }


def _for(number: int | None, block: list[Instruction]) -> list[Instruction]:
    """``block`` for the call ``number`` alone."""
    return [] if number is None else [(_EQUAL, 0, len(block), number), *block]


def _refuse(code: int) -> Instruction:
    return (_RETURN, 0, 0, _ERRNO | code)


def _argument(index: int) -> Instruction:
    """Load the low half of an argument: all that the kernel looks at for pids, flags and commands (little endian)."""
    return (_LOAD, 0, 0, 16 + 8 * index)


def _only(index: int, values: tuple[int, ...]) -> list[Instruction]:
    """Allow only these values of an argument."""
    tests = [(_EQUAL, len(values) - place, 0, value) for place, value in enumerate(values)]
    return [_argument(index), *tests, _refuse(errno.EPERM), (_RETURN, 0, 0, ALLOW)]


def _except(index: int, values: tuple[int, ...]) -> list[Instruction]:
    """Allow every value of an argument but these."""
    tests = [(_EQUAL, len(values) - place, 0, value) for place, value in enumerate(values)]
    return [_argument(index), *tests, (_RETURN, 0, 0, ALLOW), _refuse(errno.EPERM)]


def _without(index: int, bits: int, code: int) -> list[Instruction]:
    """Allow an argument in which none of these bits is set."""
    return [_argument(index), (_ANY_BIT, 0, 1, bits), _refuse(code), (_RETURN, 0, 0, ALLOW)]
