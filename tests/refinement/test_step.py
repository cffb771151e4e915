"""A view is moved by exact derivatives of its prediction, rotation and magnification included."""

from __future__ import annotations

import numpy as np

from tomokit.geometry import TiltGeometry
from tomokit.projector.slopes import project_with_slopes
from tomokit.refinement.step import PARAMETERS, plane_slopes, view_step, without_background

SIDE = 40
U, V = np.meshgrid(np.arange(SIDE) - (SIDE - 1) / 2, np.arange(SIDE) - (SIDE - 1) / 2, indexing="ij")


def bumps(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    spots = [(-8.0, 3.0, 1.0), (6.0, -9.0, 0.7), (3.0, 8.0, 1.3), (-4.0, -6.0, 0.9)]
    return sum(a * np.exp(-((u - x) ** 2 + (v - y) ** 2) / 12) for x, y, a in spots)


def by_shift(axis: int) -> np.ndarray:
    step = 1e-5
    du, dv = (step, 0.0) if axis == 0 else (0.0, step)
    return (bumps(U - du, V - dv) - bumps(U + du, V + dv)) / (2 * step)


def test_rotation_and_magnification_are_those_of_finite_differences() -> None:
    rotation, magnification = plane_slopes(by_shift(0), by_shift(1))
    step = 1e-5
    # The view is M q: what is at q in the prediction lies at M q in it.
    turned = [bumps(U * np.cos(a) + V * np.sin(a), V * np.cos(a) - U * np.sin(a)) for a in (step, -step)]
    scaled = [bumps(U / (1 + m), V / (1 + m)) for m in (step, -step)]
    for found, (more, less) in ((rotation, turned), (magnification, scaled)):
        np.testing.assert_allclose(found, (more - less) / (2 * step), atol=1e-6)


def test_a_step_finds_what_a_view_was_moved_by_whatever_its_gain_and_offset() -> None:
    rotation, magnification = plane_slopes(by_shift(0), by_shift(1))
    slopes = {"u": by_shift(0), "v": by_shift(1), "rotation": rotation, "magnification": magnification}
    turn, scale, du, dv = 2e-3, 1.001, 0.02, -0.03
    u, v = U / scale, V / scale
    data = 3 * bumps(u * np.cos(turn) + v * np.sin(turn) - du, v * np.cos(turn) - u * np.sin(turn) - dv) - 5
    weight = np.ones(U.shape)
    weight[:, :4] = 0
    data[:, :4] = 1e3
    change = view_step(data, weight, bumps(U, V), slopes, np.zeros(5), np.full(5, 1e3))
    found = dict(zip(PARAMETERS, change, strict=True))
    assert found["tilt"] == 0
    for name, true in (("u", du), ("v", dv), ("rotation", turn), ("magnification", scale - 1)):
        assert abs(found[name] - true) < 2e-4


def test_a_step_finds_a_tilt() -> None:
    volume = np.zeros((30, 16, 12))
    volume[[6, 20, 14], [3, 12, 8], [4, 8, 6]] = 1.0
    volume = volume + np.roll(volume, 1, 0) + np.roll(volume, 1, 1)
    given, true = (TiltGeometry(np.array([tilt]), n_u=30, n_v=12) for tilt in (20.0, 20.05))
    slopes = project_with_slopes(volume, given)
    data = project_with_slopes(volume, true).views[0]
    change = view_step(data, None, slopes.views[0], {"tilt": slopes.by_tilt[0]}, np.zeros(5), np.full(5, 10.0))
    assert abs(np.rad2deg(change[2]) - 0.05) < 0.002


def test_a_prediction_unlike_the_view_moves_nothing() -> None:
    slopes = {"u": by_shift(0)}
    for predicted in (np.zeros(U.shape), -bumps(U, V)):
        assert not view_step(bumps(U, V), None, predicted, slopes, np.zeros(5), np.ones(5)).any()


def test_background_goes_and_what_is_masked_has_no_say() -> None:
    ramp = 4.0 + 0 * U
    assert np.abs(without_background(ramp, None, 5.0)).max() < 1e-9
    weight = np.ones(U.shape)
    weight[10:20, 10:20] = 0
    spoilt = np.where(weight > 0, bumps(U, V), 1e6)
    np.testing.assert_allclose(
        without_background(spoilt, weight, 3.0), without_background(bumps(U, V) * weight, weight, 3.0), atol=1e-9
    )
