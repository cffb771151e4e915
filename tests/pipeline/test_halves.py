"""Two halves of a tomogram: the same geometry and scales, and nothing else in common but the specimen."""

from __future__ import annotations

import numpy as np
import pytest

import tomokit
from tomokit.data import TiltSeries
from tomokit.data.contrast import contrast, tv_weight
from tomokit.data.margin import margin_px
from tomokit.data.problem import Problem, ProblemShape
from tomokit.errors import OptionError
from tomokit.geometry import TiltGeometry
from tomokit.methods.octree.weights import Scales

TILTS = np.arange(-60, 61, 6.0)


@pytest.fixture(scope="module")
def series() -> TiltSeries:
    """A phantom in noise."""
    return tomokit.simulate_series((16, 32, 32), TILTS, noise=0.1, seed=2)[0]


def test_a_part_of_a_problem_is_scaled_by_the_whole() -> None:
    rng = np.random.default_rng(0)
    projections = (
        rng.standard_normal((9, 24, 20)).astype(np.float32) * np.linspace(1, 3, 9, dtype=np.float32)[:, None, None]
    )
    whole = Problem(projections, None, TiltGeometry(np.arange(-40, 41, 10.0), 24, 20), 8, fit_offsets=True)
    part = whole.part(range(1, 9, 2))
    np.testing.assert_array_equal(part.projections, projections[1::2])
    assert part.geometry.tilt_deg.tolist() == [-30, -10, 10, 30]
    assert part.noise_level == whole.noise_level
    assert contrast(part) == contrast(whole)
    assert Scales.of(part) == Scales.of(whole)
    assert margin_px(ProblemShape.of(part), None) == margin_px(ProblemShape.of(whole), None) > 0
    # Against a sum over views: as much smoothing for as much data.
    assert tv_weight(part) == pytest.approx(tv_weight(whole) * 4 / 9)
    alone = Problem(part.projections, None, part.geometry, 8, fit_offsets=True)
    assert alone.noise_level != whole.noise_level


def test_the_tomogram_is_that_without_halves_and_each_half_has_every_other_view(series: TiltSeries) -> None:
    options = {"thickness": 16, "method": "sirt", "options": {"epochs": 3}, "hold_out": 5, "exclude": "1"}
    alone = tomokit.reconstruct(series, **options)
    both = tomokit.reconstruct(series, halves=True, **options)
    np.testing.assert_array_equal(both.volume.density, alone.volume.density)
    told = both.summary["halves"]
    even, odd = told["even"]["views"], told["odd"]["views"]
    fitted = both.summary["views"]["fitted"]
    assert (even, odd) == (fitted[::2], fitted[1::2])
    assert not {1, *both.summary["held_out"]["views"]} & {*even, *odd}
    # All held-out views score either half.
    assert len(told["even"]["held_out"]["ring_correlation"]) == len(both.summary["held_out"]["ring_correlation"])
    assert set(both.halves) == {"even", "odd", "agreement", "noise", "coverage", "trust"}
    assert {volume.density.shape for volume in both.halves.values()} == {(16, 32, 32)}
    assert alone.summary["halves"] is None
    assert alone.halves == {}
    for name in ("agreement", "coverage"):
        values = both.halves[name].density
        assert 0 <= values.min() < values.max() <= 1
    factors = [both.halves[name].density for name in ("agreement", "coverage")]
    np.testing.assert_array_equal(both.halves["trust"].density, factors[0] * factors[1])
    # 15 views of 6 degrees, of which the middle sees all.
    assert both.halves["coverage"].density[8, 16, 16] == pytest.approx(len(fitted) * 6 / 180, abs=0.05)


