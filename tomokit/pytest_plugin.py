"""Pytest fixtures for the tests of plugins, available in every pytest run where tomokit is installed.

Nothing of tomokit is imported before a fixture is asked for: a pytest run that has no use for them pays nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tomokit.octree import Forest
    from tomokit.regularizers.interface import Field
    from tomokit.testing.series import Specimen


@pytest.fixture(scope="session")
def tomokit_forest() -> Forest:
    """A small anisotropic forest with faces between equals, level jumps and outer boundaries.

    Returns
    -------
    Forest
        See :func:`tomokit.testing.trees.two_level_forest`.
    """
    from tomokit.testing.trees import two_level_forest

    return two_level_forest()


@pytest.fixture
def tomokit_field(tomokit_forest: Forest) -> Callable[..., Field]:
    """A function that makes random fields on the forest of ``tomokit_forest``.

    Parameters
    ----------
    tomokit_forest : Forest

    Returns
    -------
    callable
        ``tomokit_field(seed=0, rough=True, positive=True, dtype=numpy.float64)``, see
        :func:`tomokit.testing.trees.random_field`.
    """
    from tomokit.testing.trees import random_field

    def make(seed: int = 0, **settings: Any) -> Field:
        return random_field(tomokit_forest, seed, **settings)

    return make


@pytest.fixture(scope="session")
def tomokit_specimen() -> Specimen:
    """Shells in 16 x 32 x 24 voxels (z, x, y), seen in 21 views with 2 % of noise.

    Returns
    -------
    Specimen
        With ``truth`` and ``problem``, see :func:`tomokit.testing.series.small_specimen`.
    """
    from tomokit.testing.series import small_specimen

    return small_specimen()
