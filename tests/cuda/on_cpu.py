"""A device made of g++ and the CPU: the same sources, called in the same way, on NumPy arrays.

:class:`CpuDevice` meets :class:`tomokit.cuda.device.Device`, so that everything above it, up to a whole fit, runs
without a GPU, only slowly.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
import weakref
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import scipy.fft

from tomokit.cuda.signature import Signature, check_arguments, signatures
from tomokit.cuda.source import source_text

HEADER = Path(__file__).with_name("cuda_on_cpu.h")
COMPILER = os.environ.get("CXX") or shutil.which("g++")
SANITIZED = os.environ.get("TOMOKIT_SANITIZE") == "1"
_FLAGS = [
    "-std=c++17",
    "-shared",
    "-fPIC",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-unknown-pragmas",
    "-Wno-unused-variable",
]
_SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g"]
# Under the sanitizer nothing lies between an array's end and the memory that it watches.
_GUARD_BYTES = 0 if SANITIZED else 256


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="tomokit-kernels-"))


@cache
def compile_source(source: str) -> ctypes.CDLL:
    """Compile a source together with a function for each kernel that launches it."""
    parts = [f'#include "{HEADER}"\n', source, '\n#line 1 "launchers"\n']
    for name, signature in signatures(source).items():
        values = ", ".join(_value(i, p.kind, p.is_array) for i, p in enumerate(signature))
        parts.append(
            f"static void** arguments_of_{name};\n"
            f"static void body_of_{name}() {{ void** arguments = arguments_of_{name}; {name}({values}); }}\n"
            f'extern "C" const char* launch_{name}(const unsigned* grid, const unsigned* block, unsigned long seed, '
            f"void** arguments) {{ arguments_of_{name} = arguments; "
            f"return on_cpu::run_grid(body_of_{name}, grid, block, seed); }}\n"
        )
    text = "".join(parts)
    stem = hashlib.sha256(text.encode()).hexdigest()[:16]
    path, library = _folder() / f"{stem}.cpp", _folder() / f"{stem}.so"
    path.write_text(text, encoding="ascii")
    # ISO rounding is kept: hardware contracts products and sums too, and the tests' tolerances are for either.
    flags = [*_FLAGS, *(["-O1", *_SANITIZERS] if SANITIZED else ["-O2"])]
    assert COMPILER is not None
    done = subprocess.run(
        [COMPILER, *flags, str(path), "-o", str(library)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise AssertionError(f"g++ refuses the kernels:\n{done.stderr[:4000]}")
    return ctypes.CDLL(str(library))


def _value(index: int, kind: str, is_array: bool) -> str:
    return f"({kind}*)arguments[{index}]" if is_array else f"*({kind}*)arguments[{index}]"


class CpuKernel:
    """One kernel of a compiled source, called like a CuPy kernel: ``kernel(grid, block, arguments)``.

    Arrays are copied between guards before the launch, and back after it if the kernel may write them.

    Raises
    ------
    TypeError, ValueError
        If an argument is not what the source declares.
    AssertionError
        If a kernel writes beyond an array, or its barriers are not met by all.
    """

    def __init__(self, name: str, library: ctypes.CDLL, signature: Signature, device: CpuDevice) -> None:
        self.name, self.signature, self.device = name, signature, device
        self._launch = getattr(library, f"launch_{name}")
        self._launch.restype = ctypes.c_char_p
        self._launch.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p]

    def __call__(self, grid: Sequence[int], block: Sequence[int], arguments: Sequence[Any]) -> None:
        """Run all blocks."""
        self.device.check_current()
        checked = check_arguments(self.name, self.signature, arguments)
        sizes = (
            np.array([*grid, *[1] * (3 - len(grid))], np.uint32),
            np.array([*block, *[1] * (3 - len(block))], np.uint32),
        )
        threads = int(sizes[1].prod())
        assert 1 <= threads <= 1024, f"{self.name}: {threads} threads a block"
        assert sizes[0].min() >= 1, f"{self.name}: a grid of {sizes[0]}"
        assert sizes[0][1:].max() <= 65535, f"{self.name}: a grid of {sizes[0]}"
        guarded: list[np.ndarray | None] = []
        pointers = (ctypes.c_void_p * len(checked))()
        scalars = []
        for i, value in enumerate(checked):
            if isinstance(value, np.ndarray):
                copy = _between_guards(value)
                guarded.append(copy)
                pointers[i] = copy.ctypes.data + _GUARD_BYTES
            elif self.signature[i].is_array:
                guarded.append(None)
                pointers[i] = None
            else:
                guarded.append(None)
                scalars.append(np.array([value]))
                pointers[i] = scalars[-1].ctypes.data
        self.device.launches += 1
        seed = int(self.device.order.integers(1 << 62))
        failure = self._launch(sizes[0].ctypes.data, sizes[1].ctypes.data, seed, pointers)
        assert failure is None, f"{self.name}: {failure.decode()}"
        for parameter, value, copy in zip(self.signature, checked, guarded, strict=True):
            if copy is None:
                continue
            end = copy.size - _GUARD_BYTES
            intact = (copy[:_GUARD_BYTES] == 0xFF).all() and (copy[end:] == 0xFF).all()
            assert intact, f"{self.name}: writes beyond {parameter.name}"
            inside = copy[_GUARD_BYTES:end].view(value.dtype).reshape(value.shape)
            if parameter.is_written:
                value[...] = inside
            else:
                assert np.array_equal(inside, value, equal_nan=True), f"{self.name}: writes to {parameter.name}"


def _between_guards(array: np.ndarray) -> np.ndarray:
    """The array's bytes between guards that read as NaN, in memory of its own."""
    copy = np.full(array.nbytes + 2 * _GUARD_BYTES, 0xFF, np.uint8)
    copy[_GUARD_BYTES : copy.size - _GUARD_BYTES] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return copy


