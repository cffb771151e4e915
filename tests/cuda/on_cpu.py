"""A device made of g++ and the CPU: the same sources, called in the same way, on arrays as strict as CuPy's.

:class:`CpuDevice` meets :class:`tomokit.gpu.device.Device`, so that everything above it, up to a whole fit, runs
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
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from device_arrays import DeviceArray, DeviceArrays, Transforms

from tomokit.gpu.signature import Signature, check_arguments, signatures
from tomokit.gpu.source import source_text

HEADER = Path(__file__).with_name("cuda_on_cpu.h")
COMPILER = os.environ.get("CXX") or shutil.which("g++")
SANITIZED = os.environ.get("TOMOKIT_SANITIZE") == "1"
_FLAGS = [
    "-std=c++17",
    "-shared",
    "-fPIC",
    # Its longjmp takes a jump to another stack for an error.
    "-U_FORTIFY_SOURCE",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-unknown-pragmas",
    "-Wno-unused-variable",
]
_SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g"]
# Under the sanitizer nothing lies between an array's end and the memory that it watches.
_GUARD_BYTES = 0 if SANITIZED else 256


# Kept from run to run and shared by the processes of one; git and the tests' collection leave it alone.
_FOLDER = Path(__file__).resolve().parents[2] / ".pytest_cache" / "kernels"


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
    # ISO rounding is kept: hardware contracts products and sums too, and the tests' tolerances are for either.
    flags = [*_FLAGS, *(["-O1", *_SANITIZERS] if SANITIZED else ["-O2"])]
    assert COMPILER is not None
    everything = "\0".join([COMPILER, *flags, HEADER.read_text(encoding="ascii"), text])
    library = _FOLDER / f"{hashlib.sha256(everything.encode()).hexdigest()[:24]}.so"
    if not library.exists():
        _FOLDER.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_FOLDER) as folder:
            path, made = Path(folder, "kernels.cpp"), Path(folder, "kernels.so")
            path.write_text(text, encoding="ascii")
            done = subprocess.run(
                [COMPILER, *flags, str(path), "-o", str(made)], capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise AssertionError(f"g++ refuses the kernels:\n{done.stderr[:4000]}")
            made.replace(library)
    return ctypes.CDLL(str(library))


# Tests make hundreds of devices, each of which loads its kernels.
_signatures = cache(signatures)


@cache
def _text(path: Path, defines: tuple[tuple[str, int], ...]) -> str:
    return source_text(path, dict(defines))


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
            if isinstance(value, DeviceArray):
                assert value.maker is self.device.xp, f"{self.name}: {self.signature[i].name} is of another device"
                copy = _between_guards(value.memory)
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
                value.memory[...] = inside
            else:
                assert np.array_equal(inside, value.memory, equal_nan=True), f"{self.name}: writes to {parameter.name}"


def _between_guards(array: np.ndarray) -> np.ndarray:
    """The array's bytes between guards that read as NaN, in memory of its own."""
    copy = np.full(array.nbytes + 2 * _GUARD_BYTES, 0xFF, np.uint8)
    copy[_GUARD_BYTES : copy.size - _GUARD_BYTES] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return copy


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
        self._sent: list[tuple[weakref.ref[np.ndarray], np.ndarray]] = []

    def load(self, path: Path, **defines: int) -> dict[str, CpuKernel]:
        """The kernels of a file."""
        return self.compile(_text(path, tuple(sorted(defines.items()))))

    def compile(self, source: str) -> dict[str, CpuKernel]:
        """The kernels of a source."""
        library = compile_source(source)
        return {name: CpuKernel(name, library, found, self) for name, found in _signatures(source).items()}

    def to_host(self, array: DeviceArray) -> np.ndarray:
        """The array."""
        self.wait()
        assert array.maker is self.xp, "an array of another device"
        return np.array(array.memory, order="C")

    def host_empty(self, shape: Sequence[int]) -> np.ndarray:
        """Not the device's memory."""
        return np.full(tuple(shape), np.nan, np.float32)

    def send(self, host: np.ndarray, into: DeviceArray) -> None:
        """A copy, after those that were asked for before; it may be read from the host at any time until it waits."""
        self._arrive()
        self._check_pair(host, into)
        self._sent.append((weakref.ref(host), host.copy()))
        into.memory[...] = host
        self.moved_bytes += into.nbytes

    def bring(self, array: DeviceArray, into: np.ndarray) -> None:
        """A copy of what the array is now, which the host has only when it has waited; until then there is NaN."""
        self._check_pair(into, array)
        self._sent = [(host, copy) for host, copy in self._sent if host() is not into]
        self._brought.append((array.memory.copy(), into))
        into[...] = np.nan
        self.moved_bytes += array.nbytes

    def _check_pair(self, host: np.ndarray, array: DeviceArray) -> None:
        assert array.maker is self.xp, "an array of another device"
        assert (host.shape, host.dtype) == (array.shape, array.dtype)
        assert host.flags.c_contiguous
        assert array.flags.c_contiguous

    def wait(self) -> None:
        """Now the host has it, and what was sent has left it."""
        self._arrive()
        for host, copy in self._sent:
            found = host()
            assert found is not None, "memory went while it was being sent"
            assert np.array_equal(found, copy, equal_nan=True), "memory changed while it was being sent"
        self._sent = []

    def _arrive(self) -> None:
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


def teach_simulator() -> None:
    """Let Numba's simulator take this device's arrays by the name under which Numba itself takes CuPy's."""
    from numba import cuda

    cuda.as_cuda_array = lambda array, sync: array.memory
