"""One GPU through CuPy: all that is known of CuPy is here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import ResourceError
from tomokit.gpu.arrays import DeviceArray
from tomokit.gpu.signature import Signature, check_arguments, signatures
from tomokit.gpu.source import source_text


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
