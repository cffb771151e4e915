"""A device: arrays, kernels and transfers. All that is known of CuPy is here."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import ResourceError
from tomokit.gpu.signature import Signature, check_arguments, signatures
from tomokit.gpu.source import source_text

_PROBE_SOURCE = Path(__file__).with_name("probe.cu")


class Kernel(Protocol):
    """A compiled kernel."""

    def __call__(self, grid: Sequence[int], block: Sequence[int], arguments: Sequence[Any]) -> None:
        """Launch it; ``(x, y, z)`` blocks of ``(x, y, z)`` threads."""
        ...


class Device(Protocol):
    """Where kernels run.

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
        """``cupyx.scipy.fft``, or what offers the same of SciPy's interface."""
        ...

    def load(self, path: Path, **defines: int) -> Mapping[str, Kernel]:
        """The kernels of a source file, compiled with these constants; kept."""
        ...

    def to_host(self, array: Any) -> NDArray[Any]:
        """A copy in the host's memory."""
        ...

    def host_empty(self, shape: Sequence[int]) -> NDArray[np.float32]:
        """Memory of the host for :meth:`send` and :meth:`bring`, of float32."""
        ...

    def send(self, host: NDArray[Any], into: Any) -> None:
        """Fill an array from the host's memory, in turn with the launches; that stays as it is until :meth:`wait`."""
        ...

    def bring(self, array: Any, into: NDArray[np.float32]) -> None:
        """Fill the host's memory from an array likewise; it is for :meth:`send` alone until :meth:`wait`."""
        ...

    def wait(self) -> None:
        """Return when all that was asked for is done."""
        ...

    def free_bytes(self) -> int:
        """Bytes that arrays may still take."""
        ...

    def __enter__(self) -> Device:
        """Make it the current one."""
        ...

    def __exit__(self, *_: object) -> None:
        """Back to the one before."""
        ...


class CudaKernel:
    """A kernel of CuPy's whose arguments are checked against its source.

    Raises
    ------
    TypeError, ValueError
        On launch, if an argument is not what the source declares.
    """

    def __init__(self, name: str, function: Any, signature: Signature) -> None:
        self.name, self._function, self._signature = name, function, signature

    def __call__(self, grid: Sequence[int], block: Sequence[int], arguments: Sequence[Any]) -> None:
        """Launch it on the current stream."""
        checked = check_arguments(self.name, self._signature, arguments)
        self._function(tuple(grid), tuple(block), tuple(checked))


class CudaDevice:
    """One GPU.

    Parameters
    ----------
    number : int
        As the CUDA runtime counts.

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
        self._loaded: dict[tuple[Any, ...], dict[str, CudaKernel]] = {}

    @property
    def fft(self) -> Any:
        """CuPy's transforms, which need cuFFT: a library that nothing else here does."""
        import cupyx.scipy.fft

        return cupyx.scipy.fft

    def load(self, path: Path, **defines: int) -> dict[str, CudaKernel]:
        """The kernels of a source file; compiled once per device and set of constants, and cached on disk by CuPy."""
        key = (path, *sorted(defines.items()))
        if key not in self._loaded:
            self._loaded[key] = self.compile(source_text(path, defines))
        return self._loaded[key]

    def compile(self, source: str) -> dict[str, CudaKernel]:
        """The kernels of a source."""
        with self:
            module = self.xp.RawModule(code=source, options=("--std=c++17",))
            return {
                kernel: CudaKernel(kernel, module.get_function(kernel), signature)
                for kernel, signature in signatures(source).items()
            }

    def to_host(self, array: Any) -> NDArray[Any]:
        """A copy in the host's memory; waits until the array is computed."""
        found: NDArray[Any] = self.xp.asnumpy(array)
        return found

    def host_empty(self, shape: Sequence[int]) -> NDArray[np.float32]:
        """Pinned memory, which the device reads and writes by itself; pageable where the system pins no more."""
        cuda, size = self.xp.cuda, math.prod(shape)
        try:
            with self:
                # Not from CuPy's pool, which would keep what is given up.
                memory = cuda.PinnedMemory(size * np.dtype(np.float32).itemsize, cuda.runtime.hostAllocPortable)
        except cuda.runtime.CUDARuntimeError:
            return np.empty(tuple(shape), np.float32)
        return np.frombuffer(cuda.PinnedMemoryPointer(memory, 0), np.float32, size).reshape(tuple(shape))

    def send(self, host: NDArray[Any], into: Any) -> None:
        """Fill an array from the host's memory, on the current stream."""
        with self:
            into.set(host)

    def bring(self, array: Any, into: NDArray[np.float32]) -> None:
        """Fill the host's memory from an array, on the current stream."""
        with self:
            array.get(out=into, blocking=False)

    def wait(self) -> None:
        """Return when the current stream has nothing more to do."""
        with self:
            self.xp.cuda.get_current_stream().synchronize()

    def free_bytes(self) -> int:
        """What the driver has free, and what the pool holds unused."""
        with self:
            free, _ = self.xp.cuda.runtime.memGetInfo()
            return int(free) + int(self.xp.get_default_memory_pool().free_bytes())

    def peak_bytes(self) -> int:
        """Most bytes that the pool has taken from the driver; it gives none back while it is not told to."""
        with self:
            return int(self.xp.get_default_memory_pool().total_bytes())

    def __enter__(self) -> CudaDevice:
        """Make it the current one."""
        self._device.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        """Back to the one before."""
        self._device.__exit__(*error)


