"""Rays against the convention, interpolation against linear fields, the flow against its definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tomokit_neural.adam import Adam
from tomokit_neural.grids import Lookup, Seams, interpolate
from tomokit_neural.networks import EncodedField, ResidualFlow, encode
from tomokit_neural.rays import Box, make_rays
from tomokit_neural.run import integral, stratified

from tomokit.geometry import TiltGeometry
from tomokit.testing.trees import two_level_forest, vertices_px, without_leaf


def some_rays():
    shifts = np.array([0.5, -1.0, 2.0]), np.array([0.3, 0.0, -0.2])
    geometry = TiltGeometry(np.array([-60.0, 0.0, 35.0]), 24, 12, *shifts)
    rng = np.random.default_rng(0)
    view, u, v = rng.integers(0, 3, 200), rng.integers(0, 24, 200), rng.integers(0, 12, 200)
    return geometry, make_rays(geometry, Box(10.0, 4.0, 6.0), view, u, v), view, u, v


def test_points_of_a_ray_appear_in_its_pixel() -> None:
    geometry, rays, view, u, v = some_rays()
    along = rays.near + 0.3 * rays.length
    x, z = rays.offset * rays.cos + along * rays.sin, along * rays.cos - rays.offset * rays.sin
    at_u, at_v = geometry.locate(np.stack([x, rays.y, z], axis=1))
    np.testing.assert_allclose(at_u[view, np.arange(200)] + 11.5, u, atol=1e-4)
    np.testing.assert_allclose(at_v[view, np.arange(200)] + 5.5, v, atol=1e-4)


def test_rays_are_cut_to_the_box() -> None:
    _, rays, *_ = some_rays()
    hit = rays.length > 0
    assert 50 < hit.sum() < 200
    for along in (rays.near, rays.far):
        x, z = rays.offset * rays.cos + along * rays.sin, along * rays.cos - rays.offset * rays.sin
        on = np.maximum(np.abs(x) / 10, np.abs(z) / 4)[hit]
        np.testing.assert_allclose(on, 1, atol=1e-5)


def test_a_constant_is_integrated_exactly_and_a_slope_nearly() -> None:
    _, rays, *_ = some_rays()
    along = stratified(rays, 200, np.random.default_rng(1))
    assert (torch.diff(along, dim=1) >= 0).all()
    length = torch.from_numpy(rays.length)
    torch.testing.assert_close(integral(torch.full_like(along, 2.0), along, rays), 2 * length, rtol=1e-5, atol=1e-4)
    expected = 0.5 * torch.from_numpy(rays.far**2 - rays.near**2)
    torch.testing.assert_close(integral(along, along, rays), expected, rtol=1e-2, atol=0.05)


def test_a_linear_field_is_interpolated_exactly_across_level_jumps() -> None:
    forest = without_leaf(two_level_forest(), 1)
    slope = np.array([0.3, -0.7, 0.45])
    features = torch.from_numpy((vertices_px(forest) @ slope).reshape(-1, 1).astype(np.float32))
    rng = np.random.default_rng(2)
    points = rng.uniform([-12, -6, -14], [10, 6, 16], (500, 3)).astype(np.float32)
    leaf, vertex, weight = Lookup.of(forest).vertices(torch.from_numpy(points))
    found = interpolate(features, vertex, weight)[:, 0].numpy()
    low, high = forest.corner_px, forest.corner_px + forest.size_px[:, None]
    held = ((points[:, None] >= low) & (points[:, None] < high)).all(axis=2)
    np.testing.assert_array_equal(leaf.numpy() >= 0, held.any(axis=1))
    np.testing.assert_array_equal(leaf.numpy()[held.any(axis=1)], held.argmax(axis=1)[held.any(axis=1)])
    np.testing.assert_allclose(found, np.where(held.any(axis=1), points @ slope, 0), atol=1e-4)


def test_seams_are_those_of_the_boundary_penalty() -> None:
    from tomokit.regularizers.boundary import Boundary, BoundaryOptions
    from tomokit.testing.trees import random_field

    forest = two_level_forest()
    field = random_field(forest, 3)
    expected = Boundary(BoundaryOptions()).value_and_gradient(field, np.zeros_like(field.values), 1.0)
    features = torch.from_numpy(field.values.reshape(-1, 1).astype(np.float32))
    assert float(Seams.of(forest).distance(features)) == pytest.approx(expected, rel=1e-5)


def test_adam_is_pytorchs() -> None:
    torch.manual_seed(1)
    mine = torch.randn(50).requires_grad_()
    theirs = mine.detach().clone().requires_grad_()
    adam, reference = Adam({"x": mine}, {"x": 0.03}), torch.optim.Adam([theirs], lr=0.03)
    for _ in range(20):
        for tensor in (mine, theirs):
            (tensor.sin() + tensor**2).sum().backward()
        adam.step()
        reference.step()
        reference.zero_grad()
    torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)


def test_the_encoding_has_an_octave_after_the_other() -> None:
    points = torch.tensor([[0.25, -0.5, 1.0]])
    found = encode(points, 3)
    assert found.shape == (1, 21)
    torch.testing.assert_close(found[0, 3:6], (torch.pi * points[0]).sin())
    torch.testing.assert_close(found[0, 9:12], (4 * torch.pi * points[0]).sin())
    assert EncodedField(10, 8, 5, 4)(points).shape == (1,)


def test_the_flow_is_a_density_whatever_its_parameters() -> None:
    torch.manual_seed(3)
    flow = ResidualFlow(4, 8, 0.2).double()
    with torch.no_grad():
        for tensor in flow.parameters():
            tensor.add_(0.5 * torch.randn_like(tensor))
        residual = torch.linspace(-60, 60, 400_001, dtype=torch.float64)
        for intensity in (0.4, 0.9):
            likelihood = (-flow(residual, torch.full_like(residual, intensity))).exp()
            assert float(likelihood.sum() * (residual[1] - residual[0])) == pytest.approx(1, abs=2e-3)


def test_at_the_start_the_flow_is_a_normal_distribution() -> None:
    flow = ResidualFlow(3, 8, 0.2)
    residual = torch.linspace(-0.5, 0.5, 11)
    expected = -torch.distributions.Normal(0.0, 0.2).log_prob(residual)
    torch.testing.assert_close(flow(residual, torch.ones(11)), expected, rtol=1e-4, atol=1e-4)
