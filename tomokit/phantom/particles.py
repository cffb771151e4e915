"""Particles that phantoms are made of: virions, vesicles, bodies, and targets to judge resolution by.

Every builder works about the origin, unrotated. Layers and the detail in them are laid out in the unit
ball and stretched to the particle's semi-axes, so what is nested or apart there stays so in the particle. All
densities lie in [0, 1]: detail never overlaps detail, and stays within one layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomokit.phantom.ellipsoids import Ellipsoids

_GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))


@dataclass(frozen=True)
class Particle:
    """Ellipsoids that belong together, and an ellipsoid about the same centre that holds them all.

    Attributes
    ----------
    parts : Ellipsoids
        The ellipsoids of the particle.
    envelope : Ellipsoids
        A single ellipsoid around all of them, by which particles are kept apart.
    """

    parts: Ellipsoids
    envelope: Ellipsoids

    def moved(self, rotation: NDArray[np.float64], translation_xyz_px: NDArray[np.float64]) -> Particle:
        """Rotate the particle about the origin, then shift it.

        Parameters
        ----------
        rotation : ndarray of float64, shape (3, 3)
            Orthogonal matrix that acts on columns ``(x, y, z)``.
        translation_xyz_px : ndarray of float64, shape (3,)
            Shift ``(x, y, z)`` in pixels.

        Returns
        -------
        Particle
        """
        return Particle(
            self.parts.moved(rotation, translation_xyz_px), self.envelope.moved(rotation, translation_xyz_px)
        )


def virion(semi_axes_px: NDArray[np.float64], brightness: float, rng: np.random.Generator) -> Particle:
    """Build an enveloped virus after the radial density of Zika virus at 15 Å, with spikes and a perforated capsid.

    From outside in, in parts of the radius: spikes (1 to 0.87), a membrane of two leaflets, a gap, the capsid with a
    lattice of holes, a gap, and the core with beads of decreasing size.

    Parameters
    ----------
    semi_axes_px : ndarray of float64, shape (3,)
        Semi-axes along x, y and z in pixels, the spikes included.
    brightness : float
        Density of the membrane's leaflets, the densest layer, in (0, 1].
    rng : numpy.random.Generator
        Source of the layers' densities and of the detail.

    Returns
    -------
    Particle
    """
    gap, capsid, core = rng.uniform(0.05, 0.2), rng.uniform(0.6, 0.95), rng.uniform(0.3, 0.5)
    layers = _concentric_balls([0.86, 0.825, 0.785, 0.75, 0.68, 0.56, 0.50], [1.0, 0.5, 1.0, gap, capsid, gap, core])
    mean_radius = float(np.prod(semi_axes_px) ** (1 / 3))
    # About four pixels from one to the next: any closer, and detail would only be a change of mean density.
    n_spikes = int(np.clip(4 * np.pi * (0.93 * mean_radius / 4) ** 2, 6, 90))
    n_holes = int(np.clip(4 * np.pi * (0.62 * mean_radius / 4) ** 2, 6, 60))
    spikes = _spikes(_fibonacci_sphere(n_spikes), inner=0.87, outer=1.0, half_width=0.032, density=0.9)
    # A hole takes the capsid away and leaves the density of the gaps beside it.
    holes = balls(0.62 * _fibonacci_sphere(n_holes), np.full(n_holes, 0.055), gap - capsid)
    radii = np.array([0.13 * 0.8**k for k in range(8)])
    beads = balls(scattered_balls(radii, 0.48, rng), radii, 0.5)
    unit = Ellipsoids.concatenate([layers, spikes, holes, beads])
    return _stretched_particle(unit, semi_axes_px, brightness)


def vesicle(semi_axes_px: NDArray[np.float64], brightness: float, rng: np.random.Generator) -> Particle:
    """Build a vesicle: a wall around a thinner or empty lumen.

    Parameters
    ----------
    semi_axes_px : ndarray of float64, shape (3,)
        Semi-axes along x, y and z in pixels.
    brightness : float
        Density of the wall, in (0, 1].
    rng : numpy.random.Generator
        Source of the wall's thickness and the lumen's density.

    Returns
    -------
    Particle
    """
    lumen = rng.choice([0.0, rng.uniform(0.1, 0.5)])
    return _stretched_particle(
        _concentric_balls([1.0, rng.uniform(0.68, 0.88)], [1.0, lumen]), semi_axes_px, brightness
    )


def body(semi_axes_px: NDArray[np.float64], brightness: float, rng: np.random.Generator) -> Particle:
    """Build a body: a thick coat around a core of lower density.

    Parameters
    ----------
    semi_axes_px : ndarray of float64, shape (3,)
        Semi-axes along x, y and z in pixels.
    brightness : float
        Density of the coat, in (0, 1].
    rng : numpy.random.Generator
        Source of the core's radius and density.

    Returns
    -------
    Particle
    """
    unit = _concentric_balls([1.0, rng.uniform(0.35, 0.65)], [1.0, rng.uniform(0.0, 0.6)])
    return _stretched_particle(unit, semi_axes_px, brightness)


def solid(semi_axes_px: NDArray[np.float64], brightness: float, rng: np.random.Generator) -> Particle:
    """Build a filled ellipsoid of a single density.

    Parameters
    ----------
    semi_axes_px : ndarray of float64, shape (3,)
        Semi-axes along x, y and z in pixels.
    brightness : float
        Density of the ellipsoid, in (0, 1].
    rng : numpy.random.Generator
        Not used: nothing about it is random.

    Returns
    -------
    Particle
    """
    return _stretched_particle(_concentric_balls([1.0], [1.0]), semi_axes_px, brightness)


def star(radius_px: float, n_rays: int = 12) -> Particle:
    """Build a flat star of density 1 in the xy plane: the gap between rays closes towards the middle.

    Where the rays merge in a reconstruction, its resolution is the arc ``2 pi r / n_rays`` at that radius r.

    Parameters
    ----------
    radius_px : float
        Radius of the star, in pixels; its rays end a little before.
    n_rays : int
        Rays at equal angles.

    Returns
    -------
    Particle
    """
    angles = 2 * np.pi * np.arange(n_rays) / n_rays
    directions = np.stack([np.cos(angles), np.sin(angles), np.zeros(n_rays)], axis=1)
    # An ellipsoid's waist is its middle: a quarter of the pitch there leaves room for its neighbours everywhere.
    half_width = np.pi * (0.58 * radius_px) / n_rays / 2
    rays = _spikes(directions, inner=0.2 * radius_px, outer=0.96 * radius_px, half_width=half_width, density=1.0)
    hub = balls(np.zeros((1, 3)), np.array([0.14 * radius_px]), 1.0)
    return _particle_around(Ellipsoids.concatenate([hub, rays]))


def ladder(widest_px: float, narrowest_px: float = 0.7) -> Particle:
    """Build groups of three rods of density 1 in the xy plane, each narrower than the last by the root of two.

    Rods of width w lie along y at a pitch of 2 w along x. The widest group is in the middle, the others alternate
    about it.

    Parameters
    ----------
    widest_px, narrowest_px : float
        Width of the rods of the first group, and the least width of the last, in pixels.

    Returns
    -------
    Particle
    """
    # The small addition keeps a group whose width is the narrowest but for rounding.
    n_groups = 1 + int(2 * np.log2(widest_px / narrowest_px) + 1e-9) if widest_px > narrowest_px else 1
    widths = widest_px / np.sqrt(2) ** np.arange(n_groups)
    # Where the groups laid out so far end along x; new ones are added at the upper and the lower end in turn.
    ends = [-2.5 * widest_px, 2.5 * widest_px]
    centres, semi_axes = [], []
    for k, width in enumerate(widths):
        side = k % 2
        step = 0.0 if k == 0 else (2 * side - 1) * 4.5 * width
        middle = 0.0 if k == 0 else ends[side] + step
        if k > 0:
            ends[side] = middle + (2 * side - 1) * 2.5 * width
        centres += [[middle + offset * width, 0.0, 0.0] for offset in (-2, 0, 2)]
        semi_axes += [[width / 2, 2.5 * width, width / 2]] * 3
    n = len(centres)
    return _particle_around(
        Ellipsoids(np.array(centres), np.array(semi_axes), np.tile(np.eye(3), (n, 1, 1)), np.ones(n))
    )


def _concentric_balls(radii: Sequence[float], densities: Sequence[float]) -> Ellipsoids:
    """Concentric balls such that between one radius and the next smaller the density is the given one."""
    # Densities of nested ellipsoids add up, so each ball carries the difference from the one around it.
    steps = np.diff(np.asarray(densities, dtype=np.float64), prepend=0.0)
    return balls(np.zeros((len(radii), 3)), np.asarray(radii, dtype=np.float64), steps)


def balls(centres: NDArray[np.float64], radii: NDArray[np.float64], density: float | NDArray[np.float64]) -> Ellipsoids:
    """Make balls, each of one density.

    Parameters
    ----------
    centres : ndarray of float64, shape (n, 3)
        As ``(x, y, z)``.
    radii : ndarray of float64, shape (n,)
        In the units of the centres.
    density : float or ndarray of float64, shape (n,)
        What each adds to the density.

    Returns
    -------
    Ellipsoids
    """
    n = len(radii)
    return Ellipsoids(centres, np.tile(radii[:, None], 3), np.tile(np.eye(3), (n, 1, 1)), np.broadcast_to(density, n))


def _spikes(
    directions: NDArray[np.float64], *, inner: float, outer: float, half_width: float, density: float
) -> Ellipsoids:
    """Thin ellipsoids that point outward along unit vectors (n, 3), from radius `inner` to `outer`."""
    along = directions[:, :, None] * directions[:, None, :]
    matrices = ((outer - inner) / 2) ** 2 * along + half_width**2 * (np.eye(3) - along)
    return Ellipsoids.from_shape_matrices((inner + outer) / 2 * directions, matrices, np.full(len(directions), density))


def _fibonacci_sphere(n: int) -> NDArray[np.float64]:
    """Unit vectors (n, 3), spread evenly over the sphere: the Fibonacci lattice."""
    k = np.arange(n)
    height = 1 - (2 * k + 1) / n
    across = np.sqrt(1 - height**2)
    return np.stack([across * np.cos(_GOLDEN_ANGLE * k), across * np.sin(_GOLDEN_ANGLE * k), height], axis=1)


def scattered_balls(radii: NDArray[np.float64], room: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Scatter balls within another one, no two of them touching.

    Parameters
    ----------
    radii : ndarray of float64, shape (n,)
        Of the balls; the search for room goes on until all have some, so they have to leave most of it.
    room : float
        Radius of the ball about the origin that holds all of them.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of float64, shape (n, 3)
        Their centres.
    """
    # Balls are placed one by one; where one finds no room in 200 tries, all begin anew.
    while True:
        centres: list[NDArray[np.float64]] = []
        for radius in radii:
            for _ in range(200):
                point = rng.uniform(-room, room, 3)
                apart = all(
                    np.linalg.norm(point - placed) > 1.1 * (radius + placed_radius)
                    for placed, placed_radius in zip(centres, radii, strict=False)
                )
                if apart and np.linalg.norm(point) + radius < room:
                    centres.append(point)
                    break
        if len(centres) == len(radii):
            return np.array(centres)


