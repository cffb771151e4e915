"""Random ellipsoidal shells that may overlap: phantoms of the same kind as the shared one, of any seed.

Simpler than those of ``tomokit simulate``: no layers of a pixel, no targets, no gap between particles. Projections are
analytic, so that no projector of ours made them.
"""

from __future__ import annotations

import numpy as np

from tomokit.data import TiltSeries, Volume
from tomokit.geometry import TiltGeometry
from tomokit.phantom import Ellipsoids, parse_tilts, project_analytic, voxelize

_PARTICLES = 110
_RADIUS_PX = (2.5, 22.0)
_LOOK_PX = 2  # between points where the density is looked at
_SUPERSAMPLE = 3


def overlapping_shells(
    seed: int, noise: float, shape_zyx: tuple[int, int, int] = (64, 256, 256)
) -> tuple[TiltSeries, Volume]:
    """A noisy series of 94 views and its truth in [0, 1], ``[z, y, x]``.

    Parameters
    ----------
    seed : int
        The same specimen at any noise, and noise of one pattern.
    noise : float
        Standard deviation over the largest projection.
    shape_zyx : tuple of int
        Voxels.
    """
    phantom_stream, noise_stream = np.random.SeedSequence(seed).spawn(2)
    rng = np.random.default_rng(phantom_stream)
    parts = _scatter(rng, shape_zyx)
    truth = voxelize(parts, shape_zyx, _SUPERSAMPLE)
    unit = 1.0 / float(truth.max())
    geometry = TiltGeometry(parse_tilts("-70:69.5:1.5"), n_u=shape_zyx[2], n_v=shape_zyx[1])
    images = unit * project_analytic(parts, geometry, _SUPERSAMPLE)
    deviates = np.random.default_rng(noise_stream).standard_normal(images.shape, dtype=np.float32)
    images += np.float32(noise * images.max()) * deviates
    return TiltSeries(images.astype(np.float32), geometry), Volume(unit * truth)


def _scatter(rng: np.random.Generator, shape_zyx: tuple[int, int, int]) -> Ellipsoids:
    """Particles, but for those that would make the density larger than 1 where they meet others."""
    axes = [np.arange(0, n, _LOOK_PX) - (n - 1) / 2 for n in shape_zyx[::-1]]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    total, parts = np.zeros(points.shape[:-1]), []
    for _ in range(_PARTICLES):
        particle = _particle(rng, shape_zyx)
        with_it = total + particle.density_at(points)
        if with_it.max() <= 1:
            total, parts = with_it, [*parts, particle]
    return Ellipsoids.concatenate(parts)


def _particle(rng: np.random.Generator, shape_zyx: tuple[int, int, int]) -> Ellipsoids:
    """A solid, or a wall around a thinner or empty lumen, within the slab."""
    radius = np.exp(rng.uniform(*np.log(_RADIUS_PX)))
    stretch = np.exp(rng.uniform(-0.3, 0.3, 3))
    semi = np.minimum(radius * stretch, 0.45 * shape_zyx[0])
    rotation, triangle = np.linalg.qr(rng.standard_normal((3, 3)))
    rotation *= np.sign(np.diag(triangle))
    half = np.sqrt((rotation**2 @ semi**2)[[2, 1, 0]])  # of the bounding box, z first
    room = np.maximum(np.array(shape_zyx) / 2 - half - 1, 0)
    centre = rng.uniform(-room, room)[::-1]
    density, solid = rng.uniform(0.15, 1.0), rng.random() < 0.25
    inner, lumen = rng.uniform(0.4, 0.85), rng.choice([0.0, rng.uniform(0.1, 0.6)])
    scales, densities = ([1.0], [density]) if solid else ([1.0, inner], [density, density * (lumen - 1)])
    n = len(scales)
    return Ellipsoids(np.tile(centre, (n, 1)), np.outer(scales, semi), np.tile(rotation, (n, 1, 1)), densities)
