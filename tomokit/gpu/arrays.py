"""The type of an array that lies on a device."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np


class DeviceArray(Protocol):
    """An array on a device: CuPy's ``ndarray``, or what the tests' device has in its place.

    NumPy's functions do not take it. Element types and shapes are stated where it is used, such as
    ``array of float32, shape (n_leaves, n, n, n)``; every launch checks them against the kernel's declaration
    (:mod:`tomokit.gpu.signature`).

    Attributes
    ----------
    shape : tuple of int
        Length of each axis.
    dtype : numpy.dtype
        Type of the elements.
    size, ndim, nbytes : int
        Number of elements, of axes and of bytes.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis of the array."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the array's elements."""
        ...

    @property
    def size(self) -> int:
        """Number of elements of the array."""
        ...

    @property
    def ndim(self) -> int:
        """Number of axes of the array."""
        ...

    @property
    def nbytes(self) -> int:
        """Number of bytes that the elements take."""
        ...

    def reshape(self, *shape: int) -> DeviceArray:
        """The same elements in another shape (see :func:`numpy.reshape`)."""
        ...

    def fill(self, value: float) -> None:
        """Set all elements to one value (see :meth:`numpy.ndarray.fill`)."""
        ...

    def sum(self, *args: Any, **kwargs: Any) -> DeviceArray:
        """Sum over all elements or an axis, on the device (see :func:`numpy.sum`)."""
        ...

    def __getitem__(self, index: Any) -> DeviceArray:
        """A view of some elements, by slices or by an array of indices on the same device."""
        ...

    def __setitem__(self, index: Any, value: Any) -> None:
        """Write some elements."""
        ...

    def __add__(self, other: Any) -> DeviceArray:
        """The sum with a number or an array on the same device."""
        ...
