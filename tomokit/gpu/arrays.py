"""The type of an array that lies on a device."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np


class DeviceArray(Protocol):
    """An array on a device: CuPy's ``ndarray``, or what the tests' device has in its place.

    NumPy's functions do not take it, and arithmetic is between it, other arrays of its device and plain numbers: an
    array of the host in such an expression is an error. Element types and shapes are stated where it is used, such as
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
    flags : object
        Memory layout; its ``c_contiguous`` says whether the elements lie in C's order without gaps.
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

    @property
    def flags(self) -> Any:
        """Memory layout of the array, as NumPy has it."""
        ...

    def reshape(self, *shape: int) -> DeviceArray:
        """The same elements in another shape (see :func:`numpy.reshape`)."""
        ...

    def astype(self, dtype: Any) -> DeviceArray:
        """A copy whose elements have another type (see :meth:`numpy.ndarray.astype`)."""
        ...

    def copy(self) -> DeviceArray:
        """A copy in memory of its own on the same device (see :meth:`numpy.ndarray.copy`)."""
        ...

    def fill(self, value: float) -> None:
        """Set all elements to one value (see :meth:`numpy.ndarray.fill`)."""
        ...

    def sum(self, *args: Any, **kwargs: Any) -> DeviceArray:
        """Sum over all elements or an axis, on the device (see :func:`numpy.sum`)."""
        ...

    def max(self, *args: Any, **kwargs: Any) -> DeviceArray:
        """Largest element of all or along an axis, on the device (see :func:`numpy.max`)."""
        ...

    def min(self, *args: Any, **kwargs: Any) -> DeviceArray:
        """Least element of all or along an axis, on the device (see :func:`numpy.min`)."""
        ...

    def __getitem__(self, index: Any) -> DeviceArray:
        """A view of some elements, by slices or by an array of indices on the same device."""
        ...

    def __setitem__(self, index: Any, value: Any) -> None:
        """Write some elements."""
        ...

    def __add__(self, other: DeviceArray | float, /) -> DeviceArray:
        """Sum of the elements with another array's of the device, or with a number."""
        ...

    def __radd__(self, other: DeviceArray | float, /) -> DeviceArray:
        """Sum of a number with the elements."""
        ...

    def __sub__(self, other: DeviceArray | float, /) -> DeviceArray:
        """Difference to another array's elements or to a number."""
        ...

    def __mul__(self, other: DeviceArray | float, /) -> DeviceArray:
        """Product of the elements with another array's or with a number."""
        ...

    def __rmul__(self, other: DeviceArray | float, /) -> DeviceArray:
        """Product of a number with the elements."""
        ...

    def __truediv__(self, other: DeviceArray | float, /) -> DeviceArray:
        """Quotient of the elements by another array's or by a number."""
        ...
