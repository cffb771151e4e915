"""Random specimens of ellipsoids, their voxels, their exact projections, and the faults of real series."""

from tomokit.geometry.tilt_range import parse_tilts
from tomokit.phantom.ellipsoids import Ellipsoids
from tomokit.phantom.faults import Faults
from tomokit.phantom.options import parse_shape
from tomokit.phantom.sampling import project_analytic, voxelize
from tomokit.phantom.shells import random_shells
from tomokit.phantom.simulate import Simulation, simulate_experiment, simulate_series

__all__ = [
    "Ellipsoids",
    "Faults",
    "Simulation",
    "parse_shape",
    "parse_tilts",
    "project_analytic",
    "random_shells",
    "simulate_experiment",
    "simulate_series",
    "voxelize",
]
