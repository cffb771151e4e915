"""A device that kernels run on: its arrays, compiled kernels and transfers. its interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tomokit.gpu.arrays import DeviceArray


class Kernel(Protocol):
    """A compiled kernel that can be launched on its device."""

    def __call__(self, grid: Sequence[int], block: Sequence[int], arguments: Sequence[object]) -> None:
        """Launch the kernel; returns at once, and later launches and transfers of the device come after it.

        Parameters
        ----------
        grid : sequence of int
            Blocks along x, y and z.
        block : sequence of int
            Threads of a block along x, y and z.
        arguments : sequence
            In the order of the declaration: arrays of the device, numbers, or None for an array that is left out.
        """
        ...


class Device(Protocol):
    """Where kernels run: one GPU, or what stands for one in a test.

    Launches and transfers are done in the order in which they are asked for. A device is made the current one by
    ``with device:``, which arrays are made and computed within.

    Attributes
    ----------
    xp : module
        ``cupy``, or what offers the same of NumPy's interface.
    block_threads : int
        Threads of a block in Numba's kernels, a power of two.
    """

    xp: Any
    block_threads: int

    @property
    def fft(self) -> Any:
        """The device's Fourier and cosine transforms: ``cupyx.scipy.fft``, or what offers the same interface."""
        ...

    def load(self, path: Path, **defines: int) -> Mapping[str, Kernel]:
        """Compile the kernels of a source file, or take those that were compiled before with the same constants.

        Parameters
        ----------
        path : Path
            A ``.cu`` file.
        **defines : int
            Constants that the source expects, as ``#define`` lines.

        Returns
        -------
        mapping
            Kernels by name.
        """
        ...

    def to_host(self, array: DeviceArray | NDArray[Any]) -> NDArray[Any]:
        """Copy an array of the device into new memory of the host; waits until it is computed.

        Parameters
        ----------
        array : DeviceArray
            Also one that is typed as NumPy's, as values of a field are wherever they lie.

        Returns
        -------
        ndarray
            Of the same type and shape.
        """
        ...

    def host_empty(self, shape: Sequence[int]) -> NDArray[np.float32]:
        """Memory of the host that :meth:`send` and :meth:`bring` are fast with, its content undefined.

        Parameters
        ----------
        shape : sequence of int

        Returns
        -------
        ndarray of float32, shape `shape`
        """
        ...

    def send(self, host: NDArray[Any], into: DeviceArray) -> None:
        """Start to fill an array of the device from the host's memory, in turn with the launches.

        Parameters
        ----------
        host : ndarray
            C-contiguous; not to be changed until :meth:`wait` has returned.
        into : DeviceArray, written
            Of the same type and shape.
        """
        ...

    def bring(self, array: DeviceArray, into: NDArray[np.float32]) -> None:
        """Start to fill the host's memory from an array of the device, in turn with the launches.

        Parameters
        ----------
        array : array of float32
            On the device.
        into : ndarray of float32, written
            Of the same shape, C-contiguous. Until :meth:`wait` has returned, nothing but :meth:`send` may read it.
        """
        ...

    def wait(self) -> None:
        """Return when all launches and transfers that were asked for are done."""
        ...

    def free_bytes(self) -> int:
        """How much memory new arrays may still take.

        Returns
        -------
        int
            Bytes.
        """
        ...

    def __enter__(self) -> Device:
        """Make it the current device."""
        ...

    def __exit__(self, *_: object) -> None:
        """Make the device that was current before current again."""
        ...


def sent(device: Device, host: NDArray[Any]) -> DeviceArray:
    """Copy a large array of the host to a device, and wait until it is there.

    CuPy's ``asarray`` would take as much pinned memory on the way, rounded up to a power of two, and keep it: fine for
    tables, not for what is as large as the data or a volume.

    Parameters
    ----------
    device : Device
    host : ndarray
        Of any type, shape and layout.

    Returns
    -------
    DeviceArray
        Of the same type and shape, C-contiguous.
    """
    with device:
        array: DeviceArray = device.xp.empty(host.shape, host.dtype)
        # Has to live until the device has read it, which wait() sees to.
        contiguous = np.ascontiguousarray(host)
        device.send(contiguous, array)
        device.wait()
    return array