def _stretched_particle(unit: Ellipsoids, semi_axes_px: NDArray[np.float64], brightness: float) -> Particle:
    """A particle from ellipsoids in the unit ball, its densities multiplied by `brightness`."""
    parts = unit.stretched(semi_axes_px)
    parts = Ellipsoids(parts.centre_xyz_px, parts.semi_axes_px, parts.rotation, brightness * parts.density)
    envelope = Ellipsoids(np.zeros((1, 3)), semi_axes_px[None], np.eye(3)[None], np.ones(1))
    return Particle(parts, envelope)


def _particle_around(parts: Ellipsoids) -> Particle:
    """A particle whose envelope is an axis-aligned ellipsoid around its parts' bounding boxes."""
    half_extent = parts.half_extent_xyz()
    signs = np.stack(np.meshgrid(*[[-1, 1]] * 3), axis=-1).reshape(-1, 1, 3)
    corners = (parts.centre_xyz_px + signs * half_extent).reshape(-1, 3)
    # Of the boxes with these proportions, one longer along z costs little room and lets x and y shrink.
    proportions = np.abs(corners).max(axis=0) * [1, 1, 1.5]
    # Scaled so that the ellipsoid passes through the outermost corner.
    semi_axes = proportions * np.linalg.norm(corners / proportions, axis=1).max()
    return Particle(parts, Ellipsoids(np.zeros((1, 3)), semi_axes[None], np.eye(3)[None], np.ones(1)))
