"""The dense pair on the CPU against the float64 reference, and the identities that both obey."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tomokit.errors import InputError, OptionError
from tomokit.geometry import TiltGeometry
from tomokit.projector import DenseProjector

ALL_ROUND = (-75.0, -45.0, 0.0, 1e-6, 33.0, 60.0, 85.0, 90.0, 120.0, 180.0)


@dataclass(frozen=True)
class Case:
    """A geometry and the volume that it sees."""

    name: str
    volume: tuple[int, int, int]
    detector: tuple[int, int]
    tilt: tuple[float, ...] = ALL_ROUND
    shift_u: float = 0.0
    shift_v: float = 0.0

    def projector(self, backend: str = "cpu") -> DenseProjector:
        """With shifts that differ from view to view, where there are any."""
        spread = np.linspace(-1, 1, len(self.tilt)) if len(self.tilt) > 1 else np.ones(1)
        geometry = TiltGeometry(
            np.array(self.tilt), *self.detector, self.shift_u * spread, self.shift_v * spread[::-1] ** 3
        )
        n_x, n_z, n_y = self.volume
        return DenseProjector(geometry, n_z, n_x, n_y, backend)


CASES = [
    Case("odd", (17, 5, 7), (17, 7)),
    Case("even, several tiles", (52, 20, 34), (52, 34)),
    Case("smaller than a tile", (5, 3, 9), (5, 9)),
    Case("odd in even", (19, 6, 11), (24, 11)),
    Case("margin", (41, 10, 6), (24, 6)),
    Case("narrower than the detector", (9, 12, 6), (30, 6)),
    Case("thicker than wide", (7, 40, 5), (11, 5)),
    Case("longer than the detector", (12, 6, 20), (12, 13)),
    Case("shorter than the detector", (12, 6, 8), (12, 15)),
    Case("shifted across", (20, 9, 8), (20, 8), shift_u=3.3),
    Case("shifted along", (20, 9, 8), (20, 8), shift_v=2.6),
    Case("shifted both ways, margin", (33, 9, 10), (20, 8), shift_u=-40.25, shift_v=1.5),
    Case("one voxel", (1, 1, 1), (1, 1)),
    Case("one voxel on a wide detector", (1, 1, 1), (6, 3), shift_u=0.4, shift_v=0.3),
    Case("one view", (21, 8, 70), (21, 70), (37.0,)),
    Case("more views than a group", (18, 7, 5), (18, 5), tuple(np.linspace(-70, 70, 19))),
]
by_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def relative(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-30))


def pair(projector: DenseProjector, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A volume and a stack of noise with a mean, so that sums do not cancel."""
    rng = np.random.default_rng(seed)
    return (
        (rng.normal(size=projector.volume_shape) + 0.5).astype(np.float32),
        (rng.normal(size=projector.stack_shape) + 0.5).astype(np.float32),
    )


@by_case
def test_cpu_equals_the_float64_reference(case):
    fast, exact = case.projector(), case.projector("reference")
    volume, stack = pair(fast)
    forward, adjoint = fast(volume), fast.T(stack)
    assert forward.dtype == adjoint.dtype == np.float32
    assert forward.shape == fast.stack_shape
    assert adjoint.shape == fast.volume_shape
    # View by view, so that an error at one angle does not drown in the rest.
    expected = exact(volume)
    scale = np.linalg.norm(expected) / np.sqrt(len(expected))
    assert max(np.linalg.norm(a - b) for a, b in zip(forward, expected, strict=True)) < 1e-6 * scale
    assert relative(adjoint, exact.T(stack)) < 1e-6


@by_case
@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_adjoint_identity(case, backend):
    projector = case.projector(backend)
    volume, stack = pair(projector, 1)
    forward = np.vdot(projector(volume).astype(np.float64), stack.astype(np.float64))
    adjoint = np.vdot(volume.astype(np.float64), projector.T(stack).astype(np.float64))
    size = np.linalg.norm(projector(volume).astype(np.float64)) * np.linalg.norm(stack.astype(np.float64))
    assert size > 0
    assert abs(forward - adjoint) < (1e-5 if backend == "cpu" else 1e-12) * size


@by_case
def test_linear(case):
    projector = case.projector()
    (a, p), (b, q) = pair(projector, 2), pair(projector, 3)
    two, three = np.float32(2), np.float32(-3)
    assert relative(projector(two * a + three * b), two * projector(a) + three * projector(b)) < 1e-6
    assert relative(projector.T(two * p + three * q), two * projector.T(p) + three * projector.T(q)) < 1e-6
    assert not projector(np.zeros_like(a)).any()
    assert not projector.T(np.zeros_like(p)).any()


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_mass_of_every_view_is_that_of_the_volume(backend):
    n_x, n_z, n_y = 21, 14, 9
    spread = np.linspace(-2.7, 2.3, len(ALL_ROUND))
    geometry = TiltGeometry(np.array(ALL_ROUND), 34, 17, spread, spread[::-1])
    projector = DenseProjector(geometry, n_z, n_x, n_y, backend)
    volume = np.random.default_rng(0).random(projector.volume_shape, np.float32)
    masses = projector(volume).sum(axis=(1, 2), dtype=np.float64)
    np.testing.assert_allclose(masses, volume.sum(dtype=np.float64), rtol=1e-5 if backend == "cpu" else 1e-12)


