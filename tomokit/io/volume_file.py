"""A volume that is made in its file, row by row along the tilt axis, because memory cannot hold it.

The file lies beside the volume that it becomes, under a temporary name. It is read and written by positioned reads and
writes, not through a memory map: a disk that fills up is then an error like any other, and pages that were written do
not count as memory of this process.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import OutputError
from tomokit.io.durable import NO_ROOM
from tomokit.io.locks import hidden_path, hold
from tomokit.io.mrc_header import HEADER_BYTES
from tomokit.io.pixels import PixelStatistics, RunningStatistics

_BYTES = 4  # of a voxel, float32


class VolumeFile:
    """Densities ``[z, y, x]`` in a temporary file, laid out as in an MRC volume, its header still to be written.

    Parameters
    ----------
    target : Path
        The volume that it is to become, or any name in the folder where it may lie.
    shape_zyx : tuple of int
        Sections, rows and columns. Room for all of them is taken at once; what was not written is 0.

    Attributes
    ----------
    path : Path
        The temporary file.
    shape_zyx : tuple of int

    Raises
    ------
    OutputError
        If the file cannot be made, or the disk has no room for it.
    """

    def __init__(self, target: Path, shape_zyx: tuple[int, int, int]) -> None:
        resolved = target.resolve()
        self.path = hidden_path(resolved, f"{secrets.token_hex(4)}.part")
        self.shape_zyx = shape_zyx
        self._target = target
        self._statistics: PixelStatistics | None = None
        size = HEADER_BYTES + _BYTES * int(np.prod(shape_zyx, dtype=np.int64))
        with self._writing():
            self._descriptor = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
        with suppress(OSError):
            # Told from what a killed process has left.
            hold(self._descriptor)
        try:
            with self._writing():
                _take_room(self._descriptor, size)
        except BaseException:
            self.discard()
            raise

    @property
    def statistics(self) -> PixelStatistics:
        """Statistics of all voxels, section by section, once :meth:`fill` has been there."""
        if self._statistics is None:
            raise OutputError("is not complete", file=self._target)
        return self._statistics

    def read_rows(self, first: int, stop: int) -> NDArray[np.float32]:
        """Read some rows of all sections.

        Parameters
        ----------
        first, stop : int
            First row, and the one after the last.

        Returns
        -------
        ndarray of float32, shape (n_x, n_z, stop - first)
            ``[x, z, y]``, C-ordered.
        """
        n_z, _, n_x = self.shape_zyx
        density = np.empty((n_x, n_z, stop - first), np.float32)
        block = np.empty((stop - first, n_x), "<f4")
        for z in range(n_z):
            self._read(block, z, first)
            density[:, z] = block.T
        return density

    def write_rows(self, first: int, density: NDArray[np.float32]) -> None:
        """Write some rows of all sections.

        Parameters
        ----------
        first : int
            First row.
        density : ndarray of float32, shape (n_x, n_z, rows)
            ``[x, z, y]``.
        """
        for z in range(self.shape_zyx[0]):
            self._write(np.ascontiguousarray(density[:, z].T, "<f4"), z, first)

    def write_block(self, first: int, block: NDArray[np.float32]) -> None:
        """Write some rows of all sections, laid out as in the file.

        Parameters
        ----------
        first : int
            First row.
        block : ndarray of float32, shape (n_z, rows, n_x)
            ``[z, y, x]``.
        """
        for z, rows in enumerate(block):
            self._write(np.ascontiguousarray(rows, "<f4"), z, first)

    def measure(self) -> None:
        """Take the statistics of what has been written, section by section."""
        statistics = RunningStatistics()
        section = np.empty(self.shape_zyx[1:], "<f4")
        for z in range(self.shape_zyx[0]):
            self._read(section, z, 0)
            statistics.add(section)
        self._statistics = statistics.result()

    def fill(self, source: VolumeFile, first_column: int, factors: tuple[float, np.float32]) -> None:
        """Write all sections from those of another file, or of this one, and take their statistics.

        Parameters
        ----------
        source : VolumeFile
            As many sections and rows; may be this file itself.
        first_column : int
            Column of the source that is the first here.
        factors : (float, float32)
            By which voxels are multiplied, one after the other.
        """
        n_z, n_y, n_x = self.shape_zyx
        statistics = RunningStatistics()
        wide = np.empty((n_y, source.shape_zyx[2]), "<f4")
        for z in range(n_z):
            source._read(wide, z, 0)
            section = np.asarray(wide[:, first_column : first_column + n_x] * factors[0], np.float32)
            section *= factors[1]
            statistics.add(section)
            self._write(section, z, 0)
        self._statistics = statistics.result()

    def mapped(self) -> NDArray[np.float32]:
        """The densities as a read-only memory map, which stays good when the file is renamed or removed.

        Returns
        -------
        ndarray of float32, shape (n_z, n_y, n_x)
        """
        return np.memmap(self.path, "<f4", "r", HEADER_BYTES, self.shape_zyx)

    def become(self, path: Path, header: bytes) -> None:
        """Write the header, and rename the file over another one, which is lost.

        Parameters
        ----------
        path : Path
            In the same file system.
        header : bytes
            An MRC header without an extension.
        """
        with self._writing():
            os.pwrite(self._descriptor, header, 0)
            os.replace(self.path, path)

    def discard(self) -> None:
        """Close the file, and remove it unless it has become another one."""
        with suppress(OSError):
            os.close(self._descriptor)
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _read(self, block: NDArray[np.float32], z: int, first_row: int) -> None:
        """Fill a C-ordered block of whole rows of one section."""
        view, place, done = block.data.cast("B"), self._place(z, first_row), 0
        while done < len(view):
            count = os.preadv(self._descriptor, [view[done:]], place + done)
            if not count:
                raise OutputError("was cut off while it was written", file=self.path)
            done += count

    def _write(self, block: NDArray[np.float32], z: int, first_row: int) -> None:
        view, place, done = block.data.cast("B"), self._place(z, first_row), 0
        with self._writing():
            while done < len(view):
                done += os.pwrite(self._descriptor, view[done:], place + done)

    def _place(self, z: int, row: int) -> int:
        _, n_y, n_x = self.shape_zyx
        return HEADER_BYTES + _BYTES * (z * n_y + row) * n_x

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in NO_ROOM:
                remedy = "free some space or choose another disk"
                raise OutputError(
                    f"no room on the disk ({error.strerror})", file=self._target, remedy=remedy
                ) from error
            raise OutputError(f"cannot be written ({error.strerror or error})", file=self._target) from error


def _take_room(descriptor: int, size: int) -> None:
    """Give a file its size, and its blocks where the file system can do that beforehand."""
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
            raise
        os.ftruncate(descriptor, size)
