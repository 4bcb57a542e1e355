"""Ops for the tests of workers: good ones, and every way to go wrong. Imported by the child processes only."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time

from srwatchd import errors

_kept = []


def noop(params, fds, progress):
    return {"params": params, "fds": len(fds)}


def look(params, fds, progress):
    """Where and what this process is."""
    with open("/proc/self/oom_score_adj", encoding="ascii") as file:
        score = int(file.read())
    with open("/proc/self/comm", encoding="ascii") as file:
        name = file.read().strip()
    ignored = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    return {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "session": os.getsid(0),
        "cwd": os.getcwd(),
        "environment": dict(os.environ),
        "ignored": [signal.getsignal(number) == signal.SIG_IGN for number in ignored],
        "core": resource.getrlimit(resource.RLIMIT_CORE)[0],
        "data": resource.getrlimit(resource.RLIMIT_DATA)[0],
        "nice": os.nice(0),
        "score": score,
        "name": name,
        "stdin": os.path.realpath("/proc/self/fd/0"),
        "telemetry": "openvino_telemetry" in sys.modules and sys.modules["openvino_telemetry"] is None,
        "open": len(os.listdir("/proc/self/fd")),
        "path": sys.path,
        "inheritable": [fd for fd in map(int, os.listdir("/proc/self/fd")) if fd > 2 and _inheritable(fd)],
    }


def _inheritable(fd):
    try:
        return os.get_inheritable(fd)
    except OSError:
        return False


def shout(params, fds, progress):
    """Read the first descriptor, write it in capitals into the second."""
    os.write(fds[1], os.pread(fds[0], 1000, 0).upper())
    return {}


def closes_its_own(params, fds, progress):
    os.close(fds[0])
    return {}


def crash(params, fds, progress):
    ctypes.string_at(0)


def leave(params, fds, progress):
    sys.stderr.write("a few last words\n")
    sys.stderr.flush()
    os._exit(7)


def chatter(params, fds, progress):
    sys.stderr.write("x" * 200_000 + "the end")
    sys.stderr.flush()
    os._exit(1)


def native_hang(params, fds, progress):
    """A native call that holds the interpreter lock and never looks at a signal or a socket."""
    progress({"started": True})
    ctypes.PyDLL(None).sleep(1000)


def steps(params, fds, progress):
    for step in range(params["count"]):
        time.sleep(params["pause"])
        progress({"step": step})
    time.sleep(params.get("then", 0))
    return {"steps": params["count"]}


def allocate(params, fds, progress):
    _kept.append(bytearray(params["bytes"]))
    _kept.clear()
    return {}


def native_allocation_failure(params, fds, progress):
    """What an uncaught std::bad_alloc of a native library looks like from outside."""
    sys.stderr.write("terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\n")
    sys.stderr.flush()
    os.abort()


def opencv_allocation_failure(params, fds, progress):
    raise RuntimeError("(-4:Insufficient memory) Failed to allocate 123 bytes in function 'OutOfMemoryError'")


def fail(params, fds, progress):
    raise getattr(errors, params["class"])(params["code"], params["message"], hint=params["hint"])


def defect(params, fds, progress):
    raise ZeroDivisionError("\U0001f600" * params.get("length", 3))


def leaves_python(params, fds, progress):
    sys.exit("no more")


def large_result(params, fds, progress):
    return {"text": "x" * 100_000}


def not_plain(params, fds, progress):
    return {"value": object()}


def late_progress(params, fds, progress):
    """Progress that arrives after the op is over, from a thread that it left behind."""
    threading.Timer(0.05, progress, ({"late": True},)).start()
    return {}


def nonsense(params, fds, progress):
    """Write into the socket past the protocol, as a worker taken over by a picture would."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and "socket" in os.path.realpath(f"/proc/self/fd/{name}"):
            os.write(int(name), (params["bytes"] if params.get("times", 0) < 70_000 else "[" * 70_000).encode())
    time.sleep(params["pause"])
    return {}


def hang_up(params, fds, progress):
    """Close every socket, and stay."""
    for name in os.listdir("/proc/self/fd"):
        if "socket" in os.path.realpath(f"/proc/self/fd/{name}"):
            os.close(int(name))
    time.sleep(1000)


def stray(params, fds, progress):
    """A child that holds stderr open, and the end of the worker itself."""
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1)"])
    os._exit(3)


def refuse(params, fds, progress):
    raise errors.ModelError("model_missing", "no such model")


def first_time_only(params, fds, progress):
    """Fails until the file is there."""
    if not os.path.exists(params["path"]):
        raise RuntimeError("not yet")
    return {"engine": "none"}


def modules(params, fds, progress):
    return {"modules": json.loads(json.dumps(sorted(sys.modules)))}


def meet(params, fds, progress):
    """Wait until another worker has come too: both write one byte into one pipe and read two from another."""
    os.write(fds[1], b"x")
    deadline = time.monotonic() + 20
    while os.fstat(fds[1]).st_size < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    return {"met": os.fstat(fds[1]).st_size >= 2}


TASKS = {name: value for name, value in list(globals().items()) if callable(value) and not name.startswith("_")}
