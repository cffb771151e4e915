"""Machine code of one compiled function, kept in files between processes.

In place of Numba's own cache, which knows the text of the function's file alone: an edit of an inlined function in
another file left the old code in use. Here the name of a file holds the digest of all sources that the code was made
from, and of the compiler's version, so that what does not fit is not found; and each signature has a file of its own,
so that processes that compile at once cannot mix theirs; what one of them is at, the others wait for.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite  # type: ignore[import-untyped]
import numba
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from tomokit.kernels.folders import folder_to_write, folders_to_read
from tomokit.kernels.notice import COMPILING, say
from tomokit.kernels.sources import source_digest
from tomokit.kernels.turns import end_turn, take_turn, wait_for_turn

_STALE_S = 90 * 86400
"""Machine code of other sources is removed when it has lain for so long, and the function is compiled anew."""


class MachineCodeCache(_Cache):
    """What Numba asks for the machine code of a function, and gives what it has compiled.

    Parameters
    ----------
    function : callable
        The Python function.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._enabled = True
        self._stem: str | None = None
        self._turns: set[str] = set()

    @property
    def cache_path(self) -> str:
        """Folder that new machine code goes to."""
        return str(folder_to_write())

    def enable(self) -> None:
        """Look for machine code and keep it, as after construction."""
        self._enabled = True

    def disable(self) -> None:
        """Neither look for machine code nor keep it."""
        self._enabled = False

    def flush(self) -> None:
        """Remove what is kept of this function."""
        if self._stem is not None:
            for path in _list_files(folder_to_write(), f"{self._stem}-*"):
                path.unlink(missing_ok=True)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Load the machine code for a signature.

        Parameters
        ----------
        sig : tuple of numba types
            Types of the arguments.
        target_context : object
            Numba's, of the processor.

        Returns
        -------
        object or None
            What Numba would have compiled; None if it has to, and then the user is told. Then other processes that
            want it wait, until it is saved or :meth:`give_up` is called.
        """
        target_context.refresh()
        stem = self._find_stem() if self._enabled else None
        found = None
        if stem is not None:
            key = self._key(sig, target_context.codegen())
            name = _file_name(stem, key)
            for folder in folders_to_read():
                found = found or _read(folder / name, key)
            if found is None:
                say(COMPILING)
                wait_for_turn(folder_to_write(), name)
                self._turns.add(name)
                # By now another process may have compiled it.
                found = _read(folder_to_write() / name, key)
                if found is not None:
                    self.give_up()
        else:
            say(COMPILING)
        return None if found is None else CompileResult._rebuild(target_context, *found)

    def is_kept(self, sig: Any, target_context: Any) -> bool:
        """Tell whether there is machine code for a signature, or none can be kept.

        Parameters
        ----------
        sig : tuple of numba types
            Types of the arguments.
        target_context : object
            Numba's, of the processor.

        Returns
        -------
        bool
        """
        stem = self._find_stem() if self._enabled else None
        if stem is None:
            return True
        name = _file_name(stem, self._key(sig, target_context.codegen()))
        return any((folder / name).exists() for folder in folders_to_read())

    def begin(self, sig: Any, target_context: Any) -> bool:
        """Take the turn to compile a signature, if there is no machine code and no other process is making it.

        Parameters
        ----------
        sig : tuple of numba types
            Types of the arguments.
        target_context : object
            Numba's, of the processor.

        Returns
        -------
        bool
            If it is True the others wait until this process has compiled it.
        """
        stem = self._find_stem() if self._enabled else None
        if stem is None or self.is_kept(sig, target_context):
            return False
        name = _file_name(stem, self._key(sig, target_context.codegen()))
        if not take_turn(folder_to_write(), name):
            return False
        self._turns.add(name)
        return True

    def give_up(self) -> None:
        """Let other processes compile what this one was to."""
        while self._turns:
            end_turn(folder_to_write(), self._turns.pop())

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the machine code of a signature; where that fails it is compiled again another time.

        Parameters
        ----------
        sig : tuple of numba types
            Types of the arguments.
        data : object
            What Numba has compiled.
        """
        stem = self._find_stem() if self._enabled else None
        # Addresses of this process in the code would be wrong in the next.
        if stem is None or data.library.has_dynamic_globals or any(not lifted.can_cache for lifted in data.lifted):
            return
        key = self._key(sig, data.codegen)
        _write(folder_to_write() / _file_name(stem, key), dumps((dumps(key), data._reduce())))
        self.give_up()
        _remove_stale(folder_to_write(), stem)

    def _find_stem(self) -> str | None:
        """Beginning of the names of the function's files; None if its sources cannot be read.

        Looked for at the first call, since only then all that the function uses has been imported.
        """
        if self._stem is None:
            sources = source_digest(self._function.__module__)
            if sources is None:
                return None
            tools = (sys.implementation.cache_tag, sys.abiflags, numba.__version__, llvmlite.__version__)
            digest = hashlib.sha256("\n".join((sources, *map(str, tools))).encode()).hexdigest()
            name = f"{self._function.__module__}.{self._function.__qualname__}".replace("<", "").replace(">", "")
            self._stem = f"{name}-{digest[:20]}"
        return self._stem

    def _key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        """All that tells one machine code of a function from another: types, processor, options of the compiler."""
        cells = self._function.__closure__ or ()
        closure = hashlib.sha256(dumps(tuple(cell.cell_contents for cell in cells))).hexdigest() if cells else ""
        options = tuple(str(getattr(numba.config, name, "")) for name in ("OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE"))
        return (sig, codegen.magic_tuple(), closure, options)


def _file_name(stem: str, key: tuple[Any, ...]) -> str:
    return f"{stem}-{hashlib.sha256(repr(key).encode()).hexdigest()[:20]}"


def _read(path: Path, key: tuple[Any, ...]) -> Any:
    """The reduced result in a file; None if there is no such file, it is damaged, or another's digest is the same."""
    try:
        kept, reduced = pickle.loads(path.read_bytes())
        return reduced if pickle.loads(kept) == key else None
    except Exception:
        # A damaged pickle raises nearly anything, and is worth no more than none.
        return None


def _write(path: Path, content: bytes) -> None:
    """Write a file at once or not at all; a full disk or a quota costs nothing but the next compilation."""
    try:
        handle, part = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.replace(part, path)
        except BaseException:
            os.unlink(part)
            raise
    except OSError:
        return


def _remove_stale(folder: Path, stem: str) -> None:
    """Remove files of the same function by other sources that are old."""
    name, before = stem.rpartition("-")[0], time.time() - _STALE_S
    for path in _list_files(folder, f"{name}-*"):
        try:
            if not path.name.startswith(stem) and path.stat().st_mtime < before:
                path.unlink()
        except OSError:
            continue


def _list_files(folder: Path, pattern: str) -> list[Path]:
    """Files of a folder that could be written when the process began; none where it can be looked into no more."""
    try:
        return list(folder.glob(pattern))
    except OSError:
        return []
