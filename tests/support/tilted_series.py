"""Small series of phantoms of known geometry, for tests of what can be told of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomokit.geometry import SpecimenFrame, TiltGeometry
from tomokit.phantom.ellipsoids import Ellipsoids
from tomokit.phantom.sampling import project_analytic
from tomokit.phantom.shells import random_shells


def specimen(kind: str, seed: int, size: int = 128) -> Ellipsoids:
    """A thin specimen: ``shells`` of all sizes, ``blobs`` in a slab, ``beads`` on both surfaces, or a few of them."""
    if kind == "shells":
        return random_shells((size // 4, size, size), seed)
    rng = np.random.default_rng(seed)
    n = {"blobs": 250, "beads": 40, "few": 12}[kind]
    xyz = rng.uniform(-0.45 * size, 0.45 * size, (n, 3))
    xyz[:, 2] *= 0.2
    if kind in ("beads", "few"):
        xyz[:, 2] = rng.choice([-0.1, 0.1], n) * size
    radius = rng.uniform(1.5, 4.0, n) if kind == "blobs" else np.full(n, 0.012 * size + 1)
    axes = radius[:, None] * rng.uniform(0.8, 1.2, (n, 3))
    return Ellipsoids(xyz, axes, np.tile(np.eye(3), (n, 1, 1)), np.ones(n))


def tilted(ellipsoids: Ellipsoids, tilt_deg: float, x_tilt_deg: float) -> Ellipsoids:
    """A level specimen that is reconstructed level with this tilt offset and x-axis tilt."""
    columns = SpecimenFrame(x_tilt_deg).to_tilt_axis(np.eye(3))
    angle = np.deg2rad(tilt_deg)
    cos, sin = np.cos(angle), np.sin(angle)
    # The offset stands for a turn of the specimen, before it is tilted: u = x cos - z sin.
    about_y = np.array([[cos, 0.0, -sin], [0.0, 1.0, 0.0], [sin, 0.0, cos]])
    return ellipsoids.moved(about_y @ columns.T, np.zeros(3))


def images_of(ellipsoids: Ellipsoids, geometry: TiltGeometry, noise: float = 0.1, seed: int = 0) -> NDArray[np.float32]:
    """Its line integrals, with noise of so much of their deviation."""
    images = project_analytic(ellipsoids, geometry, 2)
    rng = np.random.default_rng(seed)
    return (images + noise * images.std() * rng.normal(size=images.shape)).astype(np.float32)