def sent(device: Device, host: NDArray[Any]) -> Any:
    """An array on a device with what is on the host: for what is as large as data or volume.

    CuPy's ``asarray`` takes as much pinned memory on the way, rounded up to a power of two, and keeps it.
    """
    with device:
        array = device.xp.empty(host.shape, host.dtype)
        held = np.ascontiguousarray(host)
        device.send(held, array)
        device.wait()
    return array


def check_device(device: Device) -> None:
    """Run a kernel and look at what it did: a device can be listed, and hold memory, without running anything.

    Raises
    ------
    ResourceError
        If the result is wrong. Whatever the driver raises is passed on.
    """
    with device:
        xp = device.xp
        given, out = xp.asarray(np.arange(40, dtype=np.float32)), xp.full(40, np.nan, np.float32)
        device.load(_PROBE_SOURCE)["probe"]((1, 1, 1), (64, 1, 1), (given, out, 0.25, 40))
        found = device.to_host(out)
    # Quarters and small whole numbers are exact in single precision.
    expected = 1.25 * np.arange(40, dtype=np.float32)
    if not np.array_equal(found, expected):
        raise ResourceError("a test kernel gave a wrong result", field="--backend", remedy="give --backend cpu")


_found: list[Device] = []


def devices() -> list[Device]:
    """The devices that kernels run on, found once: all that the CUDA runtime lists and that pass :func:`check_device`.

    Raises
    ------
    ResourceError
        If there is none, with the reason why the first is not used.
    """
    if not _found:
        first = CudaDevice(0)
        reasons: list[str] = []
        try:
            count = int(first.xp.cuda.runtime.getDeviceCount())
        except Exception as error:
            count, reasons = 0, [_line(error)]
        for number in range(count):
            device = CudaDevice(number)
            try:
                check_device(device)
            except Exception as error:  # CuPy, the driver and the compiler each raise their own
                reasons.append(f"device {number}: {_line(error)}")
            else:
                _found.append(device)
        if not _found:
            why = reasons[0] if reasons else "the CUDA runtime lists no device"
            raise ResourceError(f"no GPU can be used ({why})", field="--backend", remedy="give --backend cpu")
    return list(_found)


def any_chosen() -> bool:
    """Whether devices have been found, or chosen, already."""
    return bool(_found)


@contextmanager
def use_devices(chosen: Sequence[Device]) -> Iterator[None]:
    """Take these devices in place of all that are found, within a ``with``."""
    before = list(_found)
    _found[:] = chosen
    try:
        yield
    finally:
        _found[:] = before


def _line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