class DeviceArrays:
    """The few functions that make arrays, each of them new memory, as on a device; counts what is held."""

    def __init__(self, check: Callable[[], None]) -> None:
        self.held_bytes = self.peak_bytes = 0
        self._check = check

    def asarray(self, array: Any) -> np.ndarray:
        """A copy, whatever is given."""
        return self._counted(np.array(array, order="C"))

    def empty(self, shape: Any, dtype: Any) -> np.ndarray:
        """Filled with NaN, or the like, so that what nobody writes is seen."""
        made = np.empty(shape, dtype)
        made.reshape(-1).view(np.uint8)[:] = 0xFF
        return self._counted(made)

    def empty_like(self, array: np.ndarray) -> np.ndarray:
        """As :meth:`empty`."""
        return self.empty(array.shape, array.dtype)

    def zeros(self, shape: Any, dtype: Any) -> np.ndarray:
        """Zeros."""
        return self._counted(np.zeros(shape, dtype))

    def full(self, shape: Any, value: float, dtype: Any) -> np.ndarray:
        """One value."""
        return self._counted(np.full(shape, value, dtype))

    def _counted(self, array: np.ndarray) -> np.ndarray:
        self._check()
        self.held_bytes += array.nbytes
        self.peak_bytes = max(self.peak_bytes, self.held_bytes)
        weakref.finalize(array, self._gone, array.nbytes)
        return array

    def _gone(self, size: int) -> None:
        self.held_bytes -= size


class Transforms:
    """SciPy's cosine transforms; counted as held is what CuPy's take (see :mod:`tomokit.cuda.cosine`)."""

    def __init__(self, arrays: DeviceArrays) -> None:
        self._arrays = arrays
        self.plans: dict[tuple[int, int], np.ndarray] = {}

    def dct(self, x: np.ndarray, axis: int, norm: str) -> np.ndarray:
        """Type II along an axis."""
        return self._transform(scipy.fft.dct, x, axis, norm)

    def idct(self, x: np.ndarray, axis: int, norm: str) -> np.ndarray:
        """Its inverse."""
        return self._transform(scipy.fft.idct, x, axis, norm)

    def _transform(self, function: Callable[..., np.ndarray], x: np.ndarray, axis: int, norm: str) -> np.ndarray:
        key = x.shape[axis], x.size // x.shape[axis]
        if key not in self.plans:
            # A work area of two complex numbers for each that is transformed.
            self.plans[key] = self._arrays.empty(4 * x.size, np.float32)
        copies = self._arrays.empty(5 * x.size, np.float32)
        found = function(x, axis=axis, norm=norm)
        del copies
        assert found.dtype == np.float32
        return found


class CpuDevice:
    """The CPU in the place of a device.

    Parameters
    ----------
    seed : int
        Of the order of threads and blocks.
    memory_bytes : int
        What it says is free.
    is_strict : bool
        Whether arrays are made and kernels launched within its ``with`` only: beside others a device has to be the
        current one.
    """

    block_threads = 8

    current: ClassVar[list[CpuDevice]] = []

    def __init__(self, seed: int = 0, memory_bytes: int = 1 << 40, is_strict: bool = False) -> None:
        self.xp = DeviceArrays(self.check_current)
        self.fft = Transforms(self.xp)
        self.is_strict = is_strict
        self.memory_bytes = memory_bytes
        self.order = np.random.default_rng(seed)
        self.launches = 0
        self.moved_bytes = 0
        self._brought: list[tuple[np.ndarray, np.ndarray]] = []

    def load(self, name: str | Path, **defines: int) -> dict[str, CpuKernel]:
        """The kernels of a file."""
        return self.compile(source_text(name, defines))

    def compile(self, source: str) -> dict[str, CpuKernel]:
        """The kernels of a source."""
        library = compile_source(source)
        return {name: CpuKernel(name, library, found, self) for name, found in signatures(source).items()}

    def to_host(self, array: np.ndarray) -> np.ndarray:
        """The array."""
        self.wait()
        return array.copy()

    def host_empty(self, shape: Sequence[int]) -> np.ndarray:
        """Not the device's memory."""
        return np.full(tuple(shape), np.nan, np.float32)

    def send(self, host: np.ndarray, into: np.ndarray) -> None:
        """A copy, after those that were asked for before."""
        self.wait()
        assert host.shape == into.shape
        into[...] = host
        self.moved_bytes += into.nbytes

    def bring(self, array: np.ndarray, into: np.ndarray) -> None:
        """A copy of what the array is now, which the host has only when it has waited; until then there is NaN."""
        assert array.shape == into.shape
        self._brought.append((array.copy(), into))
        into[...] = np.nan
        self.moved_bytes += array.nbytes

    def wait(self) -> None:
        """Now the host has it."""
        for array, into in self._brought:
            into[...] = array
        self._brought = []

    def free_bytes(self) -> int:
        """What the tests say there is, less what is held."""
        return self.memory_bytes - self.xp.held_bytes

    def check_current(self) -> None:
        """Fail if it is not the current device and has to be."""
        assert not self.is_strict or (self.current and self.current[-1] is self), "another device is the current one"

    def __enter__(self) -> CpuDevice:
        """Make it the current one."""
        self.current.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        """Back to the one before."""
        self.current.pop()
