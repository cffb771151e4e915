"""The tests' device tells what hardware would not: races, lost threads, writes beyond an array, wrong arguments."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import needs_compiler
from device_arrays import DeviceArray
from on_cpu import SANITIZED, CpuDevice

import tomokit
from tomokit.errors import ResourceError
from tomokit.gpu.discovery import check_device
from tomokit.gpu.signature import Parameter, check_arguments, signatures
from tomokit.gpu.source import kernel_files, source_text
from tomokit.optimizers import codes as optimizer_codes
from tomokit.regularizers import codes as regularizer_codes

MADE = CpuDevice().xp

REVERSE = """
extern "C" __global__ void reverse(const float* __restrict__ a, float* __restrict__ b, int n) {
    __shared__ float s[64];
    s[threadIdx.x] = a[blockIdx.x * n + threadIdx.x];
    BARRIER
    b[blockIdx.x * n + threadIdx.x] = s[n - 1 - threadIdx.x];
}
"""

VOXELS = next(path for path in kernel_files() if path.name == "voxels.cu")


def run(source: str, *arguments: object, seed: int = 0, grid: int = 1, block: int = 1) -> None:
    """The only kernel of a source; arrays go there and come back."""
    device = CpuDevice(seed)
    (kernel,) = device.compile(source).values()
    there = [device.xp.asarray(item) if isinstance(item, np.ndarray) else item for item in arguments]
    kernel((grid, 1, 1), (block, 1, 1), there)
    for item, array in zip(arguments, there, strict=True):
        if isinstance(item, np.ndarray):
            item[...] = device.to_host(array)


@needs_compiler
@pytest.mark.parametrize("block", [40, 64])
def test_a_missing_barrier_shows(block: int) -> None:
    given = np.arange(3 * block, dtype=np.float32)
    expected = given.reshape(3, -1)[:, ::-1].ravel()
    for seed in range(5):
        good, bad = np.zeros_like(given), np.zeros_like(given)
        run(REVERSE.replace("BARRIER", "__syncthreads();"), given, good, block, seed=seed, grid=3, block=block)
        np.testing.assert_array_equal(good, expected)
        run(REVERSE.replace("BARRIER", ""), given, bad, block, seed=seed, grid=3, block=block)
        # Shared memory is filled with NaNs before each block, so nothing is right by what the block before has left.
        assert np.isnan(bad).any()


@needs_compiler
def test_a_barrier_that_not_all_meet_is_an_error() -> None:
    source = 'extern "C" __global__ void k(float* a) { if (threadIdx.x < 3) BRANCH a[threadIdx.x] = 1.0f; }'
    with pytest.raises(AssertionError, match="left behind"):
        run(source.replace("BRANCH", "__syncthreads();"), np.zeros(8, np.float32), block=8)
    branch = "if (threadIdx.x < 3) __syncthreads();\n else __syncthreads();"
    different = f'extern "C" __global__ void k(float* a) {{ {branch} a[0] = 1.0f; }}'
    with pytest.raises(AssertionError, match="different barriers"):
        run(different, np.zeros(8, np.float32), block=8)


@needs_compiler
def test_shuffles_and_atomics() -> None:
    source = """
