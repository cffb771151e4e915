"""Weighted back-projection: its filters, its scale, and views with holes."""

import numpy as np
import pytest

from tomokit.data.problem import Problem
from tomokit.geometry import TiltGeometry
from tomokit.methods.voxels import ramp
from tomokit.phantom import Ellipsoids, project_analytic, voxelize

SIZE, RADIUS, DENSITY = 64, 18.0, 0.8


def ball(tilt: np.ndarray) -> tuple[Problem, np.ndarray]:
    """A ball off the axis and its voxels."""
    body = Ellipsoids(np.array([[5.0, 0.0, -4.0]]), np.full((1, 3), RADIUS), np.eye(3)[None], np.array([DENSITY]))
    geometry = TiltGeometry(tilt, SIZE, 40)
    stack = project_analytic(body, geometry).transpose(0, 2, 1) * np.float32(geometry.kappa)
    truth = voxelize(body, (SIZE, 40, SIZE)).transpose(2, 0, 1)
    return Problem(np.ascontiguousarray(stack), None, geometry, SIZE), truth


@pytest.mark.parametrize("kind", ["ramp", "hann"])
def test_density_of_a_ball_seen_all_round(kind, start):
    problem, truth = ball(np.arange(-90.0, 90.0, 2.0))
    run = start("wbp", problem, filter=kind)
    run.advance()
    volume = run.volume()
    x, y, z = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in (SIZE, 40, SIZE)), indexing="ij", sparse=True)
    distance = np.sqrt((x - 5) ** 2 + y**2 + (z + 4) ** 2).transpose(0, 2, 1)
    inside, outside = volume[distance < RADIUS - 4], volume[(distance > RADIUS + 4) & (distance < 25)]
    assert inside.mean() == pytest.approx(DENSITY, rel=0.01)
    assert abs(outside.mean()) < 0.015 * DENSITY
    assert np.linalg.norm(volume - truth) < 0.25 * np.linalg.norm(truth)
    # The prediction reproduces the data, scale included: it is the inverse, not only in shape.
    assert np.linalg.norm(run.predict(problem.geometry) - problem.projections) < 0.06 * np.linalg.norm(
        problem.projections
    )


def test_order_of_the_views_does_not_matter_and_gaps_weigh(start):
    tilt = np.r_[np.arange(-90.0, 0.0, 2.0), np.arange(0.0, 90.0, 4.0)]
    order = np.random.default_rng(0).permutation(tilt.size)
    volumes = []
    for given in (tilt, tilt[order]):
        problem, truth = ball(given)
        run = start("wbp", problem)
        run.advance()
        volumes.append(run.volume())
    np.testing.assert_allclose(volumes[1], volumes[0], atol=1e-5)
    assert volumes[0][truth > 0.99 * DENSITY].mean() == pytest.approx(DENSITY, rel=0.02)


def test_hann_quietens_noise_and_a_cutoff_more(start):
    problem, _ = ball(np.arange(-60.0, 61.0, 3.0))
    noise = np.random.default_rng(0).normal(0, 1, problem.projections.shape).astype(np.float32)
    spread = {}
    for kind, cutoff in (("ramp", 1.0), ("ramp", 0.5), ("hann", 1.0), ("hann", 0.5)):
        run = start("wbp", Problem(noise, None, problem.geometry, SIZE), filter=kind, cutoff=cutoff)
        run.advance()
        spread[kind, cutoff] = run.volume().std()
    assert spread["ramp", 1.0] > 1.5 * spread["hann", 1.0] > 2 * spread["hann", 0.5]
    assert spread["ramp", 1.0] > 1.5 * spread["ramp", 0.5] > 1.5 * spread["hann", 0.5]


def test_sirt_like_filter_looks_like_sirt(specimen, start, finish):
    sirt = start("sirt", specimen.problem, epochs=3, nonnegative=False)
    finish(sirt)
    target, distance = sirt.volume(), {}
    for kind in ("ramp", "hann", "sirt"):
        run = start("wbp", specimen.problem, filter=kind, iterations=3)
        run.advance()
        distance[kind] = np.linalg.norm(run.volume() - target) / np.linalg.norm(target)
    assert distance["sirt"] < 0.4
    assert distance["sirt"] < 0.7 * min(distance["ramp"], distance["hann"])


