"""Processes that compile a method's kernels while this one reads its data, prepares them, and compiles too.

A function lists the kernels that the method will call, with arguments of their types and of size zero, the longest to
compile first. Each process goes through the list and compiles what has neither been compiled nor is being compiled
(:mod:`tomokit.kernels.turns`). This process knows nothing of that: when it calls a kernel it loads it, waits for the
process that is at it, or compiles it, and if all of them died it would compile everything.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from types import TracebackType
from typing import Any

import numba

from tomokit.kernels.folders import is_kept_between_runs
from tomokit.kernels.shared import SharedOut, can_launch

_MOST = 3
"""More processes would find nothing to do while the first kernel of a list is compiled, which takes half of it all."""
_SIGNAL_AT_PARENTS_END = 1

Call = tuple[Any, Sequence[Any]]
"""A compiled function and the arguments of a call, arrays of size zero in the place of others of their types."""


class CompilersBeside:
    """Processes that compile beside this one, until it leaves the ``with`` statement.

    They write nothing but machine code, do not hear Ctrl-C, and are ended with this process in whatever way it ends.
    """

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []
        self._name: str | None = None

    def start(self, name: str, threads: int) -> None:
        """Start processes, if anything is to be compiled, can be kept, and there are cores to do it.

        Those that were started for another list are ended.

        Parameters
        ----------
        name : str
            ``MODULE:FUNCTION``, where the function returns a list of :data:`Call`.
        threads : int
            How many threads are used: one process less is started at most.
        """
        if name == self._name:
            return
        self.end()
        self._name = name
        count = min(threads - 1, _MOST)
        if count < 1 or not sys.executable or not is_kept_between_runs():
            return
        if not any(_is_missing(*call) for call in _calls(name)):
            return
        # The same modules, whatever this process has found them by, and none of the folder that it was started in.
        code = f"import sys; sys.path[:] = {sys.path!r}; from tomokit.kernels.ahead import work; work(*sys.argv[1:])"
        command = [sys.executable, "-P", "-c", code, name, str(os.getpid())]
        for _ in range(count):
            try:
                process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
            except OSError:
                # As where no more processes are allowed: this one compiles alone.
                return
            self.processes.append(process)

    def __enter__(self) -> CompilersBeside:
        """Nothing is started yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """End those that still compile."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()
        self.processes.clear()


def work(name: str, parent: str) -> None:
    """Compile what a list has, until its end or that of another process; the program of the processes.

    Parameters
    ----------
    name : str
        As of :meth:`CompilersBeside.start`.
    parent : str
        Number of the process that started this one.
    """
    ctypes.CDLL(None).prctl(_SIGNAL_AT_PARENTS_END, signal.SIGKILL)
    if os.getppid() != int(parent):
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not can_launch():
        return
    for kernel, arguments in _calls(name):
        dispatcher, signature = _dispatcher_for(kernel, arguments)
        if dispatcher._cache.begin(signature, dispatcher.targetctx):
            dispatcher.compile(signature)


def signatures(calls: Sequence[Call]) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Find what Numba compiles for calls.

    Parameters
    ----------
    calls : sequence of Call

    Yields
    ------
    dispatcher : object
        Numba's.
    signature : tuple of numba types
    """
    for call in calls:
        yield _dispatcher_for(*call)


def _calls(name: str) -> list[Call]:
    module, _, function = name.partition(":")
    calls: list[Call] = getattr(import_module(module), function)()
    return calls


def _dispatcher_for(kernel: Any, arguments: Sequence[Any]) -> tuple[Any, tuple[Any, ...]]:
    if isinstance(kernel, SharedOut):
        return kernel.entry_for(arguments)
    return kernel, tuple(map(numba.typeof, arguments))


def _is_missing(kernel: Any, arguments: Sequence[Any]) -> bool:
    dispatcher, signature = _dispatcher_for(kernel, arguments)
    # A function that Numba was told to leave as it is (NUMBA_DISABLE_JIT) has no context, and nothing to be compiled.
    context = getattr(dispatcher, "targetctx", None)
    return context is not None and not dispatcher._cache.is_kept(signature, context)
