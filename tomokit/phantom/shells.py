"""Random specimens: particles scattered in a slab, none touching another, none cut by the edge of the view."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import OptionError
from tomokit.phantom.ellipsoids import Ellipsoids, separated
from tomokit.phantom.particles import Particle, body, ladder, solid, star, vesicle, virion

SMALLEST_EDGE = 12
"""Least edge of a phantom's box in voxels."""

_MARGIN_PX = 1.0
_ATTEMPTS = 60
_MOST_PARTICLES = 400
# Kind, fraction of all particles, and range of radii relative to the largest.
_KINDS = ((virion, 0.15, 0.7, 1.0), (vesicle, 0.3, 0.35, 0.8), (body, 0.3, 0.2, 0.6), (solid, 0.25, 0.1, 0.3))


def random_shells(
    shape_zyx: tuple[int, int, int],
    seed: int | np.random.SeedSequence,
    *,
    n_particles: int | None = None,
    targets: bool = True,
) -> Ellipsoids:
    """Make a phantom of random ellipsoidal shells, of density 0 to 1, that fits a box of voxels.

    Parameters
    ----------
    shape_zyx : tuple of int
        Voxels of the box along z, y and x; its centre is the origin.
    seed : int or numpy.random.SeedSequence
        Decides everything random; the same seed gives the same phantom.
    n_particles : int, optional
        Particles to try to place; those for which no room is found are left out. By default, as many as fill about
        a sixth of the box.
    targets : bool
        Whether to place stars and ladders of rods, to judge resolution by, among the particles.

    Returns
    -------
    Ellipsoids
        Every ellipsoid of the phantom, in pixels from the centre of the box.

    Raises
    ------
    OptionError
        If the box is too small to hold a phantom.
    """
    return Ellipsoids.concatenate(
        [particle.parts for particle in place_particles(shape_zyx, seed, n_particles=n_particles, targets=targets)]
    )


def place_particles(
    shape_zyx: tuple[int, int, int],
    seed: int | np.random.SeedSequence,
    *,
    n_particles: int | None = None,
    targets: bool = True,
) -> list[Particle]:
    """Choose the particles of :func:`random_shells` and put them in their places.

    Their envelopes are disjoint, at least a pixel within the box along z and y, and within the largest upright
    cylinder about the tilt axis, so that every view at any tilt holds all of the specimen.

    Parameters
    ----------
    shape_zyx : tuple of int
        Voxels of the box along z, y and x; its centre is the origin.
    seed : int or numpy.random.SeedSequence
        Decides everything random; the same seed gives the same particles.
    n_particles : int, optional
        Particles to try to place, targets not counted. By default, as many as fill about a sixth of the box.
    targets : bool
        Whether to place stars and ladders of rods among the particles.

    Returns
    -------
    list of Particle
        Targets first, then the other particles, the largest first.

    Raises
    ------
    OptionError
        If the box is too small to hold a phantom.
    """
    n_z, n_y, n_x = shape_zyx
    if min(shape_zyx) < SMALLEST_EDGE:
        raise OptionError(
            f"a box of {n_z} x {n_y} x {n_x} voxels is too small for a phantom",
            field="--shape",
            remedy=f"give at least {SMALLEST_EDGE} along every axis",
        )
    rng = np.random.default_rng(seed)
    # Radius of the largest particle in pixels: it fits the slab, and a few fit beside each other.
    largest = min(0.42 * n_z, 0.16 * n_y, 0.16 * n_x)
    if n_particles is None:
        n_particles = int(np.clip(0.28 * n_z * n_y * n_x / largest**3, 12, _MOST_PARTICLES))
    placed: list[Particle] = []
    if targets:
        widest = min(4.0, largest / 6)
        for particle, flat in (
            (star(0.75 * largest), True),
            (ladder(widest), True),
            (star(0.55 * largest), False),
            (ladder(0.7 * widest), False),
        ):
            _place(particle, shape_zyx, placed, rng, flat=flat)
    candidates = [
        (largest * rng.uniform(low, high), build)
        for build, fraction, low, high in _KINDS
        for _ in range(round(fraction * n_particles))
    ]
    # The largest first, while there is room; the small ones then find gaps.
    candidates.sort(key=lambda candidate: -candidate[0])
    for radius, build in candidates:
        # Random proportions at the volume of a ball of this radius.
        stretch = np.exp(rng.uniform(-0.22, 0.22, 3))
        semi_axes = np.maximum(1.5, radius * stretch / stretch.prod() ** (1 / 3))
        # The first one has density 1, so that the phantom always reaches it.
        brightness = rng.uniform(0.3, 1.0) if placed else 1.0
        _place(build(semi_axes, brightness, rng), shape_zyx, placed, rng)
    return placed


def _place(
    particle: Particle,
    shape_zyx: tuple[int, int, int],
    placed: list[Particle],
    rng: np.random.Generator,
    *,
    flat: bool = False,
) -> None:
    """Append `particle`, rotated at random, to `placed` if room is found; `flat` keeps it in the plane z = 0."""
    envelopes = [neighbour.envelope for neighbour in placed]
    centres = np.array([envelope.centre_xyz_px[0] for envelope in envelopes]).reshape(-1, 3)
    shapes = np.array([envelope.shape_matrices()[0] for envelope in envelopes]).reshape(-1, 3, 3)
    outer = np.array([envelope.semi_axes_px.max() for envelope in envelopes])
    inner = np.array([envelope.semi_axes_px.min() for envelope in envelopes])
    # Inflated by the margin, so that neighbours stay at least about that far apart.
    semi_axes = particle.envelope.semi_axes_px[0] + _MARGIN_PX
    half_box = np.array(shape_zyx[::-1]) / 2
    for _ in range(_ATTEMPTS):
        rotation = _rotation_about_z(rng) if flat else _random_rotation(rng)
        shape = (rotation * semi_axes**2) @ rotation.T
        room = half_box - np.sqrt(np.diag(shape))
        if (room < 0).any():
            continue
        centre = rng.uniform(-room, room)
        if flat:
            centre[2] = 0.0
        # The widest extent across the tilt axis, over all tilts: the particle stays within the cylinder about y.
        widest = np.sqrt(np.linalg.eigvalsh(shape[np.ix_([0, 2], [0, 2])])[-1])
        if np.hypot(centre[0], centre[2]) + widest > half_box[0]:
            continue
        # Cheap tests by inscribed and circumscribed balls come before the exact one.
        distance = np.linalg.norm(centres - centre, axis=1)
        if (distance < inner + semi_axes.min()).any():
            continue
        near = distance <= outer + semi_axes.max()
        if near.any() and not separated(centre, shape, centres[near], shapes[near]).all():
            continue
        placed.append(particle.moved(rotation, centre))
        return


def _rotation_about_z(rng: np.random.Generator) -> NDArray[np.float64]:
    angle = rng.uniform(0, 2 * np.pi)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def _random_rotation(rng: np.random.Generator) -> NDArray[np.float64]:
    """A rotation matrix, uniform over all rotations: that of a normalized quaternion of normal deviates."""
    quaternion = rng.standard_normal(4)
    w, x, y, z = quaternion / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
