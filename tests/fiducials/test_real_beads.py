"""Beads of real series: EMPIAR-10643-40, painted over and masked by its authors, and EMPIAR-10499, masked by nobody."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tomokit.data import TiltSeries
from tomokit.fiducials.beads import Beads, draw_discs
from tomokit.io import load_series, read_stack
from tomokit.pipeline.beads import beads_of

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def painted(shared_data: Path) -> TiltSeries:
    return load_series(shared_data / "empiar-10643-40/tilts.mrc")


@pytest.fixture(scope="module")
def given(shared_data: Path) -> NDArray[np.bool_]:
    """What the authors' mask leaves out."""
    return np.asarray(read_stack(shared_data / "empiar-10643-40/mask.mrc").pixels) == 0


def _covered_discs(given: NDArray[np.bool_], beads: Beads) -> NDArray[np.float64]:
    """Of each disc of the authors' mask that is apart from the padding, the fraction that is covered."""
    from scipy.ndimage import label, mean, sum_labels

    covered = draw_discs(beads.discs, given.shape, beads.reach_px)
    shares = []
    for mask, ours in zip(given, covered, strict=True):
        labels, n = label(mask)
        sizes = sum_labels(mask, labels, range(1, n + 1))
        shares.append(np.asarray(mean(ours, labels, range(1, n + 1)))[(sizes > 200) & (sizes < 3000)])
    return np.concatenate(shares)


def test_beads_found_without_a_model_are_those_of_the_authors_mask(
    painted: TiltSeries, given: NDArray[np.bool_]
) -> None:
    beads = beads_of(painted, None)
    assert beads is not None
    assert beads.radius_px == pytest.approx(9, abs=0.1)
    shares = _covered_discs(given, beads)
    assert shares.size > 400
    assert np.mean(shares > 0.9) >= 0.95
    covered = draw_discs(beads.discs, given.shape, beads.reach_px)
    assert np.mean(given[covered]) > 0.97


def test_the_mask_of_the_model_agrees_with_the_authors_mask(
    painted: TiltSeries, given: NDArray[np.bool_], shared_data: Path
) -> None:
    beads = beads_of(painted, shared_data / "empiar-10643-40/fiducials.txt", radius_px=9.0)
    assert beads is not None
    assert any("another alignment" in text for text in beads.warnings)
    covered = draw_discs(beads.discs, given.shape, 9.0)
    assert np.mean(given[covered]) > 0.97
    assert np.mean(_covered_discs(given, beads) > 0.9) >= 0.95
    whole = [bead.fit.rms_u_px for bead in beads.beads if bead.fit.track.views.size == 41]
    assert len(whole) >= 5
    assert max(whole) < 0.5


def test_gold_beads_on_both_surfaces_are_found(shared_data: Path) -> None:
    folder = shared_data / "empiar-10499"
    series = load_series(folder / "tilts-raw.mrc", xf=folder / "final.xf")
    beads = beads_of(series, None)
    assert beads is not None
    assert beads.sign == 1
    assert beads.radius_px == pytest.approx(4.4, abs=0.3)
    assert len(beads.beads) >= 24
    assert beads.rms_px < 0.8
    z = np.array([bead.fit.xyz_px[2] for bead in beads.beads])
    # Two layers, about 180 pixels of 10 angstrom apart where the cell is thickest.
    assert (z < -40).sum() >= 8
    assert (z > 50).sum() >= 8
