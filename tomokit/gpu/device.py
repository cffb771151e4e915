"""A device that kernels run on: its arrays, compiled kernels and transfers. All that is known of CuPy is here."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import ResourceError
from tomokit.gpu.arrays import DeviceArray
from tomokit.gpu.signature import Signature, check_arguments, signatures
from tomokit.gpu.source import source_text

_PROBE_SOURCE = Path(__file__).with_name("probe.cu")


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


class CudaKernel:
    """A kernel compiled by CuPy, whose arguments are checked against its source at each launch.

    Parameters
    ----------
    name : str
        As in the source, for messages.
    function : cupy.RawKernel
        What CuPy launches.
    signature : tuple of Parameter
        The declaration, from :func:`tomokit.gpu.signature.signatures`.

    Raises
    ------
    TypeError, ValueError
        On launch, if an argument is not what the source declares.
    """

    def __init__(self, name: str, function: Any, signature: Signature) -> None:
        self.name, self._function, self._signature = name, function, signature

    def __call__(self, grid: Sequence[int], block: Sequence[int], arguments: Sequence[object]) -> None:
        """Launch the kernel on the current stream (see :class:`Kernel`)."""
        checked = check_arguments(self.name, self._signature, arguments)
        self._function(tuple(grid), tuple(block), tuple(checked))


class CudaDevice:
    """One GPU, through CuPy (see :class:`Device`).

    Parameters
    ----------
    number : int
        Index of the GPU, from 0, as the CUDA runtime counts.

    Raises
    ------
    ResourceError
        If CuPy is not there, or the device does not run kernels.
    """

    block_threads = 256

    def __init__(self, number: int = 0) -> None:
        try:
            import cupy
        except ImportError as error:
            raise ResourceError(
                f"cupy cannot be imported ({error})",
                field="--backend",
                remedy="pip install 'tomokit[cuda12]' or 'tomokit[cuda13]', by the driver's version, or --backend cpu",
            ) from None
        self.xp = cupy
        self.number = number
        self._device = cupy.cuda.Device(number)
        self._loaded: dict[tuple[object, ...], dict[str, CudaKernel]] = {}

    @property
    def fft(self) -> Any:
        """CuPy's transforms, which need cuFFT: a library that nothing else here does."""
        import cupyx.scipy.fft

        return cupyx.scipy.fft

    def load(self, path: Path, **defines: int) -> dict[str, CudaKernel]:
        """Compile the kernels of a source file, once per set of constants; CuPy keeps them on disk too.

        Parameters
        ----------
        path : Path
            A ``.cu`` file, the package's own or a plugin's.
        **defines : int
            Constants that the source expects.

        Returns
        -------
        dict
            Kernels by name.
        """
        key = (path, *sorted(defines.items()))
        if key not in self._loaded:
            self._loaded[key] = self.compile(source_text(path, defines))
        return self._loaded[key]

    def compile(self, source: str) -> dict[str, CudaKernel]:
        """Compile a source that is complete in itself.

        Parameters
        ----------
        source : str
            From :func:`tomokit.gpu.source.source_text`.

        Returns
        -------
        dict
            Kernels by name.
        """
        with self:
            module = self.xp.RawModule(code=source, options=("--std=c++17",))
            return {
                name: CudaKernel(name, module.get_function(name), signature)
                for name, signature in signatures(source).items()
            }

    def to_host(self, array: DeviceArray | NDArray[Any]) -> NDArray[Any]:
        """Copy an array into new memory of the host, when it is computed (see :meth:`Device.to_host`)."""
        copy: NDArray[Any] = self.xp.asnumpy(array)
        return copy

    def host_empty(self, shape: Sequence[int]) -> NDArray[np.float32]:
        """Pinned memory of the host, which the device reads and writes by itself (see :meth:`Device.host_empty`).

        Where the system pins no more it is ordinary memory, which works too and is slower.
        """
        cuda, size = self.xp.cuda, math.prod(shape)
        try:
            with self:
                # Not from CuPy's pool, which would keep what is given up.
                memory = cuda.PinnedMemory(size * np.dtype(np.float32).itemsize, cuda.runtime.hostAllocPortable)
        except cuda.runtime.CUDARuntimeError:
            return np.empty(tuple(shape), np.float32)
        return np.frombuffer(cuda.PinnedMemoryPointer(memory, 0), np.float32, size).reshape(tuple(shape))

    def send(self, host: NDArray[Any], into: Any) -> None:
        """Start to fill an array from the host's memory, on the current stream (see :meth:`Device.send`)."""
        with self:
            into.set(host)

    def bring(self, array: Any, into: NDArray[np.float32]) -> None:
        """Start to fill the host's memory from an array, on the current stream (see :meth:`Device.bring`)."""
        with self:
            array.get(out=into, blocking=False)

    def wait(self) -> None:
        """Return when the current stream has nothing more to do."""
        with self:
            self.xp.cuda.get_current_stream().synchronize()

    def free_bytes(self) -> int:
        """How much memory new arrays may take: what the driver has free, and what CuPy's pool holds unused.

        Returns
        -------
        int
            Bytes.
        """
        with self:
            free, _ = self.xp.cuda.runtime.memGetInfo()
            return int(free) + int(self.xp.get_default_memory_pool().free_bytes())

    def peak_bytes(self) -> int:
        """Most memory that CuPy's pool has taken from the driver, of which it gives nothing back unless told to.

        Returns
        -------
        int
            Bytes.
        """
        with self:
            return int(self.xp.get_default_memory_pool().total_bytes())

    def __enter__(self) -> CudaDevice:
        """Make it the current device."""
        self._device.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        """Make the device that was current before current again."""
        self._device.__exit__(*error)


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