def test_views_are_rows_of_the_whole():
    # A view may fall elsewhere in a group of views, but its rows are summed in the same order: the same bits.
    projector = CASES[11].projector()
    volume, stack = pair(projector)
    whole = projector(volume)
    for index in ([3], [8, 0, 5], np.arange(10) % 3 == 1):
        part = projector.views(index)
        assert part.volume_shape == projector.volume_shape
        np.testing.assert_array_equal(part(volume), whole[index])
    total = sum(projector.views([t]).T(stack[[t]]).astype(np.float64) for t in range(len(stack)))
    assert relative(projector.T(stack), total) < 1e-6


def test_view_at_zero_is_the_sum_along_z_exactly():
    projector = DenseProjector(TiltGeometry([0.0, 180.0], 8, 5), 3)
    volume = np.random.default_rng(0).integers(0, 9, projector.volume_shape).astype(np.float32)
    views = projector(volume)
    np.testing.assert_array_equal(views[0], volume.sum(axis=1))
    np.testing.assert_allclose(views[1], volume.sum(axis=1)[::-1], atol=1e-5)


def test_view_at_ninety_is_the_sum_along_x_with_z_reversed():
    projector = DenseProjector(TiltGeometry([90.0, -90.0], 6, 4), 6, 9)
    volume = np.random.default_rng(0).random(projector.volume_shape, np.float32)
    views = projector(volume)
    np.testing.assert_allclose(views[0], volume.sum(axis=0)[::-1], atol=1e-5)
    np.testing.assert_allclose(views[1], volume.sum(axis=0), atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(
    volume=st.tuples(st.integers(1, 40), st.integers(1, 20), st.integers(1, 9)),
    detector=st.tuples(st.integers(1, 45), st.integers(1, 9)),
    tilt=st.lists(st.floats(-180, 180), min_size=1, max_size=10),
    shift_u=st.floats(-20, 20),
    shift_v=st.floats(-4, 4),
)
def test_any_geometry_agrees_with_the_reference(volume, detector, tilt, shift_u, shift_v):
    case = Case("", volume, detector, tuple(tilt), shift_u, shift_v)
    fast, exact = case.projector(), case.projector("reference")
    values, stack = pair(fast, 4)
    # Against the largest that a row could be: a detector that sees only corners of voxels has next to no signal.
    np.testing.assert_allclose(fast(values), exact(values), atol=2e-6 * np.abs(values).sum(axis=(0, 1)).max())
    np.testing.assert_allclose(fast.T(stack), exact.T(stack), atol=2e-6 * np.abs(stack).sum(axis=(0, 1)).max())


@pytest.mark.parametrize(
    "case",
    [
        Case("odd", (7, 5, 3), (7, 3)),
        Case("margin, few views", (9, 4, 2), (5, 2), (-60.0, 0.0, 10.0)),
        Case("shifted along", (6, 3, 5), (6, 5), shift_v=1.6),
    ],
    ids=lambda case: case.name,
)
@pytest.mark.parametrize("weighted", [False, True])
def test_norm_bounds_the_largest_singular_value_closely(case, weighted):
    projector = case.projector("reference")
    n = int(np.prod(projector.volume_shape))
    columns = [projector(row.reshape(projector.volume_shape)).ravel() for row in np.eye(n)]
    weight = np.random.default_rng(0).random(projector.stack_shape) if weighted else np.ones(projector.stack_shape)
    matrix = np.sqrt(weight.ravel())[:, None] * np.stack(columns, axis=1)
    largest = np.linalg.norm(matrix, 2) ** 2
    for backend in ("cpu", "reference"):
        bound = case.projector(backend).norm((lambda rays: (weight * rays).astype(rays.dtype)) if weighted else None)
        assert bound >= largest * (1 - 1e-6)
        assert bound < 2 * largest


def test_lists_in_float64_and_out_of_order_are_taken():
    projector = DenseProjector(TiltGeometry([10.0, -20.0], 8, 6), 4)
    volume, _ = pair(projector)
    np.testing.assert_array_equal(projector(np.asfortranarray(volume.astype(np.float64))), projector(volume))


def test_wrong_shapes_are_refused():
    projector = DenseProjector(TiltGeometry([0.0], 8, 6), 4)
    with pytest.raises(InputError, match=r"volume of shape \(6, 4, 8\)"):
        projector(np.zeros((6, 4, 8), np.float32))
    with pytest.raises(InputError, match=r"stack of shape \(2, 8, 6\)"):
        projector.T(np.zeros((2, 8, 6), np.float32))
    with pytest.raises(InputError, match="voxels"):
        DenseProjector(TiltGeometry([0.0], 8, 6), 0)
    with pytest.raises(OptionError, match="backend"):
        DenseProjector(TiltGeometry([0.0], 8, 6), 4, backend="gpu")