def correlation_of_noise(method: str, offsets: str, options: dict[str, object]) -> tuple[tomokit.Reconstruction, float]:
    """Halves of projections of noise alone, and how far their correlation is from none, in standard deviations."""
    noise = np.random.default_rng(5).standard_normal((TILTS.size, 32, 32)).astype(np.float32)
    blank = TiltSeries(noise, TiltGeometry(TILTS, 32, 32), 10.0)
    result = tomokit.reconstruct(
        blank, thickness=16, method=method, options=options, linearization="linear", offsets=offsets, halves=True
    )
    assert result.fsc is not None
    curves = result.fsc["curves"]
    voxels = np.array(curves["effective_voxels"])
    deviations = np.array(curves["fsc_masked"], float) * np.sqrt(voxels)
    # Over all shells but the lowest two, which have a few voxels each; the worst shell counts for less.
    together = abs(np.average(curves["fsc_masked"][2:], weights=voxels[2:])) * np.sqrt(voxels[2:].sum())
    return result, max(float(together), float(np.abs(deviations[2:]).max()))


@pytest.mark.parametrize(
    "method", ["wbp", "sirt", "octree", *(pytest.param(method, marks=pytest.mark.long) for method in ("tv", "sart-tv"))]
)
def test_noise_alone_does_not_correlate(method: str) -> None:
    """On one tree, with one margin and a common non-negativity: what they have in common is no agreement."""
    options: dict[str, dict[str, object]] = {
        # A tree that the noise of all views has chosen: some of its leaves are split.
        "octree": {"epochs": 10, "large_leaves": 0.0, "structure_epochs": (4,), "structure_stall": 0.0, "finer": 1,
                   "coarser": 0, "n": 9, "leaf_px": 16.0, "max_leaves": 25},
        "tv": {"epochs": 20}, "sart-tv": {"epochs": 8},
    }  # fmt: skip
    result, deviations = correlation_of_noise(method, "zero", options.get(method, {}))
    assert method != "octree" or 4 < result.history[-1]["terms"]["leaves"] < 32
    assert deviations < 4
    assert result.summary["halves"]["maps"]["agreement"]["mean"] < 0.3


@pytest.mark.long
def test_what_both_begin_with_does_correlate() -> None:
    """With offsets fitted the gradient solver keeps some of its uniform start, of which `docs/evidence.md` warns."""
    assert correlation_of_noise("octree", "fit", {"solver": "gradient"})[1] > 10
    assert correlation_of_noise("octree", "fit", {"solver": "gradient", "start": 0.01})[1] < 4
    # The default begins with nothing.
    assert correlation_of_noise("octree", "fit", {})[1] < 4


def test_a_specimen_does_correlate_and_masked_views_do_not_count(series: TiltSeries) -> None:
    mask = np.ones((TILTS.size, 32, 32), np.float32)
    mask[::4, :, 14:18] = 0
    result = tomokit.reconstruct(series, thickness=16, method="wbp", halves=True, mask=mask)
    assert result.fsc is not None
    assert result.fsc["curves"]["fsc"][1] > 0.8
    coverage = result.halves["coverage"].density
    assert coverage[8, 16, 16] == pytest.approx((TILTS.size - 6) * 6 / 180, abs=1e-5)
    assert coverage[8, 16, 10] == pytest.approx(TILTS.size * 6 / 180, abs=0.07)


def test_a_turned_box_has_maps_of_its_own_shape(series: TiltSeries) -> None:
    result = tomokit.reconstruct(
        series, size=(20, 24, 12), center=(3, 0, 0), x_tilt=4.0, method="wbp", halves=True
    )  # fmt: skip
    assert {volume.density.shape for volume in result.halves.values()} == {(12, 24, 20)}
    assert result.summary["halves"]["fsc_without_wedge"] is None
    assert result.halves["coverage"].density[6, 12, 7] == pytest.approx(TILTS.size * 6 / 180, abs=0.01)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"half": "even"}, "does not go with --half"),
        ({"exclude": "0-17"}, "3 views are fitted"),
        ({"thickness": 3}, "too thin"),
    ],
)
def test_what_has_no_halves_is_refused_before_the_work(
    series: TiltSeries, options: dict[str, object], words: str
) -> None:
    with pytest.raises(OptionError, match=words):
        tomokit.reconstruct(series, **{"thickness": 16, "halves": True, **options})
