"""Write a state so that a whole one is there at every moment, whatever happens meanwhile.

A new file is written beside the old one, synced to the disk, sealed, read back from there and verified against its
digests; only then does the old one become the predecessor and the new one take its name. Nothing is ever updated in
place.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedRandom
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from tomokit.io.durable import NO_ROOM, sync_folder
from tomokit.io.locks import clear_leftovers, hidden_path
from tomokit.state.read import read_state, verify
from tomokit.state.record import TEXTS, State, contiguous_bytes, previous_path
from tomokit.state.seal import FORMAT_VERSION, SEAL_BYTES, StateError, digest_of_rest, seal_of

T = TypeVar("T")

Predecessor = Literal["new", "as it is", "none"]

_ROOM_FOR_STRUCTURE = 1 << 16


def write_state(path: Path, state: State, predecessor: Predecessor = "new") -> None:
    """Write a state to a file in such a way that the file is whole before, during and after.

    Parameters
    ----------
    path : Path
        The state file; a symbolic link stands for the file that it points to.
    state : State
        The state to write.
    predecessor : {"new", "as it is", "none"}
        What lies beside the file afterwards: the file that was there until now (``"new"``), the predecessor that was
        there already (``"as it is"``, where the file itself is damaged), or nothing (``"none"``, where both are of
        another run).

    Raises
    ------
    OSError
        If the disk is full, or anything else fails. The old state and its predecessor are then as they were.
    StateError
        If what was read back is not what was written.
    """
    target = path.resolve()
    temporary = hidden_path(target, f"{secrets.token_hex(4)}.part")
    try:
        _write_hdf5(temporary, state)
        _seal(temporary)
        verify(temporary)
        if predecessor == "new" and target.exists():
            _keep_as_predecessor(target, temporary)
        os.replace(temporary, target)
        if predecessor == "none":
            previous_path(target).unlink(missing_ok=True)
        sync_folder(target.parent)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def remove_leftovers(path: Path) -> None:
    """Remove temporary files that a killed process left beside a state.

    Parameters
    ----------
    path : Path
        The state file; a symbolic link stands for the file that it points to.
    """
    clear_leftovers(path.resolve())


def set_aside(path: Path) -> None:
    """Keep a state and its predecessor under hidden names, where they stay when the names are given to a new run.

    Parameters
    ----------
    path : Path
        The state file. What is aside already is kept in its place, unless the state has arrays: then the run that it
        was put aside for has got that far, and it should have been dropped.

    Raises
    ------
    OSError
        If a name cannot be given.
    """
    target = path.resolve()
    if any(name.exists() for _, name in _aside(target)):
        if not _has_arrays(target):
            return
        drop_aside(path)
    for place, name in _aside(target):
        if place.exists():
            _second_name(place, name)


def put_back(path: Path) -> bool:
    """Give the states that were put aside their names again, in place of what has been written since.

    Parameters
    ----------
    path : Path
        The state file.

    Returns
    -------
    bool
        Whether there were any.
    """
    pairs = _aside(path.resolve())
    if not any(name.exists() for _, name in pairs):
        return False
    for place, name in pairs:
        if name.exists():
            os.replace(name, place)
            # Of two names of one file neither goes by that.
            name.unlink(missing_ok=True)
        else:
            place.unlink(missing_ok=True)
    return True


def drop_aside(path: Path) -> None:
    """Remove the states that were put aside.

    Parameters
    ----------
    path : Path
        The state file.
    """
    for _, name in _aside(path.resolve()):
        with suppress(OSError):
            name.unlink(missing_ok=True)


def _aside(target: Path) -> list[tuple[Path, Path]]:
    """State and predecessor, each with its hidden name."""
    aside = hidden_path(target, "replaced")
    return [(target, aside), (previous_path(target), previous_path(aside))]


def _has_arrays(path: Path) -> bool:
    try:
        return bool(read_state(path).arrays)
    except StateError:
        return False


def _second_name(path: Path, name: Path) -> None:
    try:
        os.link(path, name)
    except FileExistsError:
        os.replace(path, name)
    except OSError:
        # No links on this file system: for an instant there is none under the first name.
        os.replace(path, name)


def _write_hdf5(path: Path, state: State) -> None:
    import h5py

    arrays = {name: np.asarray(array) for name, array in state.arrays.items()}
    with path.open("x+b") as stream:
        # A full disk is found out here, in one call, where the file system can tell.
        expected = _ROOM_FOR_STRUCTURE + sum(array.nbytes for array in arrays.values())
        _reserve(stream.fileno(), expected)
        sink = _Sink(stream)
        with _first_error(sink), h5py.File(sink, "w", userblock_size=SEAL_BYTES) as file:
            file.attrs["format"] = "tomokit state"
            file.attrs["format_version"] = FORMAT_VERSION
            for name in ("tomokit", "method", "backend", "seed"):
                file.attrs[name] = state.provenance[name]
            file.attrs["epoch"], file.attrs["epochs"] = state.epoch, state.epochs
            file.attrs["paused"] = state.paused
            for name in TEXTS:
                # Of fixed length: HDF5 keeps strings of variable length in a heap, whose damage it does not survive.
                text = json.dumps(getattr(state, name), indent=1).encode("ascii")
                file[name] = np.bytes_(text)
                file[name].attrs["sha256"] = np.bytes_(hashlib.sha256(text).hexdigest())
            group = file.create_group("arrays")
            for name, array in arrays.items():
                stored = group.create_dataset(name, data=array.astype(array.dtype.newbyteorder("<"), copy=False))
                stored.attrs["sha256"] = np.bytes_(hashlib.sha256(contiguous_bytes(array).data).hexdigest())
        stream.flush()
        os.fsync(stream.fileno())


def _reserve(descriptor: int, size: int) -> None:
    """Raise the error of a full disk if `size` bytes do not fit; do nothing where the file system cannot tell."""
    try:
        os.posix_fallocate(descriptor, 0, size)
    except (AttributeError, OSError) as error:
        if getattr(error, "errno", None) in NO_ROOM:
            raise
    os.ftruncate(descriptor, 0)


class _Sink:
    """A file for the HDF5 library that never fails.

    After a failed call the library crashes, or raises errors of its own, when it closes what it could not write. Here
    the first error, or interrupt, is kept for the caller in ``error``. From then on nothing reaches the file, and the
    library is told of a file that takes everything.
    """

    def __init__(self, stream: BufferedRandom) -> None:
        self.stream = stream
        self.error: BaseException | None = None
        self._position = self._end = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._end}[whence]
        self._try(self.stream.seek, self._position)
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int = -1) -> bytes:
        data = self._try(self.stream.read, size) or b""
        self._position += len(data)
        return data

    def readinto(self, buffer: memoryview) -> int:
        count = self._try(self.stream.readinto, buffer)
        count = len(buffer) if count is None else count
        self._position += count
        return count

    def write(self, data: memoryview) -> int:
        self._try(self.stream.write, data)
        self._position += len(data)
        self._end = max(self._end, self._position)
        return len(data)

    def truncate(self, size: int) -> int:
        self._try(self.stream.truncate, size)
        self._end = size
        return size

    def flush(self) -> None:
        self._try(self.stream.flush)

    def _try(self, call: Callable[..., T], *arguments: object) -> T | None:
        if self.error is None:
            try:
                return call(*arguments)
            except BaseException as error:
                self.error = error
        return None


@contextmanager
def _first_error(sink: _Sink) -> Iterator[None]:
    """Raise what went wrong first, whatever the HDF5 library made of it."""
    try:
        yield
    finally:
        if sink.error is not None:
            raise sink.error


def _seal(path: Path) -> None:
    """Take the digest of what has arrived on the disk, and write the seal before it."""
    with path.open("r+b") as stream:
        if hasattr(os, "posix_fadvise"):
            # Drop the copy in the page cache, so that the digest is of what the disk holds.
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        digest = digest_of_rest(stream)
        size = os.fstat(stream.fileno()).st_size
        stream.seek(0)
        stream.write(seal_of(size, digest))
        stream.flush()
        os.fsync(stream.fileno())


def _keep_as_predecessor(target: Path, temporary: Path) -> None:
    """Make `target` its own predecessor, by a second name: there is a file under `target` at every moment."""
    previous, link = previous_path(target), temporary.with_suffix(".old")
    try:
        os.link(target, link)
    except OSError:
        # No links on this file system: for an instant there is the predecessor only, which `resume` then takes.
        os.replace(target, previous)
        return
    try:
        os.replace(link, previous)
    finally:
        with suppress(OSError):
            link.unlink(missing_ok=True)
