"""A specimen as crowded as a cell: a slab of membranes, filaments and molecules that goes on beyond every view."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import OptionError
from tomokit.phantom.copies import copies, random_rotations
from tomokit.phantom.ellipsoids import Ellipsoids
from tomokit.phantom.layer import Layer, Surface
from tomokit.phantom.molecules import GOLD, ICE, PROTEIN, Molecule, barrel, globule, ribosome
from tomokit.phantom.organelles import organelles, strands
from tomokit.phantom.particles import balls
from tomokit.phantom.room import Room
from tomokit.phantom.shells import SMALLEST_EDGE
from tomokit.phantom.specimen import Specimen, divide_by_layer

STEEPEST_TILT_DEG = 80.0
BEYOND_PX = 64.0
"""The specimen goes on for so much more than what the views see at their nominal angles and unmoved."""

_SLAB = 0.8
"""Part of the box's height that the slab takes."""
_SPARE_TILT_DEG = 3.0
_GOLD_RADIUS_ANGSTROM = 50.0
_GRAIN_ANGSTROM = (11.0, 19.0)
_LEAST_GRAIN_PX = 1.2
# Parts of the slab's volume that the balls around the copies of each kind are to take, the largest kind first.
_RIBOSOMES, _BARRELS, _LARGE, _MIDDLE, _SMALL, _GRAINS = 0.12, 0.05, 0.10, 0.12, 0.10, 0.07
_TRIES = 16
_BYTES_PER_ELLIPSOID = 600


@dataclass(frozen=True)
class Reach:
    """How far a specimen has to go on, so that no view sees its end.

    Attributes
    ----------
    half_x_px, half_y_px : float
        From the origin, in pixels.
    """

    half_x_px: float
    half_y_px: float

    @classmethod
    def of_views(cls, shape_zyx: tuple[int, int, int], tilt_deg: NDArray[np.float64]) -> Reach:
        """Find it for views at these angles, turned in their plane by any angle and moved by up to a margin.

        Parameters
        ----------
        shape_zyx : tuple of int
            Voxels of the box along z, y and x.
        tilt_deg : ndarray of float64, shape (n_views,)
            Nominal tilt angles.

        Returns
        -------
        Reach

        Raises
        ------
        OptionError
            If a view is tilted by more than 80 degrees.
        """
        n_z, n_y, n_x = shape_zyx
        steepest = float(np.abs(tilt_deg).max())
        if steepest > STEEPEST_TILT_DEG:
            raise OptionError(
                f"a tilt of {steepest:g} degrees sees a crowded slab without end",
                field="--tilts",
                remedy=f"stay within {STEEPEST_TILT_DEG:g} degrees, or give --specimen shells",
            )
        angle = math.radians(min(steepest + _SPARE_TILT_DEG, STEEPEST_TILT_DEG + 1))
        across = math.hypot(n_x, n_y) / 2 + BEYOND_PX
        return cls((across + n_z / 2 * math.sin(angle)) / math.cos(angle), across)


def crowded_specimen(
    shape_zyx: tuple[int, int, int],
    seed: int | np.random.SeedSequence,
    *,
    pixel_size_angstrom: float,
    reach: Reach,
    gold: int = 0,
) -> Specimen:
    """Make a slab of crowded cytosol, its molecules in their true sizes.

    The slab takes 0.8 of the box along z. Its surfaces are uneven and cut what they meet, as those of a lamella. Ice
    has density 0.6; in it lie, none overlapping another, closed membranes with lumens of their own, stacks of flat
    ones, microtubules, filaments of actin, ribosomes, barrels and proteins of two to nine domains, and grains of the
    size of small proteins between them.

    Parameters
    ----------
    shape_zyx : tuple of int
        Voxels of the field along z, y and x; its centre is the origin.
    seed : int or numpy.random.SeedSequence
        Decides everything random. The specimen depends on shape, reach and pixel size too.
    pixel_size_angstrom : float
        Edge of a voxel in ångström.
    reach : Reach
        How far it goes on.
    gold : int
        Gold beads of 100 Å on the upper surface within the field; beyond it they are as many to the area.

    Returns
    -------
    Specimen
        In pixels from the centre of the field.

    Raises
    ------
    OptionError
        If the field is too small.
    """
    n_z, n_y, n_x = shape_zyx
    if min(shape_zyx) < SMALLEST_EDGE:
        raise OptionError(
            f"a box of {n_z} x {n_y} x {n_x} voxels is too small for a specimen",
            field="--shape",
            remedy=f"give at least {SMALLEST_EDGE} along every axis",
        )
    rng = np.random.default_rng(seed)
    scale = 1 / pixel_size_angstrom
    thickness, shortest = _SLAB * n_z, max(n_x, n_y) / 2
    bottom, top = (Surface.random(side * thickness / 2, 0.03 * thickness, shortest, rng) for side in (-1, 1))
    layer = Layer(bottom, top, ICE)
    half = np.array([reach.half_x_px, reach.half_y_px, n_z / 2])
    room = Room(half)
    parts = [
        *organelles(room, half, min(n_x, n_y), scale, rng),
        *strands(room, half, thickness, scale, rng),
    ]
    volume_px3 = 4 * half[0] * half[1] * thickness
    for molecule, part in _molecules(rng):
        parts.append(_scattered(molecule, part * volume_px3, room, half, layer, scale, rng))
    parts.append(_grains(_GRAINS * volume_px3, room, half, layer, scale, rng))
    whole, cut = divide_by_layer(Ellipsoids.concatenate(parts), layer)
    beads = _gold(gold, (n_x, n_y), half, layer, scale, rng)
    return Specimen(Ellipsoids.concatenate([whole, beads]), cut, layer, gold_xyz_px=beads.centre_xyz_px)


