"""Reconstruction in slabs along the tilt axis: the bits are those of the volume in one piece."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tomokit.data.problem import Problem, ProblemShape
from tomokit.errors import InputError
from tomokit.geometry import TiltGeometry
from tomokit.methods.slabs import ReconstructsInSlabs, Slabs, crop_rows, slab_bounds
from tomokit.plugin.manager import get_registry

OPTIONS: dict[str, list[dict[str, Any]]] = {
    "wbp": [{}, {"filter": "sirt"}],
    "sirt": [{"epochs": 2}, {"epochs": 2, "nonnegative": False, "relaxation": 0.7, "margin": 0.1}],
}
SHIFTS_PX = {"no shifts": (0.0, 0.0), "whole and parts of rows": (1.3, -2.6)}


class SlabsInMemory:
    """A store in memory."""

    def __init__(self, n_x: int, n_z: int, bounds: Any) -> None:
        self.slabs = [np.zeros((n_x, n_z, stop - first), np.float32) for first, stop in bounds]

    def read(self, slab: int) -> np.ndarray:
        return self.slabs[slab].copy()

    def write(self, slab: int, density: np.ndarray) -> None:
        self.slabs[slab][...] = density


def problem_of(shifted: str, masked: bool, fit_offsets: bool, n_y: int = 37) -> Problem:
    """Smooth noise with something in it, seen in seven views."""
    generator = np.random.default_rng(5)
    n_views, n_u = 7, 26
    # Along y alternately moved up and down, by fractions that differ from view to view.
    low, high = SHIFTS_PX[shifted]
    geometry = TiltGeometry(
        np.linspace(-60, 60, n_views),
        n_u,
        n_y,
        shift_u_px=np.linspace(-1.2, 0.7, n_views),
        shift_v_px=np.linspace(low, high, n_views),
    )
    stack = generator.random((n_views, n_u, n_y)).cumsum(axis=1).astype(np.float32) / n_u
    mask = None
    if masked:
        mask = (generator.random(stack.shape) > 0.1).astype(np.float32)
        mask[:, 8:14, 15:22] = 0
        mask[2] = 0
    return Problem(stack, mask, geometry, 11, fit_offsets)


def run_whole(name: str, problem: Problem, options: dict[str, Any]) -> tuple[Any, list[dict[str, float]]]:
    method = get_registry().get("method", name)()
    run = method.start(problem, method.Options(**options))
    return run, [run.advance() for _ in range(run.epochs)]


def start_in_slabs(name: str, problem: Problem, options: dict[str, Any], count: int, rows: Any = None) -> Any:
    method = get_registry().get("method", name)()
    assert isinstance(method, ReconstructsInSlabs)
    bounds = slab_bounds(rows or (0, problem.geometry.n_v), count)
    return method.start_in_slabs(problem, method.Options(**options), Slabs(bounds, SlabsInMemory))


def assert_same(run: Any, history: list[dict[str, float]], whole: Any, expected: list[dict[str, float]]) -> None:
    """To the bit: density, offsets, losses, prediction, and what a state would have."""
    assert history == expected
    assert run.volume().tobytes() == whole.volume().tobytes()
    assert run.offsets().tobytes() == whole.offsets().tobytes()
    other = replace(run.problem.geometry, tilt_deg=run.problem.geometry.tilt_deg + 2.5)
    assert run.predict(other).tobytes() == whole.predict(other).tobytes()
    assert {name: array.tobytes() for name, array in run.arrays().items()} == {
        name: array.tobytes() for name, array in whole.arrays().items()
    }
    assert run.stored_density() == whole.stored_density()
    assert run.resolved_parameters() == whole.resolved_parameters()


@pytest.mark.parametrize("fit_offsets", [False, True], ids=["no offsets", "offsets"])
@pytest.mark.parametrize("masked", [False, True], ids=["no mask", "mask"])
@pytest.mark.parametrize("shifted", SHIFTS_PX)
@pytest.mark.parametrize("name", OPTIONS)
def test_bits_are_those_of_one_piece(name: str, shifted: str, masked: bool, fit_offsets: bool) -> None:
    problem = problem_of(shifted, masked, fit_offsets)
    for options in OPTIONS[name]:
        whole, expected = run_whole(name, problem, options)
        assert np.abs(whole.volume()).max() > 0
        for count in (1, 2, 5, 37):
            run = start_in_slabs(name, problem, options, count)
            assert_same(run, [run.advance() for _ in range(run.epochs)], whole, expected)


def test_rows_of_wbp_are_those_of_the_whole() -> None:
    for shifted in SHIFTS_PX:
        problem = problem_of(shifted, True, True)
        whole, _ = run_whole("wbp", problem, {})
        for rows, count in (((0, 5), 1), ((9, 20), 3), ((36, 37), 1)):
            run = start_in_slabs("wbp", problem, {}, count, rows)
            run.advance()
            assert run.volume().tobytes() == np.ascontiguousarray(whole.volume()[:, :, slice(*rows)]).tobytes()


def test_rows_of_sirt_are_the_problem_of_these_rows() -> None:
    problem = problem_of("no shifts", True, True)
    whole, expected = run_whole("sirt", crop_rows(problem, (9, 20)), {"epochs": 2})
    run = start_in_slabs("sirt", problem, {"epochs": 2}, 3, (9, 20))
    assert_same(run, [run.advance() for _ in range(2)], whole, expected)


@pytest.mark.parametrize("in_slabs_first", [False, True])
def test_a_state_goes_on_in_slabs_and_out_of_them(in_slabs_first: bool) -> None:
    problem = problem_of("no shifts", False, True)
    options = {"epochs": 3}
    whole, expected = run_whole("sirt", problem, options)
    method = get_registry().get("method", "sirt")()
    runs = [method.start(problem, method.Options(**options)), start_in_slabs("sirt", problem, options, 4)]
    first, then = runs[::-1] if in_slabs_first else runs
    first.advance()
    then.restore(1, {name: array.copy() for name, array in first.arrays().items()})
    assert [then.advance() for _ in range(2)] == expected[1:]
    assert then.volume().tobytes() == whole.volume().tobytes()


@pytest.mark.parametrize("name", ["density", "offsets"])
def test_a_state_that_is_not_finite_is_refused_in_slabs_as_in_one_piece(name: str) -> None:
    problem = problem_of("no shifts", False, True)
    method = get_registry().get("method", "sirt")()
    for run in (method.start(problem, method.Options()), start_in_slabs("sirt", problem, {}, 4)):
        arrays = {key: array.copy() for key, array in run.arrays().items()}
        arrays[name][(-1,) * arrays[name].ndim] = np.nan
        with pytest.raises(InputError, match=f"{name}: has values that are not finite"):
            run.restore(1, arrays)
        assert run.epoch == 0


@pytest.mark.parametrize("count", [1, 2, 3, 10])
def test_bounds_cover_the_rows_once(count: int) -> None:
    bounds = slab_bounds((4, 14), count)
    assert [row for first, stop in bounds for row in range(first, stop)] == list(range(4, 14))
    sizes = [stop - first for first, stop in bounds]
    assert max(sizes) - min(sizes) <= 1
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("name", OPTIONS)
def test_slabs_need_less_memory(name: str) -> None:
    method = get_registry().get("method", name)()
    shape = ProblemShape(61, 2048, 2048, 1000)
    options = method.Options()
    whole = method.estimate_bytes(shape, options)
    estimates = [method.estimate_bytes_in_slabs(shape, options, 2048, 2048 // count) for count in (2, 8, 64)]
    assert whole > estimates[0] > estimates[1] > estimates[2] > shape.stack_bytes


@pytest.mark.parametrize("rows", [(0, 240), (30, 150)])
@pytest.mark.parametrize("shifted", SHIFTS_PX)
@pytest.mark.parametrize("masked", [False, True], ids=["no mask", "mask"])
@pytest.mark.parametrize("name", OPTIONS)
def test_the_estimates_hold(name: str, masked: bool, shifted: str, rows: tuple[int, int]) -> None:
    problem = replace(problem_of(shifted, masked, True, n_y=240), thickness_px=120)
    method = get_registry().get("method", name)()
    options = method.Options()
    bounds = slab_bounds(rows, 4)
    run_whole(name, problem_of(shifted, masked, True), {})  # imports and compiles
    tracemalloc.start()
    run = method.start_in_slabs(problem, options, Slabs(bounds, Forgetful))
    run.advance()
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    estimate = method.estimate_bytes_in_slabs(
        ProblemShape.of(problem), options, rows[1] - rows[0], bounds[0][1] - rows[0]
    )
    assert 0.4 * estimate < taken < estimate + 100_000  # and Python's own objects


class Forgetful:
    """A store that keeps nothing, so that only the run's own memory is measured."""

    def __init__(self, n_x: int, n_z: int, bounds: Any) -> None:
        self.shape, self.bounds = (n_x, n_z), bounds

    def read(self, slab: int) -> np.ndarray:
        first, stop = self.bounds[slab]
        return np.zeros((*self.shape, stop - first), np.float32)

    def write(self, slab: int, density: np.ndarray) -> None:
        pass