extern "C" __global__ void k(const float* __restrict__ a, float* __restrict__ b, float* __restrict__ c, int*
__restrict__ n) {
    float sum = a[threadIdx.x];
    for (int step = 16; step > 0; step /= 2) sum += __shfl_down_sync(0xffffffffu, sum, step);
    if (threadIdx.x % 32 == 0) b[threadIdx.x / 32] = sum;
    c[threadIdx.x] = __shfl_xor_sync(0xffffffffu, a[threadIdx.x], 1) + __shfl_sync(0xffffffffu, a[threadIdx.x], 5);
    atomicAdd(n, 2);
}
"""
    a = np.arange(64, dtype=np.float32)
    b, c, n = np.zeros(2, np.float32), np.zeros(64, np.float32), np.zeros(1, np.int32)
    run(source, a, b, c, n, block=64, seed=3)
    np.testing.assert_array_equal(b, a.reshape(2, 32).sum(axis=1))
    np.testing.assert_array_equal(c, (np.arange(64) ^ 1) + np.repeat([5, 37], 32))
    assert n[0] == 128


@needs_compiler
@pytest.mark.skipif(not SANITIZED, reason="only under the sanitizers: nox -s sanitize")
@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("b[0] = a[n];", "heap-buffer-overflow"),
        ("a[n - 9] = 1.0f;", "heap-buffer-overflow"),
        ("__shared__ float s[4]; s[n] = 1.0f; b[0] = s[0];", "out of bounds"),
        ("b[0] = (float)(1 << (n + 30));", "shift exponent"),
    ],
)
def test_the_sanitizers_end_a_process_that_does_wrong(statement: str, told: str) -> None:
    kernel = f'extern "C" __global__ void k(float* a, float* b, int n) {{ {statement} b[1] = a[0]; }}'
    script = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import numpy as np\n"
        "from on_cpu import CpuDevice\n"
        f"(kernel,) = CpuDevice().compile({kernel!r}).values()\n"
        "a, b = (kernel.device.xp.zeros(8, np.float32) for _ in range(2))\n"
        "kernel((1, 1, 1), (1, 1, 1), (a, b, 8))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert told in done.stderr


@needs_compiler
@pytest.mark.skipif(SANITIZED, reason="the sanitizers end the process")
def test_writes_beyond_an_array_or_to_a_constant_one_are_errors() -> None:
    beyond = 'extern "C" __global__ void k(float* a, int n) { a[n] = 1.0f; }'
    for at in (8, -1):
        with pytest.raises(AssertionError, match="beyond a"):
            run(beyond, np.zeros(8, np.float32), at)
    constant = 'extern "C" __global__ void k(const float* a, int n) { const_cast<float*>(a)[n] = 1.0f; }'
    with pytest.raises(AssertionError, match="writes to a"):
        run(constant, np.zeros(8, np.float32), 3)


def test_arrays_are_as_strict_as_cupys() -> None:
    device, host = CpuDevice(), np.arange(6.0).reshape(2, 3)
    array = device.xp.asarray(host)
    for wrong in (
        lambda a: np.asarray(a), lambda a: np.sum(a), lambda a: np.exp(a), lambda a: np.concatenate([a, a]),
        lambda a: a + host, lambda a: host * a, lambda a: a[np.array([1, 0])], lambda a: a.__setitem__(0, host[0]),
        lambda a: a.__iadd__(host), lambda a: host.__setitem__(slice(None), a), lambda a: float(a[0, 0]),
        lambda a: bool(a[0, 0] > 1), lambda a: list(a),
    ):  # fmt: skip
        with pytest.raises(TypeError, match="on a device"):
            wrong(array)
    with pytest.raises(AssertionError, match="another device"):
        array + CpuDevice().xp.asarray(host)
    row = array[1]
    row *= np.float32(2)
    array[:, 1] = array[:, 0] - 1
    assert device.to_host(np.float32(2) * array)[1].tolist() == [12, 10, 20]
    assert device.to_host(array[device.xp.asarray(np.array([1, 0]))]).tolist() == [[6, 5, 10], [0, -1, 2]]
    assert device.to_host(array[..., 0].sum()) == 6
    # As the host has it: kernels take C's order alone.
    assert not device.xp.asarray(host.T).flags.c_contiguous
    held = device.xp.held_bytes
    assert held == array.nbytes
    del array
    assert device.xp.held_bytes == held  # a view is there still
    del row
    assert device.xp.held_bytes == 0


def test_signatures_are_read_from_the_sources() -> None:
    for path in kernel_files():
        text = source_text(path, {})
        found = signatures(text)
        assert text.count("__global__") == len(found) >= 1, path
    (parameters,) = signatures(REVERSE).values()
    assert parameters == (
        Parameter("a", "float", True, False),
        Parameter("b", "float", True, True),
        Parameter("n", "int", False, False),
    )
    with pytest.raises(ValueError, match="unsigned"):
        signatures('extern "C" __global__ void k(unsigned n) {}')


@pytest.mark.parametrize(
    ("position", "value", "error"),
    [
        (0, MADE.zeros(4, np.float64), TypeError),
        (0, MADE.asarray(np.zeros((4, 5), np.float32).T), TypeError),
        (0, MADE.zeros(8, np.float32)[::2], TypeError),
        (0, np.zeros(1, np.float32), TypeError),
        (0, 3, TypeError),
        (0, [1.0], TypeError),
        (1, MADE.zeros(4, np.int32), TypeError),
        (2, 4.0, TypeError),
        (2, np.float32(4), TypeError),
        (2, True, TypeError),
        (2, None, TypeError),
        (2, MADE.zeros(1, np.int32), TypeError),
        (2, 1 << 31, ValueError),
    ],
)
def test_arguments_are_held_to_the_declaration(position: int, value: object, error: type[Exception]) -> None:
    (signature,) = signatures(REVERSE).values()
    arguments: list[object] = [MADE.zeros(4, np.float32), MADE.zeros(4, np.float32), 4]
    checked = check_arguments("reverse", signature, arguments)
    assert [type(item) for item in checked] == [DeviceArray, DeviceArray, np.int32]
    assert check_arguments("reverse", signature, [None, *arguments[1:]])[0] == 0
    arguments[position] = value
    with pytest.raises(error, match=f"kernel reverse, {'abn'[position]}"):
        check_arguments("reverse", signature, arguments)
    with pytest.raises(TypeError, match="takes 3 arguments"):
        check_arguments("reverse", signature, arguments[:2])


def test_messages_of_a_compiler_name_the_file_and_line() -> None:
    lines = source_text(VOXELS, {"N": 2}).splitlines()
    assert lines[0] == "#define N 2"
    file, number = "", 0
    for line in lines[1:]:
        if line.startswith("#line"):
            _, at, name = line.split()
            file, number = name.strip('"'), int(at)
            continue
        if "Box box_of(const double*" in line:
            assert file == "box.cuh"
            inside = number
        if "void __launch_bounds__" in line and "voxel_project" in line:
            assert file == "voxels.cu"
            outside = number
        number += 1
    for name, at, text in (("box.cuh", inside, "Box box_of"), ("voxels.cu", outside, "voxel_project(")):
        assert text in VOXELS.with_name(name).read_text().splitlines()[at - 1]


@needs_compiler
def test_a_device_is_believed_after_it_ran_something() -> None:
    check_device(CpuDevice())

    class Idle(CpuDevice):
        def load(self, path: Path, **defines: int) -> dict:
            return {"probe": lambda grid, block, arguments: None}

    with pytest.raises(ResourceError, match="wrong result"):
        check_device(Idle())


def test_kernels_are_as_long_as_the_house_wants() -> None:
    headers = [path for folder in {path.parent for path in kernel_files()} for path in folder.glob("*.cuh")]
    for path in [*kernel_files(), *headers]:
        lines = path.read_text(encoding="ascii").splitlines()
        assert len(lines) <= 250, path.name
        assert lines[0].startswith("// "), path.name
        assert max(map(len, lines)) <= 120, path.name


@pytest.mark.parametrize("header", ["optimizers/optimizer.cuh", "regularizers/cuda/variation.cuh"])
def test_codes_are_those_of_the_host(header: str) -> None:
    module = optimizer_codes if header.startswith("optimizers") else regularizer_codes
    text = (Path(tomokit.__file__).parent / header).read_text(encoding="ascii")
    defined = dict(re.findall(r"^#define ([A-Z]+) (\d+)$", text, re.M))
    assert len(defined) >= 3
    assert {name: int(code) for name, code in defined.items()} == {name: getattr(module, name) for name in defined}