def needed_bytes(shape_zyx: tuple[int, int, int], reach: Reach, pixel_size_angstrom: float) -> int:
    """Estimate the memory that a crowded specimen takes while it is made and imaged.

    Parameters
    ----------
    shape_zyx : tuple of int
        Voxels of the field along z, y and x.
    reach : Reach
    pixel_size_angstrom : float

    Returns
    -------
    int
    """
    volume_px3 = 4 * reach.half_x_px * reach.half_y_px * _SLAB * shape_zyx[0]
    # Of every thousand cubic nanometres about seven ellipsoids, each of numbers and copies of 600 bytes.
    per_px3 = min(0.007 * (pixel_size_angstrom / 10) ** 3, 0.05)
    return int(volume_px3 * (per_px3 * _BYTES_PER_ELLIPSOID + 1))


def _molecules(rng: np.random.Generator) -> list[tuple[Molecule, float]]:
    """The kinds, each with the part of the volume that its copies are to take, the largest first."""
    kinds = [
        (ribosome(rng), _RIBOSOMES),
        (barrel(4, 7, 50.0, "proteasome"), _BARRELS / 2),
        (barrel(2, 7, 48.0, "chaperonin"), _BARRELS / 2),
        *[(globule(domains, 21.0, rng), _LARGE / 2) for domains in (9, 7)],
        *[(globule(domains, 18.0, rng), _MIDDLE / 3) for domains in (6, 5, 4)],
        *[(globule(domains, 15.0, rng), _SMALL / 3) for domains in (3, 3, 2)],
    ]
    return sorted(kinds, key=lambda kind: -kind[0].radius_angstrom)


def _scattered(
    molecule: Molecule,
    volume_px3: float,
    room: Room,
    half: NDArray[np.float64],
    layer: Layer,
    scale: float,
    rng: np.random.Generator,
) -> Ellipsoids:
    """Copies of a molecule at random, as many as take that volume, or find room."""
    radius = molecule.radius_angstrom * scale
    n = round(volume_px3 / (4 / 3 * np.pi * radius**3))
    # Large ones may be cut by the surfaces, as a lamella's are; small ones lie within them.
    beyond = 0.6 * radius if radius > 4 else -radius
    place, placed = room.place_balls(_candidates(n, half, layer, beyond, rng), np.full(n, radius))
    return copies(molecule.parts, random_rotations(n, rng)[placed], place, scale)


def _candidates(
    n: int, half: NDArray[np.float64], layer: Layer, beyond: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Places ``[ball, try, xyz]`` in the layer, which is made thicker by `beyond` on both sides."""
    drawn = rng.uniform(-1, 1, (n, _TRIES, 3))
    x, y = half[0] * drawn[..., 0], half[1] * drawn[..., 1]
    low, high = layer.bottom.height(x, y) - beyond, layer.top.height(x, y) + beyond
    z = (low + high) / 2 + np.maximum(high - low, 0) / 2 * drawn[..., 2]
    return np.stack([x, y, z], axis=-1)


def _grains(
    volume_px3: float, room: Room, half: NDArray[np.float64], layer: Layer, scale: float, rng: np.random.Generator
) -> Ellipsoids:
    """Balls of the size of small proteins wherever there is room, of density from a third of protein's to all of it."""
    low, high = (max(_LEAST_GRAIN_PX, radius * scale) for radius in _GRAIN_ANGSTROM)
    # Mean of the cube over radii from low to high.
    mean_cube = low**3 if high == low else (high**4 - low**4) / 4 / (high - low)
    n = round(volume_px3 / (4 / 3 * np.pi * mean_cube))
    radius = rng.uniform(low, high, n)
    density = PROTEIN * rng.uniform(0.33, 1.0, n)
    place, placed = room.place_balls(_candidates(n, half, layer, -high, rng), radius)
    return balls(place, radius[placed], density[placed])


def _gold(
    n: int, field_xy: tuple[int, int], half: NDArray[np.float64], layer: Layer, scale: float, rng: np.random.Generator
) -> Ellipsoids:
    """Beads that lie on the upper surface: `n` in the field, then those around it."""
    radius = _GOLD_RADIUS_ANGSTROM * scale
    inner = np.array(field_xy) / 2
    around = round(n * (half[0] * half[1] / inner.prod() - 1))
    inside = rng.uniform(-1, 1, (n, 2)) * np.maximum(inner - radius, 0)
    outside = rng.uniform(-1, 1, (around, 2)) * half[:2]
    outside = outside[(np.abs(outside) > inner + radius).any(axis=1)]
    xy = np.concatenate([inside, outside])
    z = layer.top.height(xy[:, 0], xy[:, 1]) + radius
    return balls(np.column_stack([xy, z]), np.full(len(xy), radius), GOLD)
