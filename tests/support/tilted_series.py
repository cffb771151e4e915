"""Small series of phantoms of known geometry, for tests of what can be told of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomokit.geometry import SpecimenFrame, TiltGeometry
from tomokit.phantom.ellipsoids import Ellipsoids
from tomokit.phantom.sampling import project_analytic
from tomokit.phantom.shells import random_shells


def specimen(kind: str, seed: int, size: int = 128) -> Ellipsoids:
    """A thin specimen: ``shells`` of all sizes, ``blobs`` in a slab, ``beads`` on both surfaces, or a few of them.

    ``thick`` is a slab half as high as it is wide; ``thin with beads`` and ``thick with beads`` have dense ones on both
    surfaces (:func:`bead_places`).
    """
    if kind == "shells":
        return random_shells((size // 4, size, size), seed)
    rng = np.random.default_rng(seed)
    n = {"blobs": 250, "beads": 40, "few": 12, "thick": 600, "thin with beads": 250, "thick with beads": 600}[kind]
    xyz = rng.uniform(-0.45 * size, 0.45 * size, (n, 3))
    xyz[:, 2] *= 0.55 if kind.startswith("thick") else 0.2
    if kind in ("beads", "few"):
        xyz[:, 2] = rng.choice([-0.1, 0.1], n) * size
    radius = rng.uniform(1.5, 4.0, n) if kind not in ("beads", "few") else np.full(n, 0.012 * size + 1)
    axes = radius[:, None] * rng.uniform(0.8, 1.2, (n, 3))
    density = np.ones(n)
    if kind.endswith("with beads"):
        beads = bead_places(kind, seed, size)
        xyz, axes = np.concatenate([xyz, beads]), np.concatenate([axes, np.full(beads.shape, 0.012 * size + 0.5)])
        density = np.concatenate([density, np.full(len(beads), 8.0)])
    return Ellipsoids(xyz, axes, np.tile(np.eye(3), (len(xyz), 1, 1)), density)


def bead_places(kind: str, seed: int, size: int = 128) -> NDArray[np.float64]:
    """``(x, y, z)`` in pixels of 20 beads on the surfaces of a specimen with beads."""
    rng = np.random.default_rng(1000 + seed)
    xyz = rng.uniform(-0.45 * size, 0.45 * size, (20, 3))
    xyz[:, 2] = rng.choice([-0.25, 0.25] if kind.startswith("thick") else [-0.1, 0.1], 20) * size
    return xyz


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
