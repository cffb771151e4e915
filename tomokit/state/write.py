"""Write a state so that a whole one is there at every moment, whatever happens meanwhile.

A new file is written beside the old one, synced to the disk, sealed, read back from there and verified against its
digests; only then does the old one become the predecessor and the new one take its name. Nothing is ever updated in
place.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from io import BufferedRandom
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from tomokit.io.durable import NO_ROOM, sync_folder
from tomokit.state.read import verify
from tomokit.state.record import TEXTS, State, contiguous_bytes, previous_path
from tomokit.state.seal import FORMAT_VERSION, SEAL_BYTES, digest_of_rest, seal_of

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
    temporary = target.with_name(f".{target.name[:200]}.{secrets.token_hex(4)}.part")
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
    target = path.resolve()
    for name in target.parent.glob(f".{glob.escape(target.name[:200])}.*.part"):
        with suppress(OSError):
            name.unlink()


def _write_hdf5(path: Path, state: State) -> None:
    import h5py

    arrays = {name: np.asarray(array) for name, array in state.arrays.items()}
    with path.open("x+b") as stream:
        # A full disk is found out here, in one call, where the file system can tell.
        expected = _ROOM_FOR_STRUCTURE + sum(array.nbytes for array in arrays.values())
        _reserve(stream.fileno(), expected)
        sink = _Sink(stream)
        with h5py.File(sink, "w", userblock_size=SEAL_BYTES) as file:
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
        if sink.error is not None:
            raise sink.error
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
    """A file for the HDF5 library whose writes never fail.

    After a failed write the library crashes when it closes what it could not write. Here the first error is kept for
    the caller in ``error``, and what the library writes after it is dropped.
    """

    def __init__(self, stream: BufferedRandom) -> None:
        self.stream = stream
        self.error: OSError | None = None

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return int(self.stream.seek(offset, whence))

    def tell(self) -> int:
        return int(self.stream.tell())

    def read(self, size: int = -1) -> bytes:
        return bytes(self.stream.read(size))

    def readinto(self, buffer: memoryview) -> int:
        return int(self.stream.readinto(buffer))

    def write(self, data: memoryview) -> int:
        return int(self._try(self.stream.write, data) or len(data))

    def truncate(self, size: int) -> int:
        return int(self._try(self.stream.truncate, size) or size)

    def flush(self) -> None:
        self._try(self.stream.flush)

    def _try(self, call: Callable[..., T], *arguments: object) -> T | None:
        if self.error is None:
            try:
                return call(*arguments)
            except OSError as error:
                self.error = error
        return None


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
    previous, link = previous_path(target), temporary.with_name(temporary.name + ".part")
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
