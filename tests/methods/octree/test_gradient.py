"""The fused step against central differences of the whole loss, written in float64 from the references."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pytest
from scipy.sparse import csr_array, vstack

from tomokit.data.ctf import Optics
from tomokit.data.phase_flipping import ViewOptics
from tomokit.data.problem import Problem
from tomokit.data.transfer_model import TransferModel
from tomokit.geometry import TiltGeometry
from tomokit.methods.octree.epoch_plan import EpochPlan
from tomokit.methods.octree.host_engine import HostEngine
from tomokit.methods.octree.leaf_field import LeafField
from tomokit.methods.octree.penalties import WeightedRegularizer
from tomokit.methods.octree.pyramid_level import PyramidLevel
from tomokit.methods.pausing import EpochProgress
from tomokit.octree import Forest
from tomokit.octree.faces import Faces, shared_faces
from tomokit.optimizers.rules import Sgd, SgdOptions
from tomokit.projector import reference_leaves
from tomokit.regularizers import reference
from tomokit.regularizers.boundary import Boundary, BoundaryOptions
from tomokit.regularizers.cross_node import CrossNode, CrossNodeOptions
from tomokit.regularizers.tv import TotalVariation, TotalVariationOptions

N = 5
B = np.log(2.0) ** 2
WEIGHTS = {"data": 1.0, "tv": 0.05, "boundary": 0.04, "cnlc": 0.01}


def forest() -> Forest:
    """Anisotropic, two levels: two roots along x, one along z, three along y; one split."""
    index = np.array([[x, 0, y] for x in range(2) for y in range(3)])
    children = index[4] * 2 + np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
    roots = np.delete(index, 4, axis=0)
    level = np.r_[np.zeros(len(roots)), np.ones(8)]
    return Forest((-8.0, -4.0, -12.0), 8.0, (2, 1, 3), N, level, np.r_[roots, children])


@dataclass
class Setting:
    """A small masked problem and a random field."""

    problem: Problem
    forest: Forest
    values: np.ndarray
    partner: np.ndarray

    @cached_property
    def matrix(self) -> csr_array:
        """All views of the reference projector."""
        geometry = self.problem.geometry
        views = [reference_leaves.view_matrix(self.forest, geometry, t) for t in range(geometry.n_views)]
        return csr_array(vstack(views))

    @cached_property
    def faces(self) -> Faces:
        """Shared faces of the forest."""
        return shared_faces(self.forest)

    def loss(self, values: np.ndarray, terms: tuple[str, ...]) -> float:
        """The loss in float64, from its definition."""
        rho = (values + np.sqrt(values**2 + B)) / 2
        total = 0.0
        if "data" in terms:
            kappa, mask = self.problem.geometry.kappa, self.problem.mask
            assert mask is not None
            predicted = kappa * (self.matrix @ rho.ravel()).reshape(mask.shape)
            if self.problem.transfer is not None:
                self.problem.transfer.apply(predicted, range(len(mask)))
            residual = predicted - self.problem.projections
            mean = (mask * residual).sum(axis=(1, 2)) / mask.sum(axis=(1, 2))
            residual -= mean[:, None, None]
            total += WEIGHTS["data"] * (mask * residual**2).sum() / mask.sum()
        if "tv" in terms:
            share = np.full(self.forest.n_leaves, 1 / self.forest.n_leaves)
            total += WEIGHTS["tv"] * reference.total_variation(rho, share, "anisotropic", 1.0)[0]
        if "boundary" in terms:
            total += WEIGHTS["boundary"] * reference.boundary(rho, self.faces)[0]
        if "cnlc" in terms:
            leaves = np.arange(self.forest.n_leaves)
            total += WEIGHTS["cnlc"] * reference.cross_node(values, leaves, self.partner, "dot", 1.0)[0]
        return float(total)


@pytest.fixture(scope="module")
def setting() -> Setting:
    rng = np.random.default_rng(3)
    tree = forest()
    geometry = TiltGeometry(np.array([-55.0, -10.0, 35.0]), 19, 21, rng.normal(size=3), rng.normal(size=3))
    shape = (3, 19, 21)
    mask = (rng.random(shape) > 0.2).astype(np.float32)
    problem = Problem(rng.random(shape).astype(np.float32), mask, geometry, 8, fit_offsets=True)
    values = rng.normal(0, 0.7, tree.values_shape)
    return Setting(problem, tree, values, np.random.default_rng(11).permutation(tree.n_leaves))


@pytest.fixture(scope="module")
def modelled(setting: Setting) -> Setting:
    """The same through contrast transfer."""
    views = tuple(ViewOptics(Optics(300.0), (0.8, 0.7, 0.0), slope=slope) for slope in (-1.4, -0.2, 0.7))
    problem = replace(setting.problem, transfer=TransferModel(views, 4.0, (0.0, 2.0, -1.0)))
    return replace(setting, problem=problem)


def test_the_gradient_goes_through_contrast_transfer_and_back(modelled: Setting) -> None:
    found = fused_gradient(modelled, ("data",))
    direction = np.random.default_rng(5).normal(size=found.shape)
    up, down = (modelled.loss(modelled.values + step * direction, ("data",)) for step in (1e-5, -1e-5))
    slope = float(np.vdot(found, direction))
    assert slope == pytest.approx((up - down) / 2e-5, rel=2e-3)
    # Along itself too, where it is largest.
    up, down = (modelled.loss(modelled.values + step * found, ("data",)) for step in (1e-3, -1e-3))
    assert float(np.vdot(found, found)) == pytest.approx((up - down) / 2e-3, rel=1e-3)


def fused_gradient(setting: Setting, terms: tuple[str, ...]) -> np.ndarray:
    """What one step of plain gradient descent takes away, over its learning rate."""
    rate = 1.0
    leaves = LeafField(setting.forest, np.ones(setting.forest.values_shape, np.float32), "squareplus", sgd(rate))
    leaves.values[...] = setting.values
    rho = (setting.values + np.sqrt(setting.values**2 + B)) / 2
    leaves.density[...] = rho
    regularizers = []
    if "tv" in terms:
        regularizers.append(weighted(TotalVariation, TotalVariationOptions(), "tv"))
    if "boundary" in terms:
        regularizers.append(weighted(Boundary, BoundaryOptions(), "boundary"))
    if "cnlc" in terms:
        regularizers.append(weighted(CrossNode, CrossNodeOptions(), "cnlc"))
    problem = setting.problem
    if "data" not in terms:
        assert problem.mask is not None
        problem = Problem(problem.projections, np.zeros_like(problem.mask), problem.geometry, problem.thickness_px)
    level = PyramidLevel(problem, 1, problem.geometry.kappa)
    inside = np.ones(setting.forest.n_leaves, bool)
    rng, views = np.random.default_rng(11), [np.arange(3)]
    engine = HostEngine(leaves)
    engine.begin(EpochPlan(level, regularizers, inside, views, 1, 0, 1.0, rng, EpochProgress()))
    before = leaves.values.astype(float)
    engine.step(0)
    return (before - leaves.values) / rate


def weighted(kind: type, options: object, name: str) -> WeightedRegularizer:
    """A regularizer of these options."""
    return WeightedRegularizer(kind(options), options, WEIGHTS[name])


def sgd(rate: float) -> Sgd:
    """Plain gradient descent."""
    return Sgd(SgdOptions(lr=rate, momentum=0.0))


@pytest.mark.parametrize(
    ("terms", "tolerance"),
    [
        (("data",), 1e-3),
        (("tv",), 1e-3),
        (("boundary",), 1e-3),
        (("cnlc",), 5e-3),
        (("data", "tv", "boundary", "cnlc"), 2e-3),
    ],
)
def test_gradient_is_the_derivative_of_the_loss(setting: Setting, terms: tuple[str, ...], tolerance: float) -> None:
    found = fused_gradient(setting, terms)
    flat = setting.values.ravel()
    rng = np.random.default_rng(0)
    # Every vertex of a coarse and of a fine leaf beside the jump, and a sample of the others.
    per_leaf = N**3
    chosen = np.unique(
        np.r_[
            np.arange(3 * per_leaf, 4 * per_leaf),
            np.arange(5 * per_leaf, 6 * per_leaf),
            rng.integers(0, flat.size, 100),
        ]
    )
    # Of the sum of all a part: each of them is held to it at every one of these. So of the attention between leaves,
    # whose gradient knows no neighbours and no faces, and whose loss takes longest.
    chosen = chosen[:: {("cnlc",): 3}.get(terms, 1 if len(terms) == 1 else 5)]
    expected = np.empty(chosen.size)
    step = 1e-6
    for i, at in enumerate(chosen):
        moved = flat.copy()
        moved[at] += step
        up = setting.loss(moved.reshape(setting.values.shape), terms)
        moved[at] -= 2 * step
        expected[i] = (up - setting.loss(moved.reshape(setting.values.shape), terms)) / (2 * step)
    got = found.ravel()[chosen]
    assert np.linalg.norm(got - expected) < tolerance * np.linalg.norm(expected)
    cosine = np.vdot(got, expected) / np.linalg.norm(got) / np.linalg.norm(expected)
    assert cosine > 1 - tolerance**2
    large = np.abs(expected) > 1e-2 * np.abs(expected).max()
    assert large.any()
    assert (np.sign(got[large]) == np.sign(expected[large])).all()
