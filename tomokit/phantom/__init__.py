"""Random phantoms of ellipsoids, their voxels and their exact projections."""

from tomokit.geometry.tilt_range import parse_tilts
from tomokit.phantom.ellipsoids import Ellipsoids
from tomokit.phantom.options import parse_shape
from tomokit.phantom.sampling import project_analytic, voxelize
from tomokit.phantom.shells import random_shells
from tomokit.phantom.simulate import simulate_series

__all__ = [
    "Ellipsoids",
    "parse_shape",
    "parse_tilts",
    "project_analytic",
    "random_shells",
    "simulate_series",
    "voxelize",
]