def test_windows_are_what_they_are_called():
    n, f = 128, np.fft.rfftfreq(128)
    full = ramp.window("ramp", n, 0.5, 1, 10.0, 2.0)
    np.testing.assert_array_equal(full, f <= 0.25)
    hann = ramp.window("hann", n, 1.0, 1, 10.0, 2.0)
    np.testing.assert_allclose(hann, np.cos(np.pi * f) ** 2, atol=1e-12)
    assert ramp.window("hann", n, 0.5, 1, 10.0, 2.0)[f >= 0.25].max() < 1e-12
    few, many, most = (ramp.window("sirt", n, 1.0, k, 10.0, 2.0) for k in (1, 10, 10_000))
    assert few[0] == many[0] == 1
    assert (few[f > 0.06] < many[f > 0.06]).all()
    np.testing.assert_allclose(few[f > 0.05], 1 / (2.0 * 10.0 * f[f > 0.05]))
    np.testing.assert_allclose(most, 1, atol=1e-9)


@pytest.mark.parametrize("n", [64, 90, 101])
def test_ramp_is_the_modulus_of_the_frequency(n):
    f = np.fft.rfftfreq(n)
    response = ramp.ramp(n)
    np.testing.assert_allclose(response, f, atol=0.35 / n)
    # The kernel cut to n samples leaves a little at frequency zero, as it must for the mean to come out right.
    assert 0 < response[0] < 0.35 / n


def test_views_stand_for_the_angle_around_them():
    weights = ramp.angular_weights(np.deg2rad([0.0, 10.0, -10.0, 40.0]))
    np.testing.assert_allclose(np.rad2deg(weights), [10.0, 20.0, 10.0, 30.0])
    np.testing.assert_allclose(ramp.angular_weights(np.deg2rad(np.arange(-90.0, 90.0, 5.0))).sum(), np.pi)
    assert ramp.angular_weights(np.array([0.3])).tolist() == [np.pi]


def test_holes_are_filled_from_around_them():
    rng = np.random.default_rng(0)
    slope = (np.arange(40.0)[:, None] + 2 * np.arange(30.0)).astype(np.float32)
    mask = np.ones((40, 30), np.float32)
    mask[15:22, 10:16] = 0
    filled = ramp.fill_masked(np.where(mask > 0, slope, rng.normal(0, 1e4, slope.shape).astype(np.float32)), mask)
    np.testing.assert_array_equal(filled[mask > 0], slope[mask > 0])
    np.testing.assert_allclose(filled, slope, atol=8)
    np.testing.assert_allclose(ramp.fill_masked(np.full((40, 30), 3, np.float32), mask), 3, rtol=1e-6)
    np.testing.assert_array_equal(ramp.fill_masked(slope, np.ones_like(mask)), slope)
    assert not ramp.fill_masked(slope, np.zeros_like(mask)).any()


@pytest.mark.parametrize("known", [1, 2, 5])
def test_a_view_of_which_next_to_nothing_is_known_is_filled_too(known):
    mask = np.zeros((50, 40), np.float32)
    mask.ravel()[np.random.default_rng(0).choice(2000, known, replace=False)] = 1
    image = np.random.default_rng(1).random((50, 40)).astype(np.float32)
    filled = ramp.fill_masked(image, mask)
    used = image[mask > 0]
    np.testing.assert_array_equal(filled[mask > 0], used)
    assert filled.min() >= used.min() - 1e-6
    assert filled.max() <= used.max() + 1e-6


def test_beads_leave_no_streaks(specimen, start):
    # Bright discs under the mask: with it, the volume is close to that of a series that never had them.
    problem = specimen.problem
    mask = np.ones_like(problem.projections)
    mask[:, 10:14, 30:34] = 0
    spoilt = np.where(mask > 0, problem.projections, np.float32(5))
    volumes = []
    for projections, given in ((problem.projections, None), (spoilt, mask), (spoilt, None)):
        run = start("wbp", specimen.varied(projections=projections, mask=given))
        run.advance()
        volumes.append(run.volume())
    never, masked, streaked = volumes
    assert np.linalg.norm(masked - never) < 0.2 * np.linalg.norm(never)
    assert np.linalg.norm(streaked - never) > np.linalg.norm(never)
