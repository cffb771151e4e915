"""Loops that are shared out among threads."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from tomokit.kernels import shared
from tomokit.kernels.decorator import compiled
from tomokit.kernels.shared import Share, items_of, shared_out
from tomokit.testing.threads import numbers_of_threads


class Line(NamedTuple):
    """A straight line."""

    slope: float
    start: float


@compiled(inlined=True)
def value_at(line: Line, x: float) -> float:
    return line.slope * x + line.start


@shared_out()
def draw(share: Share, line: Line, out: NDArray[np.float64], visits: NDArray[np.int64]) -> None:
    for i in items_of(share, out.size):
        out[i] = value_at(line, i)
        visits[i] += 1


@shared_out()
def fail(share: Share, size: int, out: NDArray[np.int64]) -> None:
    for i in items_of(share, out.size):
        out[i] = np.empty(size, np.uint8).size


def drawn(size: int) -> NDArray[np.float64]:
    out, visits = np.full(size, np.nan), np.zeros(size, np.int64)
    draw(Line(2.0, 1.0), out, visits)
    assert (visits == 1).all()
    return out


@pytest.mark.parametrize("n", [0, 1, 2, 7, 64, 1001])
@pytest.mark.parametrize("count", [1, 2, 3, 64])
def test_shares_hold_every_item_once_and_are_equal(n: int, count: int) -> None:
    shares = [items_of.py_func((number, count), n) for number in range(count)]
    assert [i for share in shares for i in share] == list(range(n))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("size", [0, 1, 2, 1001])
def test_every_item_is_visited_once_whatever_the_threads(size: int) -> None:
    for _ in numbers_of_threads():
        np.testing.assert_array_equal(drawn(size), 2.0 * np.arange(size) + 1)


def test_without_numbas_threads_one_does_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "can_launch", lambda: False)
    np.testing.assert_array_equal(drawn(5), [1, 3, 5, 7, 9])


def test_numba_is_called_as_it_expects() -> None:
    # Otherwise all would be done by one thread, and nothing would tell.
    assert shared.can_launch()


def test_an_allocation_that_fails_in_a_thread_is_told() -> None:
    out = np.zeros(4, np.int64)
    fail(10, out)
    assert (out == 10).all()
    with pytest.raises(MemoryError, match="fail"):
        fail(1 << 60, out)


def test_threads_allocate_while_allocations_are_traced() -> None:
    # Tracing takes the interpreter's lock in each thread, which would never be free if the caller kept it.
    out = np.zeros(64, np.int64)
    fail(10, out)
    out[:] = 0
    tracemalloc.start()
    try:
        for _ in numbers_of_threads():
            fail(10, out)
    finally:
        tracemalloc.stop()
    assert (out == 10).all()


@shared_out()
def add_up(share: Share, line: tuple[NDArray[np.float64], tuple[NDArray[np.float64], float]], n: int) -> None:
    out, (values, factor) = line
    for i in items_of(share, n):
        # Each a new array with a reference to the memory, which is given up again.
        mine = values[i:].reshape(-1)
        out[i] += factor * mine[0]


def test_arrays_are_as_often_referred_to_afterwards_as_before() -> None:
    out, values = np.zeros(5), np.arange(5.0)
    before = sys.getrefcount(out), sys.getrefcount(values)
    for _ in numbers_of_threads():
        out[:] = 0
        add_up((out, (values, 2.0)), 5)
        np.testing.assert_array_equal(out, 2.0 * np.arange(5))
        assert (sys.getrefcount(out), sys.getrefcount(values)) == before


LAYERS = """
import numba, numpy as np
numba.config.THREADING_LAYER = {layer!r}
from test_shared import drawn
assert (drawn(1001) == 2.0 * np.arange(1001) + 1).all()
print(numba.threading_layer())
"""


@pytest.mark.parametrize("layer", ["omp", "workqueue", "tbb"])
def test_every_threading_layer_of_numba_takes_it(layer: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])}
    done = subprocess.run(
        [sys.executable, "-c", LAYERS.format(layer=layer)], env=environment, capture_output=True, text=True
    )
    if "No threading layer could be loaded" in done.stderr:
        pytest.skip(f"{layer} is not installed")
    assert done.stdout.split() == [layer], done.stderr
