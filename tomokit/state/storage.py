"""What the HDF5 objects of a state have to be, looked at before anything in them is read or room made for it.

HDF5 can do much that a state has no use for: data in other files, virtual and filtered datasets, links to anywhere,
extents without storage. A state has none of it: its texts are single strings, and its arrays lie in one piece in the
file, so that no size is believed that the file does not have.
"""

from __future__ import annotations

import hashlib
import math
import os
import struct
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
from h5py import h5d, h5g, h5l, h5o, h5s, h5t
from numpy.typing import NDArray

from tomokit.state.record import contiguous_bytes
from tomokit.state.schema import MOST_BYTES
from tomokit.state.seal import REMEDY, SEAL_BYTES, DamagedState

_MOST_ARRAYS = 10_000
_MOST_AXES = 8
_KINDS = "biufcS"
# A string of variable length as it lies in a dataset: its length, and the collection and number of its bytes; the head
# of such a collection, with its size; and the head of one of its objects, with number and size.
_REFERENCE, _COLLECTION, _OBJECT = struct.Struct("<IQI"), struct.Struct("<4sB3xQ"), struct.Struct("<HHIQ")


class StateFile:
    """The objects of one open state file.

    Parameters
    ----------
    file : h5py.File
        Open for reading.
    stream : binary file
        The same file, which arrays are mapped from.
    path : Path
        Its name, for error messages.
    """

    def __init__(self, file: h5py.File, stream: BinaryIO, path: Path) -> None:
        self._file, self._stream, self._path = file, stream, path
        self._size = os.fstat(stream.fileno()).st_size

    def text(self, name: str) -> bytes:
        """Read one of the texts, its digest checked.

        Parameters
        ----------
        name : str
            One of :data:`tomokit.state.record.TEXTS`.

        Returns
        -------
        bytes
            In UTF-8.

        Raises
        ------
        DamagedState
            If it is anything but one string, or its digest is another.
        """
        field = f"/{name}"
        dataset = self._dataset(self._file.id, name, field)
        kind = dataset.get_type()
        if not isinstance(kind, h5t.TypeStringID) or dataset.shape != ():
            raise self._damaged("is not one text", field)
        length = _REFERENCE.size if kind.is_variable_str() else kind.get_size()
        offset = self._offset(dataset, length, field)
        if kind.is_variable_str():
            # As before texts had a length of their own.
            length, collection, number = _REFERENCE.unpack(self._bytes_at(offset, length))
            offset = self._offset_in_collection(SEAL_BYTES + collection, number, length, field)
        if length > MOST_BYTES[name]:
            raise self._damaged(f"has {length} bytes", field)
        text = self._bytes_at(offset, length)
        self._check_digest(dataset, hashlib.sha256(text).hexdigest(), field)
        return text

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Map all arrays, their digests checked.

        Returns
        -------
        dict of ndarray
            By name. Changes to them stay in memory.

        Raises
        ------
        DamagedState
            If one is anything but an array of numbers in one piece, or its digest is another.
        """
        return {name: self.array(name) for name in self.array_names()}

    def array_names(self) -> list[str]:
        """List the names of all arrays.

        Returns
        -------
        list of str

        Raises
        ------
        DamagedState
            If there is no group of them, or they are too many.
        """
        group = self._arrays()
        if group.get_num_objs() > _MOST_ARRAYS:
            raise self._damaged(f"has more than {_MOST_ARRAYS} arrays", "/arrays")
        return [str(name) for name in h5py.Group(group)]

    def array(self, name: str) -> NDArray[Any]:
        """Map one array, its digest checked; one without elements has no place in the file and is made anew.

        Parameters
        ----------
        name : str

        Returns
        -------
        ndarray
            Changes to it stay in memory.

        Raises
        ------
        DamagedState
            As of :meth:`arrays`.
        """
        group, field = self._arrays(), f"/arrays/{name}"
        dataset = self._dataset(group, name, field)
        kind, shape = dataset.dtype, dataset.shape
        if kind.kind not in _KINDS or kind.itemsize > 16 or kind.byteorder == ">" or kind.hasobject:
            raise self._damaged(f"of the type {kind}, which no array of a state has", field)
        if len(shape) > _MOST_AXES or max(shape, default=0) >= 2**53:
            raise self._damaged(f"of the shape {shape}, which no array of a state has", field)
        size = math.prod(shape)
        if size == 0:
            array = np.empty([min(extent, 1 << 20) for extent in shape], kind)
            if array.shape != shape:
                raise self._damaged(f"of the shape {shape} and without elements", field)
        else:
            offset = self._offset(dataset, size * kind.itemsize, field)
            # Copy on write: a run may go on in these arrays, and the file stays as it is.
            array = np.memmap(self._stream, kind, "c", offset, shape)
        self._check_digest(dataset, hashlib.sha256(contiguous_bytes(array).data).hexdigest(), field)
        return array

    def number(self, name: str) -> int:
        """Read an attribute of the file that is a whole number, or yes or no.

        Parameters
        ----------
        name : str

        Returns
        -------
        int
            From 0 to 2**53.

        Raises
        ------
        DamagedState
            If it is missing or something else.
        """
        attributes = self._file.attrs
        if name not in attributes:
            raise self._damaged("is missing", f"attribute {name}")
        attribute = attributes.get_id(name)
        if attribute.shape != () or attribute.dtype.kind not in "biu":
            raise self._damaged("is not one whole number", f"attribute {name}")
        value = int(attributes[name])
        if not 0 <= value <= 2**53:
            raise self._damaged(f"{value} is out of bounds", f"attribute {name}")
        return value

    def _arrays(self) -> h5g.GroupID:
        """The group of all arrays."""
        self._check_link(self._file.id, "arrays", "/arrays")
        group = h5o.open(self._file.id, b"arrays")
        if not isinstance(group, h5g.GroupID):
            raise self._damaged("is no group", "/arrays")
        return group

    def _dataset(self, parent: h5g.GroupID | h5py.h5f.FileID, name: str, field: str) -> h5d.DatasetID:
        """A dataset that lies in this file, with no filter and a shape."""
        self._check_link(parent, name, field)
        dataset = h5o.open(parent, name.encode("utf-8"))
        if not isinstance(dataset, h5d.DatasetID):
            raise self._damaged("is no dataset", field)
        layout = dataset.get_create_plist()
        if layout.get_layout() != h5d.CONTIGUOUS or layout.get_nfilters() or layout.get_external_count():
            raise self._damaged("is not stored in one piece in this file", field)
        if dataset.get_space().get_simple_extent_type() == h5s.NULL:
            raise self._damaged("has no extent", field)
        return dataset

    def _check_link(self, parent: h5g.GroupID | h5py.h5f.FileID, name: str, field: str) -> None:
        links, key = parent.links, name.encode("utf-8")
        if not links.exists(key):
            raise self._damaged("is missing", field)
        if links.get_info(key).type != h5l.TYPE_HARD:
            raise self._damaged("is a link to somewhere else", field)

    def _offset(self, dataset: h5d.DatasetID, n_bytes: int, field: str) -> int:
        """Where a dataset's bytes begin; all of them have to be there."""
        offset = dataset.get_offset()
        if offset is None or dataset.get_storage_size() != n_bytes:
            raise self._damaged(f"its {n_bytes} bytes are not in the file", field)
        if offset < SEAL_BYTES or offset + n_bytes > self._size:
            raise self._damaged(f"its {n_bytes} bytes lie beyond the file", field)
        return int(offset)

    def _bytes_at(self, offset: int, n_bytes: int) -> bytes:
        """Bytes of the file that are known to be there."""
        self._stream.seek(offset)
        return self._stream.read(n_bytes)

    def _offset_in_collection(self, begin: int, number: int, length: int, field: str) -> int:
        """Where an object of a global heap collection begins (HDF5 file format, III.E).

        HDF5 itself makes room for whatever length a reference has, and does not always come to the end of a collection
        that is damaged.
        """
        if begin + _COLLECTION.size <= self._size:
            magic, version, size = _COLLECTION.unpack(self._bytes_at(begin, _COLLECTION.size))
            end = min(begin + size, self._size) if (magic, version) == (b"GCOL", 1) else begin
            at = begin + _COLLECTION.size
            while at + _OBJECT.size <= end:
                found, _, _, size = _OBJECT.unpack(self._bytes_at(at, _OBJECT.size))
                at += _OBJECT.size
                if found == number and size == length and at + length <= end:
                    return at
                at += -(-size // 8) * 8
        raise self._damaged("its text is not in the file", field)

    def _check_digest(self, dataset: h5d.DatasetID, digest: str, field: str) -> None:
        """Compare with the digest beside a dataset; where that is a string of variable length, the seal has to do."""
        attributes = h5py.Dataset(dataset).attrs
        recorded = b""
        if "sha256" in attributes:
            attribute = attributes.get_id("sha256")
            kind = attribute.get_type()
            if isinstance(kind, h5t.TypeStringID) and attribute.shape == ():
                if kind.is_variable_str():
                    return
                recorded = bytes(attributes["sha256"])
        if recorded != digest.encode("ascii"):
            raise self._damaged("damaged: its SHA-256 is not the one beside it", field)

    def _damaged(self, problem: str, field: str) -> DamagedState:
        return DamagedState(problem, file=self._path, field=field, remedy=REMEDY)
