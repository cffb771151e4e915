"""The exposure filter against its formula, and the exposure of each view."""

import numpy as np
import pytest

from tomokit.data.acquisition import Acquisition
from tomokit.data.exposure_filter import critical_exposure, exposure_filter, exposures_of_views
from tomokit.errors import InputError


def test_the_curve_is_the_published_one() -> None:
    # By hand: 0.245 x 10^1.665 + 2.81 at 1/10 per angstrom, 0.245 x 4^1.665 + 2.81 at 1/4.
    np.testing.assert_allclose(critical_exposure(np.array([0.1, 0.25])), [14.138335, 5.273746], rtol=1e-6)
    np.testing.assert_allclose(critical_exposure(np.array([0.1]), 200.0), 0.8 * 14.138335, rtol=1e-6)
    assert np.isinf(critical_exposure(np.zeros(1))).all()


def test_amplitudes_fall_by_half_the_exposure_over_the_critical_one() -> None:
    k = np.linspace(0, 0.5, 11)
    left = exposure_filter(k, 60.0)
    assert left[0] == 1
    np.testing.assert_allclose(left[1:], np.exp(-60 / (2 * (0.245 * k[1:] ** -1.665 + 2.81))), rtol=1e-13)
    assert (exposure_filter(k, 0.0) == 1).all()


def test_a_view_is_filtered_by_the_exposure_halfway_through_it() -> None:
    prior = np.array([6.0, 0.0, 3.0])
    dose = np.array([3.0, 3.0, 3.0])
    both = Acquisition(3, dose_e_per_a2=dose, prior_dose_e_per_a2=prior)
    ordered = Acquisition(3, dose_e_per_a2=dose, order=np.array([2, 0, 1]))
    before = Acquisition(3, prior_dose_e_per_a2=prior)
    for acquisition in (both, ordered, before):
        np.testing.assert_allclose(exposures_of_views(acquisition), [7.5, 1.5, 4.5])


def test_orders_with_gaps_count_the_dose_of_views_that_are_there() -> None:
    acquisition = Acquisition(3, dose_e_per_a2=np.array([1.0, 2.0, 4.0]), order=np.array([7, 3, 5]))
    np.testing.assert_allclose(exposures_of_views(acquisition), [6.5, 1.0, 4.0])


@pytest.mark.parametrize(
    ("acquisition", "message"),
    [
        (Acquisition(2), "not known"),
        (Acquisition(2, dose_e_per_a2=np.array([3.0, 3.0])), "not the order"),
        (Acquisition(2, prior_dose_e_per_a2=np.array([-3.0, 0.0])), "negative"),
    ],
)
def test_what_is_not_known_is_refused(acquisition: Acquisition, message: str) -> None:
    with pytest.raises(InputError, match=message):
        exposures_of_views(acquisition)
