"""Molecules that a crowded specimen is full of: their ellipsoids about the origin, in ångström.

Densities are what they add to the water that they displace, whose own is 0.6 where that of packed protein is about 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomokit.phantom.ellipsoids import Ellipsoids
from tomokit.phantom.particles import balls, scattered_balls

ICE = 0.6
"""Density of vitreous ice."""
PROTEIN = 0.4
NUCLEIC_ACID = 0.5
LIPID_HEADS = 0.33
LIPID_TAILS = -0.04
GOLD = 8.0

_PROTOFILAMENTS, _TUBULIN_RISE, _TUBULE_MIDDLE, _TUBULIN_RADIUS = 13, 41.0, 103.0, 20.0
_ACTIN_RISE, _ACTIN_TWIST_DEG, _ACTIN_MIDDLE, _ACTIN_HALF = 27.5, -166.6, 17.0, 22.0


@dataclass(frozen=True)
class Molecule:
    """One kind of molecule.

    Attributes
    ----------
    name : str
    parts : Ellipsoids
        Its ellipsoids about the origin, in ångström.
    radius_angstrom : float
        Of the ball that holds all of them.
    """

    name: str
    parts: Ellipsoids
    radius_angstrom: float


@dataclass(frozen=True)
class Filament:
    """One kind of filament.

    Attributes
    ----------
    build : callable
        Takes the points of its axis in ångström, shape (n, 3), and two directions across it at each, shape (n, 2, 3).
    rise_angstrom : float
        From one point of the axis to the next.
    radius_angstrom : float
    persistence_angstrom : float
        Length after which it has forgotten its direction.
    """

    build: Callable[[NDArray[np.float64], NDArray[np.float64]], Ellipsoids]
    rise_angstrom: float
    radius_angstrom: float
    persistence_angstrom: float


def ribosome(rng: np.random.Generator) -> Molecule:
    """Build a ribosome: two lumpy subunits, a cleft between them, and a tunnel through the larger.

    Parameters
    ----------
    rng : numpy.random.Generator
        Of the lumps.

    Returns
    -------
    Molecule
    """
    large, small = np.array([0.0, 0.0, -28.0]), np.array([0.0, 0.0, 72.0])
    semi = np.array([[108.0, 92.0, 78.0], [88.0, 52.0, 36.0]])
    lobes = Ellipsoids(np.stack([large, small]), semi, np.tile(np.eye(3), (2, 1, 1)), np.full(2, 0.22))
    lumps = []
    for middle, axes, radii in (
        (large, semi[0], np.linspace(0.30, 0.15, 14)),
        (small, semi[1], np.linspace(0.32, 0.2, 6)),
    ):
        unit = balls(scattered_balls(radii, 0.95, rng), radii, NUCLEIC_ACID - 0.22)
        lumps.append(unit.stretched(axes).moved(np.eye(3), middle))
    middle, axes = large + np.array([12.0, 0.0, 0.0]), np.array([62.0, 11.0, 11.0])
    tunnel = Ellipsoids(middle[None], axes[None], np.eye(3)[None], np.array([-0.3]))
    return Molecule("ribosome", Ellipsoids.concatenate([lobes, *lumps, tunnel]), 125.0)


def barrel(rings: int, around: int, middle_angstrom: float, name: str) -> Molecule:
    """Build rings of round subunits about an empty channel, such as a chaperonin or a proteasome.

    Parameters
    ----------
    rings, around : int
        Rings, and subunits in each.
    middle_angstrom : float
        Distance of the subunits from the axis.
    name : str

    Returns
    -------
    Molecule
    """
    radius = middle_angstrom * np.sin(np.pi / around)
    centres = [
        [middle_angstrom * np.cos(angle), middle_angstrom * np.sin(angle), 1.9 * radius * (ring - (rings - 1) / 2)]
        for ring in range(rings)
        for angle in 2 * np.pi * (np.arange(around) + 0.5 * (ring % 2)) / around
    ]
    parts = balls(np.array(centres), np.full(len(centres), radius), PROTEIN)
    return Molecule(name, parts, float(np.linalg.norm(centres, axis=1).max() + radius))


def globule(domains: int, domain_angstrom: float, rng: np.random.Generator) -> Molecule:
    """Build a protein of several domains, each of which touches one of the others.

    Parameters
    ----------
    domains : int
    domain_angstrom : float
        Mean radius of a domain.
    rng : numpy.random.Generator
        Of sizes and places.

    Returns
    -------
    Molecule
    """
    radii = domain_angstrom * rng.uniform(0.75, 1.25, domains)
    centres = [np.zeros(3)]
    while len(centres) < domains:
        radius = radii[len(centres)]
        direction = rng.standard_normal(3)
        beside = int(rng.integers(len(centres)))
        place = centres[beside] + (radii[beside] + radius) * direction / np.linalg.norm(direction)
        if all(np.linalg.norm(place - c) >= 0.97 * (radius + r) for c, r in zip(centres, radii, strict=False)):
            centres.append(place)
    placed = np.array(centres) - np.mean(centres, axis=0)
    outer = float((np.linalg.norm(placed, axis=1) + radii).max())
    return Molecule(f"protein of {domains} domains", balls(placed, radii, PROTEIN * rng.uniform(0.8, 1.1)), outer)


def tubule(path_angstrom: NDArray[np.float64], frames: NDArray[np.float64]) -> Ellipsoids:
    """Build a microtubule along a path: 13 protofilaments of round subunits.

    Parameters
    ----------
    path_angstrom : ndarray of float64, shape (n, 3)
        Points of the axis, one subunit's rise apart.
    frames : ndarray of float64, shape (n, 2, 3)
        Two directions across the axis at each point.

    Returns
    -------
    Ellipsoids
        In ångström.
    """
    turn = 2 * np.pi * np.arange(_PROTOFILAMENTS) / _PROTOFILAMENTS
    ring = _TUBULE_MIDDLE * (np.cos(turn)[:, None, None] * frames[:, 0] + np.sin(turn)[:, None, None] * frames[:, 1])
    along = np.gradient(path_angstrom, axis=0)
    # Three subunits up in a turn: the lattice of a microtubule.
    climb = 3 * (np.arange(_PROTOFILAMENTS) / _PROTOFILAMENTS)[:, None, None] * along
    centres = (path_angstrom + ring + climb).reshape(-1, 3)
    return balls(centres, np.full(len(centres), _TUBULIN_RADIUS), PROTEIN)


def actin(path_angstrom: NDArray[np.float64], frames: NDArray[np.float64]) -> Ellipsoids:
    """Build a filament of actin along a path: a helix of subunits of two strands.

    Parameters
    ----------
    path_angstrom : ndarray of float64, shape (n, 3)
        Points of the axis, one subunit's rise apart.
    frames : ndarray of float64, shape (n, 2, 3)
        Two directions across the axis at each point.

    Returns
    -------
    Ellipsoids
        In ångström.
    """
    turn = np.deg2rad(_ACTIN_TWIST_DEG) * np.arange(len(path_angstrom))
    across = np.cos(turn)[:, None] * frames[:, 0] + np.sin(turn)[:, None] * frames[:, 1]
    return balls(path_angstrom + _ACTIN_MIDDLE * across, np.full(len(path_angstrom), _ACTIN_HALF), PROTEIN)


def membrane(semi_axes_angstrom: NDArray[np.float64], lumen: float) -> Ellipsoids:
    """Build a closed membrane about the origin: two leaflets of heads with the tails between, 45 Å in all.

    Parameters
    ----------
    semi_axes_angstrom : ndarray of float64, shape (3,)
        Of its outer surface, each above 60 Å.
    lumen : float
        What its inside adds to the density.

    Returns
    -------
    Ellipsoids
        In ångström, unrotated.
    """
    inward = np.array([0.0, 14.0, 31.0, 45.0])[:, None]
    steps = np.diff([0.0, LIPID_HEADS, LIPID_TAILS, LIPID_HEADS, lumen])
    return Ellipsoids(np.zeros((4, 3)), semi_axes_angstrom - inward, np.tile(np.eye(3), (4, 1, 1)), steps)


MICROTUBULE = Filament(tubule, _TUBULIN_RISE, 125.0, 1e6)
ACTIN = Filament(actin, _ACTIN_RISE, 40.0, 1e5)
