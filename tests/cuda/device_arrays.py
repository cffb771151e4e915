"""Arrays of the tests' device: they do what CuPy's do there without the host, and refuse all else.

CuPy's arrays are not NumPy's: a function of NumPy's that is given one, or an operation with an array of the host,
raises or waits for the device. Were they NumPy's arrays here, the tests would not tell.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.fft
from numpy.lib.mixins import NDArrayOperatorsMixin

_OPERATORS = {
    np.add, np.subtract, np.multiply, np.true_divide, np.floor_divide, np.remainder, np.power, np.negative, np.positive,
    np.absolute, np.less, np.less_equal, np.equal, np.not_equal, np.greater, np.greater_equal, np.bitwise_and,
    np.bitwise_or, np.bitwise_xor, np.invert,
}  # fmt: skip


class DeviceArray(NDArrayOperatorsMixin):
    """An array on one device.

    Parameters
    ----------
    memory : ndarray
        Where its numbers are; for kernels and transfers alone.
    maker : DeviceArrays
        Of its device.
    base : DeviceArray, optional
        Whose memory it is a view of.
    """

    def __init__(self, memory: np.ndarray, maker: DeviceArrays, base: DeviceArray | None = None) -> None:
        self.memory, self.maker, self.base = memory, maker, base

    shape = property(lambda self: self.memory.shape)
    dtype = property(lambda self: self.memory.dtype)
    ndim = property(lambda self: self.memory.ndim)
    size = property(lambda self: self.memory.size)
    nbytes = property(lambda self: self.memory.nbytes)
    flags = property(lambda self: self.memory.flags)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """What Numba knows such arrays by."""
        return {"shape": self.shape, "typestr": self.dtype.str, "data": (self.memory.ctypes.data, False), "version": 3}

    def __len__(self) -> int:
        return len(self.memory)

    def __getitem__(self, index: Any) -> DeviceArray:
        parts = index if isinstance(index, tuple) else (index,)
        if any(isinstance(part, DeviceArray) for part in parts):
            return self.maker.counted(self.memory[tuple(map(self._part, parts))])
        whole = () if any(part is Ellipsis for part in parts) else (Ellipsis,)  # a view, of no axes too
        return self._view(self.memory[(*map(self._part, parts), *whole)])

    def __setitem__(self, index: Any, value: Any) -> None:
        parts = index if isinstance(index, tuple) else (index,)
        self.memory[tuple(map(self._part, parts))] = self._operand(value)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **given: Any) -> DeviceArray:
        out = given.pop("out", None)
        if method != "__call__" or given or ufunc not in _OPERATORS:
            raise TypeError(f"NumPy's {ufunc.__name__} of an array on a device")
        found = np.asarray(ufunc(*map(self._operand, inputs), out=None if out is None else self._operand(out[0])))
        return self.maker.counted(found) if out is None else out[0]

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise TypeError("an array on a device is not converted for the host: fetch it by to_host")

    __array__ = __array_function__ = __float__ = __int__ = __index__ = __bool__ = __iter__ = _refuse

    def reshape(self, *shape: Any) -> DeviceArray:
        """A view where that can be."""
        found = self.memory.reshape(*shape)
        return self._view(found) if np.may_share_memory(found, self.memory) else self.maker.counted(found)

    def fill(self, value: float) -> None:
        """Set all of it."""
        self.memory.fill(self._operand(value))

    def copy(self) -> DeviceArray:
        """Memory of its own."""
        return self.maker.counted(self.memory.copy())

    def astype(self, dtype: Any) -> DeviceArray:
        """Of another type."""
        return self.maker.counted(self.memory.astype(dtype))

    def sum(self, axis: Any = None, dtype: Any = None) -> DeviceArray:
        """On the device too."""
        return self.maker.counted(np.asarray(self.memory.sum(axis=axis, dtype=dtype)))

    def max(self, axis: Any = None) -> DeviceArray:
        """On the device too."""
        return self.maker.counted(np.asarray(self.memory.max(axis=axis)))

    def min(self, axis: Any = None) -> DeviceArray:
        """On the device too."""
        return self.maker.counted(np.asarray(self.memory.min(axis=axis)))

    def _view(self, memory: np.ndarray) -> DeviceArray:
        return DeviceArray(memory, self.maker, self if self.base is None else self.base)

    def _operand(self, value: Any) -> Any:
        if isinstance(value, DeviceArray):
            assert value.maker is self.maker, "an array of another device"
            return value.memory
        if isinstance(value, (bool, int, float, np.generic)):
            return value
        raise TypeError(f"an array on a device and a {type(value).__name__} of the host")

    def _part(self, part: Any) -> Any:
        return part if part is None or part is Ellipsis or isinstance(part, slice) else self._operand(part)


class DeviceArrays:
    """The few functions that make arrays, each of them new memory; counts what is held.

    Parameters
    ----------
    check : callable
        Fails where the device is not the current one and has to be.
    """

    def __init__(self, check: Callable[[], None]) -> None:
        self.held_bytes = self.peak_bytes = 0
        self._check = check

    def asarray(self, array: Any) -> DeviceArray:
        """A copy of what is on the host, ordered as it is there; what is on the device stays as it is."""
        if isinstance(array, DeviceArray):
            assert array.maker is self, "an array of another device"
            return array
        host = np.asarray(array)
        return self.counted(np.array(host, order="F" if host.flags.fnc else "C"))

    def empty(self, shape: Any, dtype: Any) -> DeviceArray:
        """Filled with NaN, or the like, so that what nobody writes is seen."""
        made = np.empty(shape, dtype)
        made.reshape(-1).view(np.uint8)[:] = 0xFF
        return self.counted(made)

    def empty_like(self, array: DeviceArray) -> DeviceArray:
        """As :meth:`empty`."""
        return self.empty(array.shape, array.dtype)

    def zeros(self, shape: Any, dtype: Any) -> DeviceArray:
        """Zeros."""
        return self.counted(np.zeros(shape, dtype))

    def full(self, shape: Any, value: float, dtype: Any) -> DeviceArray:
        """One value."""
        return self.counted(np.full(shape, value, dtype))

    def counted(self, memory: np.ndarray) -> DeviceArray:
        """An array whose memory this is, held until nothing refers to it."""
        self._check()
        array = DeviceArray(memory, self)
        self.held_bytes += memory.nbytes
        self.peak_bytes = max(self.peak_bytes, self.held_bytes)
        weakref.finalize(array, self._gone, memory.nbytes)
        return array

    def _gone(self, size: int) -> None:
        self.held_bytes -= size


class Transforms:
    """SciPy's cosine transforms; what CuPy's take is counted (:mod:`tomokit.methods.voxels.cuda.cosine`)."""

    def __init__(self, arrays: DeviceArrays) -> None:
        self._arrays = arrays
        self.plans: dict[tuple[int, int], DeviceArray] = {}

    def dct(self, x: DeviceArray, axis: int, norm: str) -> DeviceArray:
        """Type II along an axis."""
        return self._transform(scipy.fft.dct, x, axis, norm)

    def idct(self, x: DeviceArray, axis: int, norm: str) -> DeviceArray:
        """Its inverse."""
        return self._transform(scipy.fft.idct, x, axis, norm)

    def _transform(self, function: Callable[..., np.ndarray], x: DeviceArray, axis: int, norm: str) -> DeviceArray:
        key = x.shape[axis], x.size // x.shape[axis]
        if key not in self.plans:
            # A work area of two complex numbers for each that is transformed.
            self.plans[key] = self._arrays.empty(4 * x.size, np.float32)
        copies = self._arrays.empty(5 * x.size, np.float32)
        found = function(x.memory, axis=axis, norm=norm)
        del copies
        assert found.dtype == np.float32
        return self._arrays.counted(found)
