"""What a worker that a picture has taken over would try. Imported by child processes only.

Each attempt returns normally when it succeeded and raises OSError when it was refused. None does harm when it succeeds,
not even to the machine of a root who is not confined.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading

_LIBC = ctypes.CDLL(None, use_errno=True)
_NUMBERS = {
    "x86_64": {"bpf": 321, "io_uring_setup": 425, "keyctl": 250, "pidfd_open": 434, "clone3": 435, "openat2": 437},
    "aarch64": {"bpf": 280, "io_uring_setup": 425, "keyctl": 219, "pidfd_open": 434, "clone3": 435, "openat2": 437},
}


def attempt(params, fds, progress):
    """The outcome of every attempt that is asked for: "done", or the name of the errno."""
    place = _Place(params)
    return {name: _outcome(ATTEMPTS[name], place) for name in params["attempts"]}


def own_business(params, fds, progress):
    """What libraries do all the time: memory that is executed, threads, signals to oneself, files that are open."""
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
    os.kill(os.getpid(), 0)
    signal.pthread_kill(threading.get_ident(), 0)
    resource.getrlimit(resource.RLIMIT_DATA)
    with mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC) as page:
        page[0] = 0xC3
    os.pwrite(fds[1], os.pread(fds[0], 100, 0).upper(), 0)
    os.ftruncate(fds[1], 3)
    with open("/proc/self/status", encoding="ascii") as file:
        file.read()
    import colorsys  # a module that nobody has loaded yet

    return {"loaded": colorsys.__name__, "umask": os.umask(0), "descriptors": resource.getrlimit(7)[1]}


def foreign_instructions(params, fds, progress):
    """A system call of the 32-bit instruction set: int 0x80."""
    code = bytes.fromhex("b814000000" + "cd80" + "c3")  # mov eax, 20 (getpid); int 0x80; ret
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    return {"pid": ctypes.CFUNCTYPE(ctypes.c_int)(address)()}


class _Place:
    """Where the attempts are made."""

    def __init__(self, params):
        self.secret = params["secret"]
        self.folder = params["folder"]
        self.victim = params["victim"]
        self.port = params["port"]
        self.listener = params["listener"]
        self.abstract = params["abstract"]

    def new(self, name):
        return os.path.join(self.folder, name)


def _outcome(trial, place):
    try:
        trial(place)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    return "done"


def _call(name, *arguments):
    number = _NUMBERS[os.uname().machine][name]
    _checked(_LIBC.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments)))


def _checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")


def _close(descriptor):
    os.close(descriptor)


def _read(place):
    with open(place.secret, "rb") as file:
        file.read()


def _read_through_proc(place):
    with open(f"/proc/{place.victim}/root{place.secret}", "rb") as file:
        file.read()


def _read_through_link(place):
    with open(f"{place.secret}.link", "rb") as file:
        file.read()


def _write_new(place):
    with open(place.new("new"), "wb"):
        pass


def _write_nameless(place):
    tempfile.TemporaryFile(dir=place.folder).close()


def _overwrite(place):
    with open(place.secret, "r+b") as file:
        file.write(b"x")


def _write_temporary(_place):
    handle, path = tempfile.mkstemp(dir="/tmp")
    os.close(handle)
    os.unlink(path)


def _write_shared_memory(_place):
    path = f"/dev/shm/srwatchd-test-{os.getpid()}"
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_EXCL, 0o600))
    os.unlink(path)


def _watch(place):
    descriptor = _LIBC.inotify_init1(0)
    _checked(descriptor)
    _checked(_LIBC.inotify_add_watch(descriptor, os.fsencode(place.folder), 0x100))
    os.close(descriptor)


def _connect(family, address, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as connection:
        connection.settimeout(5)
        connection.connect(address)


def _udp(place):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x", ("127.0.0.1", place.port))


def _listen(_place):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()


def _trace(place):
    _LIBC.ptrace.argtypes = [ctypes.c_long] * 4
    _checked(_LIBC.ptrace(0x4206, place.victim, 0, 0))  # PTRACE_SEIZE: does not stop it


def _read_memory(place):
    with open(f"/proc/{place.victim}/mem", "rb") as file:
        file.fileno()


def _take_memory(place):
    buffer = ctypes.create_string_buffer(8)
    local = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), 8)
    remote = (ctypes.c_size_t * 2)(place.address if hasattr(place, "address") else _mapped(place.victim), 8)
    _checked(
        _LIBC.process_vm_readv(place.victim, local, ctypes.c_ulong(1), remote, ctypes.c_ulong(1), ctypes.c_ulong(0))
    )


def _mapped(process):
    """Any address of another process; 1 where that cannot be learned."""
    try:
        with open(f"/proc/{process}/maps", encoding="ascii") as maps:
            return int(maps.readline().split("-")[0], 16)
    except OSError:
        return 1


def _fork(_place):
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def _limit_other(place):
    resource.prlimit(place.victim, resource.RLIMIT_NOFILE)


def _mount(target):
    """Onto a folder that is not there: whoever may mount learns that, and nothing is mounted."""
    _checked(_LIBC.mount(b"none", os.fsencode(target), b"tmpfs", ctypes.c_ulong(0), None))


ATTEMPTS = {
    # files
    "read a secret": _read,
    "read it through /proc": _read_through_proc,
    "read it through a link": _read_through_link,
    "list a folder": lambda place: os.listdir(place.folder),
    "watch a folder": _watch,
    "make a file": _write_new,
    "make a nameless file": _write_nameless,
    "overwrite a file": _overwrite,
    "make a temporary file": _write_temporary,
    "make shared memory": _write_shared_memory,
    "make a folder": lambda place: os.mkdir(place.new("folder")),
    "make a link": lambda place: os.link(place.secret, place.new("link")),
    "make a symbolic link": lambda place: os.symlink(place.secret, place.new("symlink")),
    "make a FIFO": lambda place: os.mkfifo(place.new("fifo")),
    "rename a file": lambda place: os.rename(place.new("a"), place.new("b")),
    "remove a file": lambda place: os.unlink(place.new("c")),
    "remove a folder": lambda place: os.rmdir(place.new("d")),
    "cut a file": lambda place: os.truncate(place.new("e"), 0),
    "change a mode": lambda place: os.chmod(place.new("e"), 0o600),
    "change an owner": lambda place: os.chown(place.new("e"), os.getuid(), os.getgid()),
    "change a time": lambda place: os.utime(place.new("e")),
    # networks
    "connect by TCP": lambda place: _connect(socket.AF_INET, ("127.0.0.1", place.port)),
    "listen": _listen,
    "send by UDP": _udp,
    "connect to a path": lambda place: _connect(socket.AF_UNIX, place.listener),
    "connect to an abstract name": lambda place: _connect(socket.AF_UNIX, "\0" + place.abstract),
    "make a pair of sockets": lambda _: [each.close() for each in socket.socketpair()],
    "ask the kernel by netlink": lambda _: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close(),
    # programs and processes
    "run a program": lambda _: subprocess.run([sys.executable, "-c", ""], check=True),
    "fork": _fork,
    "signal a process": lambda place: os.kill(place.victim, 0),
    "signal everybody": lambda _: os.kill(0, 0),
    "hold a process": lambda place: _close(os.pidfd_open(place.victim)),
    "trace a process": _trace,
    "open a process's memory": _read_memory,
    "read a process's memory": _take_memory,
    "limit a process": _limit_other,
    "outlive the supervisor": lambda _: _checked(_LIBC.prctl(1, 0, 0, 0, 0)),
    "be somebody else": lambda _: os.setresuid(os.getuid(), os.getuid(), os.getuid()),
    # the kernel
    "load a program into the kernel": lambda _: _call("bpf", 5, 0, 0),
    "start a ring": lambda _: _call("io_uring_setup", 1, 0),
    "use a keyring": lambda _: _call("keyctl", 0, -2, 1),
    "make a namespace": lambda _: _checked(_LIBC.unshare(0x10000000)),
    "mount": lambda place: _mount(place.new("nowhere")),
    "hide flags from the filter": lambda _: _call("openat2", -100, 0, 0, 0),
    "hide flags of a clone": lambda _: _call("clone3", 0, 0),
}

TASKS = {"attempt": attempt, "own_business": own_business, "foreign_instructions": foreign_instructions}