def check_device(device: Device) -> None:
    """Run a kernel and look at what it did: a device can be listed, and hold memory, without running anything.

    Parameters
    ----------
    device : Device

    Raises
    ------
    ResourceError
        If the result is wrong. Whatever the driver raises is passed on.
    """
    with device:
        xp = device.xp
        # The kernel must write all elements, or NaN is left; 64 threads for 40 elements try its bound as well.
        given, out = xp.asarray(np.arange(40, dtype=np.float32)), xp.full(40, np.nan, np.float32)
        device.load(_PROBE_SOURCE)["probe"]((1, 1, 1), (64, 1, 1), (given, out, 0.25, 40))
        written = device.to_host(out)
    # Quarters and small whole numbers are exact in single precision.
    expected = 1.25 * np.arange(40, dtype=np.float32)
    if not np.array_equal(written, expected):
        raise ResourceError("a test kernel gave a wrong result", field="--backend", remedy="give --backend cpu")


_usable_devices: list[Device] = []
"""Empty until :func:`devices` has looked, or :func:`use_devices` has said."""


def devices() -> list[Device]:
    """The devices that kernels run on, found once: all that the CUDA runtime lists and that pass :func:`check_device`.

    Returns
    -------
    list of Device
        At least one, in the order of the CUDA runtime.

    Raises
    ------
    ResourceError
        If there is none, with the reason why the first is not used.
    """
    if not _usable_devices:
        first = CudaDevice(0)
        reasons: list[str] = []
        try:
            count = int(first.xp.cuda.runtime.getDeviceCount())
        except Exception as error:
            count, reasons = 0, [_error_first_line(error)]
        for number in range(count):
            device = CudaDevice(number)
            try:
                check_device(device)
            except Exception as error:  # CuPy, the driver and the compiler each raise their own
                reasons.append(f"device {number}: {_error_first_line(error)}")
            else:
                _usable_devices.append(device)
        if not _usable_devices:
            why = reasons[0] if reasons else "the CUDA runtime lists no device"
            raise ResourceError(f"no GPU can be used ({why})", field="--backend", remedy="give --backend cpu")
    return list(_usable_devices)


def any_chosen() -> bool:
    """Whether devices have been found or chosen already, so that asking for them takes no time.

    Returns
    -------
    bool
    """
    return bool(_usable_devices)


@contextmanager
def use_devices(chosen: Sequence[Device]) -> Iterator[None]:
    """Let :func:`devices` return the given devices within a ``with`` block, in place of all that are found.

    Parameters
    ----------
    chosen : sequence of Device

    Yields
    ------
    None
    """
    before = list(_usable_devices)
    _usable_devices[:] = chosen
    try:
        yield
    finally:
        _usable_devices[:] = before


def _error_first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
