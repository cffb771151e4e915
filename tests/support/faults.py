"""Faults at the n-th file operation of a run: an error of the disk, a signal, or the end of the process.

Operations are those of Python on files below one folder: opening for writing, writing, renaming, linking, removing,
syncing, cutting off. As a script it runs the command line in a process of its own::

    python tests/support/faults.py FOLDER KIND N WORD...
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from tomokit.io import durable

ERRORS = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO}
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGKILL")
OF_PATHS = ("open", "replace", "rename", "link", "unlink", "remove", "mkdir", "rmdir", "truncate")
OF_DESCRIPTORS = ("fsync", "ftruncate", "posix_fallocate")


class Dead(BaseException):
    """Raised at every operation of a process that has been ended: nothing reaches the disk any more."""


class Faults:
    """Counts the operations below a folder while the context lasts, and lets the n-th fail.

    Parameters
    ----------
    folder : Path
        Operations elsewhere are left alone.
    kind : str
        ``"ENOSPC"`` or ``"EIO"``, once; a signal, once; or ``"kill"``: as if the process had been ended there, with
        everything after it.
    number : int
        Which operation, from 1; 0 for none.

    Attributes
    ----------
    operations : list of (str, str)
        What was done, or would have been: operation and file name.
    """

    def __init__(self, folder: Path, kind: str = "EIO", number: int = 0) -> None:
        self.operations: list[tuple[str, str]] = []
        self._folder, self._kind, self._number = os.path.realpath(folder), kind, number
        self._kept: list[tuple[Any, str, Any]] = []
        self._descriptors: list[int] = []

    def __enter__(self) -> Faults:
        for name in OF_PATHS:
            self._patch(os, name, self._of_path(name, getattr(os, name)))
        for name in OF_DESCRIPTORS:
            self._patch(os, name, self._of_descriptor(name, getattr(os, name)))
        self._patch(durable, "_renameat2", self._of_path("renameat2", durable._renameat2))
        opened = self._opening(io.open)
        self._patch(io, "open", opened)
        self._patch(builtins, "open", opened)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for where, name, real in reversed(self._kept):
            setattr(where, name, real)
        if self._kind == "kill" and self._number:
            # The end of a process closes what it had open, and with it goes what was locked.
            for descriptor in self._descriptors:
                with suppress(OSError):
                    os.close(descriptor)

    def tick(self, operation: str, path: object) -> None:
        """Count an operation on a file, and let it fail if it is its turn."""
        self.operations.append((operation, os.path.basename(os.fsdecode(path))))  # type: ignore[arg-type]
        count = len(self.operations)
        if self._kind == "kill" and 0 < self._number <= count:
            raise Dead
        if count == self._number:
            if self._kind in ERRORS:
                number = ERRORS[self._kind]
                raise OSError(number, os.strerror(number), os.fsdecode(path))  # type: ignore[arg-type]
            os.kill(os.getpid(), getattr(signal, self._kind))

    def _patch(self, where: Any, name: str, new: Any) -> None:
        self._kept.append((where, name, getattr(where, name)))
        setattr(where, name, new)

    def _is_inside(self, path: object) -> bool:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return False
        # Not `realpath` of the file itself: links are followed by the operation, or are what it is about.
        whole = os.path.abspath(os.fsdecode(path))
        return whole.startswith(self._folder + os.sep)

    def _of_path(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *rest: Any, **more: Any) -> Any:
            if not self._is_inside(path):
                return real(path, *rest, **more)
            self.tick(name, path)
            result = real(path, *rest, **more)
            if name == "open":
                self._descriptors.append(result)
            return result

        return call

    def _of_descriptor(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(descriptor: int, *rest: Any) -> Any:
            path = os.readlink(f"/proc/self/fd/{descriptor}")
            if self._is_inside(path):
                self.tick(name, path)
            return real(descriptor, *rest)

        return call

    def _opening(self, real: Callable[..., Any]) -> Callable[..., Any]:
        faults = self

        class Raw(io.FileIO):
            def write(self, data: Any) -> int:
                faults.tick("write", self.name)
                return super().write(data)

        def opened(file: Any, mode: str = "r", *rest: Any, **more: Any) -> Any:
            if not (set(mode) & set("wax+") and self._is_inside(file)):
                return real(file, mode, *rest, **more)
            self.tick("open", file)
            raw = Raw(file, mode.replace("b", "").replace("t", ""))
            stream = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
            return stream if "b" in mode else io.TextIOWrapper(stream, encoding=more.get("encoding") or "utf-8")

        return opened


def main(arguments: list[str]) -> None:
    """Run the command line with a fault."""
    folder, kind, number, *words = arguments
    from tomokit.commands.app import main as command_line

    with Faults(Path(folder), kind, int(number)):
        command_line(words)


if __name__ == "__main__":
    main(sys.argv[1:])
