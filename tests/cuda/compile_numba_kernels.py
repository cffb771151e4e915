"""Compile Numba's kernels to PTX for a compute capability, and print how many instructions of each are in doubles."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from types import SimpleNamespace

from numba import cuda, types
from numba.cuda import dispatcher

from tomokit.octree.cuda.error_indicators import measure_leaf
from tomokit.regularizers.cuda.cross_node_kernels import make_kernels

CAPABILITY = tuple(map(int, sys.argv[1].split(".")))

# Device functions are compiled for the current device, of which there is none; all else takes the capability as given.
dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=CAPABILITY)


def array(kind: types.Type, axes: int) -> types.Array:
    """A C-ordered array's type."""
    return types.Array(kind, axes, "C")


def doubling(a: object) -> None:
    """What a constant that is not converted does."""
    a[0] = a[0] * 1.1  # type: ignore[index]


single, whole, long = types.float32, types.int32, types.int64
cells, counts, grid, of_pairs = array(long, 2), array(single, 3), array(single, 2), array(whole, 1)
count_leaf, tabulate_pair = make_kernels(128)
kernels: list[tuple[Callable, tuple]] = [
    (count_leaf, (array(single, 2), of_pairs, grid, cells, counts, of_pairs)),
    (tabulate_pair, (whole, of_pairs, grid, cells, counts, of_pairs, whole, single, counts, array(single, 1))),
    (measure_leaf, (array(single, 2), array(single, 1), array(single, 1))),
    (doubling, (array(single, 1),)),
]
for kernel, signature in kernels:
    ptx, _ = cuda.compile_ptx(kernel, signature, cc=CAPABILITY)
    assert f".target sm_{CAPABILITY[0]}{CAPABILITY[1]}" in ptx
    print(kernel.__name__, len(re.findall(r"\.f64", ptx)))
