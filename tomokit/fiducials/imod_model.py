"""IMOD's binary models, ``.fid`` and ``.mod``: the points of their contours.

The layout is that of IMOD's own description (``binspec.html`` of its manual): big-endian, an identifier and a header of
232 bytes, then chunks of four letters. Those of objects, contours and meshes say their sizes by their content; any
other is preceded by its length and passed over.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError
from tomokit.io.regular import open_regular

MAGIC = b"IMOD"

_MOST_BYTES = 256 << 20
_VERSIONS = (b"V1.2", b"V1.1")
_MODEL = struct.Struct(">128s 4i I 4i 6f 5i f 2i 3f")
_OBJECT = struct.Struct(">64s 16I i I 2i 3f i 8B 2i")
_CONTOUR = struct.Struct(">i I 2i")
_MESH = struct.Struct(">2i I 2h")
_LENGTH = struct.Struct(">I")


@dataclass(frozen=True)
class Contour:
    """The points of one contour, as a model has them.

    Attributes
    ----------
    object, number : int
        The object, and the contour in it, both from 1; object 0 if the file names none.
    points : ndarray of float64, shape (n, 3)
        IMOD's model coordinates ``(x, y, z)``: x and y in pixels from the corner of the first pixel, whose centre is at
        0.5; z the view, from 0.
    """

    object: int
    number: int
    points: NDArray[np.float64]


@dataclass(frozen=True)
class ImodModel:
    """What is used of an IMOD model.

    Attributes
    ----------
    size_px : tuple of int
        ``(x, y, z)`` of the images that it was made on, as its header says; zeros if it does not.
    contours : list of Contour
        Those that have points.
    objects : int
        How many objects there are.
    """

    size_px: tuple[int, int, int]
    contours: list[Contour]
    objects: int


def is_imod_model(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file begins as IMOD's binary models do.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    bool

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    return _read(path, len(MAGIC)) == MAGIC


def read_imod_model(path: str | os.PathLike[str]) -> ImodModel:
    """Read the contours of a binary IMOD model.

    Parameters
    ----------
    path : path-like
        ``.fid`` or ``.mod``.

    Returns
    -------
    ImodModel

    Raises
    ------
    InputError
        If it is no such model, of another version, or damaged.
    """
    data = _Bytes(_read(path, _MOST_BYTES + 1), path)
    if len(data.content) > _MOST_BYTES:
        raise InputError(f"too large for a model of fiducials (over {_MOST_BYTES >> 20} MiB)", file=path)
    if data.take(4) != MAGIC:
        raise InputError("no binary IMOD model", file=path, remedy="give a .fid or .mod of IMOD, or its points as text")
    version = data.take(4)
    if version not in _VERSIONS:
        text = version.decode("latin-1")
        raise InputError(f"an IMOD model of version {text!r}", file=path, remedy="save it anew by IMOD's 3dmod")
    _, *header = data.unpack(_MODEL)
    size = (int(header[0]), int(header[1]), int(header[2]))
    contours: list[Contour] = []
    objects = in_object = 0
    while (name := data.take(4)) != b"IEOF":
        if name == b"OBJT":
            data.unpack(_OBJECT)
            objects, in_object = objects + 1, 0
        elif name == b"CONT":
            n_points = data.count(data.unpack(_CONTOUR)[0], 12, "points of a contour")
            in_object += 1
            if n_points:
                contours.append(Contour(objects, in_object, data.points(n_points)))
        elif name == b"MESH":
            vertices, indices = data.unpack(_MESH)[:2]
            data.take(12 * data.count(vertices, 12, "vertices of a mesh"))
            data.take(4 * data.count(indices, 4, "indices of a mesh"))
        else:
            data.take(int(data.unpack(_LENGTH)[0]))
    return ImodModel(size, contours, objects)


class _Bytes:
    """The content of a file, read from front to back."""

    def __init__(self, content: bytes, path: str | os.PathLike[str]) -> None:
        self.content, self._path, self._at = content, path, 0

    def take(self, n_bytes: int) -> bytes:
        """The next bytes."""
        end = self._at + n_bytes
        if end > len(self.content):
            raise InputError(
                f"the model ends at byte {len(self.content)} in the middle of it",
                file=self._path,
                remedy="copy it anew, or save it anew by IMOD's 3dmod",
            )
        taken = self.content[self._at : end]
        self._at = end
        return taken

    def unpack(self, layout: struct.Struct) -> tuple[int, ...]:
        """The next values."""
        return layout.unpack(self.take(layout.size))

    def count(self, n: int, size: int, what: str) -> int:
        """A number of items that is possible in so long a file."""
        if not 0 <= n <= len(self.content) // size:
            raise InputError(f"{n} {what} at byte {self._at}", file=self._path, remedy="save it anew by IMOD's 3dmod")
        return n

    def points(self, n: int) -> NDArray[np.float64]:
        """The next points."""
        points = np.frombuffer(self.take(12 * n), ">f4").reshape(n, 3).astype(np.float64)
        if not np.isfinite(points).all():
            raise InputError(
                f"a point before byte {self._at} is not finite", file=self._path, remedy="save it anew by IMOD's 3dmod"
            )
        return points


def _read(path: str | os.PathLike[str], n_bytes: int) -> bytes:
    try:
        with open_regular(path) as stream:
            return stream.read(n_bytes)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error})", file=path) from error
