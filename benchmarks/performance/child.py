"""A contestant in a process of its own: one order in JSON on each line, one answer on each line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

__all__ = ["Child", "ChildEndedError", "peak_bytes", "reset_peak", "serve"]

Order = dict[str, Any]


class ChildEndedError(Exception):
    """A contestant ended when it should not have."""


class Child:
    """``python -m MODULE WORDS...`` that answers orders (:func:`serve`); ``said`` is what it said of itself."""

    def __init__(self, module: str, *words: str, environment: Mapping[str, str] | None = None) -> None:
        self._name = " ".join((module.rpartition(".")[2], *words))
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=None if environment is None else dict(environment),
        )
        self.said: Order = {}

    def ready(self) -> Order:
        """Wait until it is; what it says of itself: ``skipped`` has a reason where it cannot take part."""
        self.said = self._answer()
        return self.said

    def ask(self, **order: Any) -> Order:
        """One order; its answer. Raises :class:`ChildEndedError`."""
        assert self._process.stdin is not None  # noqa: S101 - opened above
        try:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass
        return self._answer()

    def close(self) -> None:
        """End it."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(10.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _answer(self) -> Order:
        assert self._process.stdout is not None  # noqa: S101 - opened above
        line = self._process.stdout.readline()
        if not line:
            raise ChildEndedError(f"{self._name} ended with {self._process.wait()}")
        answer: Order = json.loads(line)
        return answer


def serve(opened: Callable[[], Callable[[Order], Order]], *, facts: Callable[[], Order] = dict) -> None:
    """In the child: open, say so, then answer one order after another until there are no more.

    What libraries print goes to standard error.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        handle = opened()
        said = facts()
    except Exception as error:  # noqa: BLE001 - whatever it is keeps this contestant from taking part
        print(json.dumps({"skipped": f"{type(error).__name__}: {error}"}), file=answers, flush=True)
        return
    print(json.dumps(said), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(handle(json.loads(line))), file=answers, flush=True)


def reset_peak() -> None:
    """Forget the most memory that this process has had (proc(5), ``clear_refs``), where the kernel lets it."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
    except OSError:
        pass


def peak_bytes() -> int:
    """The most memory that this process has had in it, its libraries included (``VmHWM``)."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
