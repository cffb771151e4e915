"""Membranes and filaments of a crowded specimen, placed first, and cut where the slab ends."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomokit.phantom.copies import copies, random_rotations
from tomokit.phantom.ellipsoids import Ellipsoids
from tomokit.phantom.molecules import ACTIN, MICROTUBULE, PROTEIN, Filament, membrane
from tomokit.phantom.particles import balls
from tomokit.phantom.room import Room

_WALL_ANGSTROM = 45.0
_TRIES = 25
_TYPICAL_FIELD_ANGSTROM = 2500.0
# Areas of the slab for one of each kind, in square ångström.
_PER_ORGANELLE, _PER_CISTERNA, _PER_VESICLE = 6500.0**2, 2900.0**2, 1300.0**2
_PER_TUBULE, _PER_ACTIN = 1800.0**2, 1000.0**2


def organelles(
    room: Room, half_xyz_px: NDArray[np.float64], field_px: float, scale: float, rng: np.random.Generator
) -> list[Ellipsoids]:
    """Place closed membranes: organelles of two with folds inside, flat cisternae, and vesicles with spikes.

    Parameters
    ----------
    room : Room
        What is taken; changed.
    half_xyz_px : ndarray of float64, shape (3,)
        Half the edges of the box that they are to fill.
    field_px : float
        Edge of the field of view: where it is narrow, large ones are made smaller.
    scale : float
        Pixels per ångström.
    rng : numpy.random.Generator

    Returns
    -------
    list of Ellipsoids
        In pixels.
    """
    area = 4 * half_xyz_px[0] * half_xyz_px[1] / scale**2
    shrink = float(np.clip(field_px / scale / _TYPICAL_FIELD_ANGSTROM, 0.3, 1.0))
    found: list[Ellipsoids] = []
    for _ in range(max(1, round(area / (_PER_ORGANELLE * shrink**2)))):
        found += _organelle(room, half_xyz_px, shrink, scale, rng)
    for _ in range(max(1, round(area / (_PER_CISTERNA * shrink**2)))):
        semi = np.array([rng.uniform(900, 1700), rng.uniform(125, 210), rng.uniform(900, 1700)])
        semi[[0, 2]] = np.maximum(semi[[0, 2]] * shrink, 250)
        found += _placed(room, half_xyz_px, semi, _upright(rng), 0.06, scale, rng)
    for _ in range(max(1, round(area / (_PER_VESICLE * shrink)))):
        semi = rng.uniform(150, 380) * shrink**0.5 * np.exp(rng.uniform(-0.12, 0.12, 3))
        semi = np.maximum(semi, 110)
        vesicle = _placed(room, half_xyz_px, semi, random_rotations(1, rng)[0], rng.uniform(-0.0, 0.12), scale, rng)
        found += [*vesicle, *(_spikes(part, room, scale, rng) for part in vesicle)]
    return found


def strands(
    room: Room, half_xyz_px: NDArray[np.float64], thickness_px: float, scale: float, rng: np.random.Generator
) -> list[Ellipsoids]:
    """Place microtubules and filaments of actin, each as long as it finds room.

    Parameters
    ----------
    room : Room
        What is taken; changed.
    half_xyz_px : ndarray of float64, shape (3,)
        Half the edges of the box.
    thickness_px : float
        Of the slab.
    scale : float
        Pixels per ångström.
    rng : numpy.random.Generator

    Returns
    -------
    list of Ellipsoids
        In pixels.
    """
    area = 4 * half_xyz_px[0] * half_xyz_px[1] / scale**2
    found = []
    # Actin comes in bundles of about one direction.
    lean = rng.uniform(0, np.pi)
    for kind, per_area, length_angstrom, spread in (
        (MICROTUBULE, _PER_TUBULE, 8000.0, 0.3),
        (ACTIN, _PER_ACTIN, 3000.0, 0.5),
    ):
        for _ in range(max(1, round(area / per_area))):
            angle = lean + spread * rng.standard_normal()
            path, frames = _path(kind, half_xyz_px, thickness_px, length_angstrom, angle, scale, rng)
            free = _longest_free(kind, path, frames, room, scale)
            if free.stop - free.start < 12:
                continue
            path, frames = path[free], frames[free]
            found.append(copies(kind.build(path, frames), np.eye(3)[None], np.zeros((1, 3)), scale))
            _take(kind, path, room, scale)
    return found


def _placed(
    room: Room,
    half: NDArray[np.float64],
    semi_angstrom: NDArray[np.float64],
    rotation: NDArray[np.float64],
    lumen: float,
    scale: float,
    rng: np.random.Generator,
    centre: NDArray[np.float64] | None = None,
) -> list[Ellipsoids]:
    """One membrane where its wall finds room, or none; at `centre` if that is given."""
    for _ in range(_TRIES if centre is None else 1):
        place = half * rng.uniform(-1, 1, 3) if centre is None else centre
        if room.place_wall(place, rotation, semi_angstrom * scale, _WALL_ANGSTROM * scale):
            return [copies(membrane(semi_angstrom, lumen), rotation[None], place[None], scale)]
    return []


def _organelle(
    room: Room, half: NDArray[np.float64], shrink: float, scale: float, rng: np.random.Generator
) -> list[Ellipsoids]:
    """Two membranes, one in the other, and flat folds within."""
    semi = shrink * np.array([rng.uniform(1200, 2000), rng.uniform(800, 1200), rng.uniform(900, 1500)])
    rotation = _upright(rng)
    outer = _placed(room, half, semi, rotation, 0.02, scale, rng)
    if not outer:
        return []
    centre = outer[0].centre_xyz_px[0]
    found = outer + _placed(room, half, semi - 150, rotation, 0.05, scale, rng, centre)
    step = 330.0
    for along in np.arange(-semi[0] + 1.5 * step, semi[0] - step, step) + rng.uniform(-40, 40):
        # The section of the inner membrane there, less a gap; folds stand across the long axis.
        section = (semi[1:] - 150) * np.sqrt(max(0.0, 1 - (along / (semi[0] - 150)) ** 2)) - 110
        if section.min() < 130:
            continue
        fold = np.array([rng.uniform(95, 125), section[0] * rng.uniform(0.6, 1), section[1]])
        found += _placed(room, half, fold, rotation, -0.05, scale, rng, centre + rotation[:, 0] * along * scale)
    return found


def _upright(rng: np.random.Generator) -> NDArray[np.float64]:
    """A rotation about z by any angle, then a lean of up to about 15 degrees."""
    angle, lean = rng.uniform(0, 2 * np.pi), np.deg2rad(rng.uniform(-15, 15))
    cos, sin = np.cos(angle), np.sin(angle)
    about_z = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, np.cos(lean), -np.sin(lean)], [0.0, np.sin(lean), np.cos(lean)]])
    return about_z @ about_x


def _spikes(vesicle: Ellipsoids, room: Room, scale: float, rng: np.random.Generator) -> Ellipsoids:
    """Round heads that stand on a membrane's outer surface, of the size of a protein's outer domain."""
    radius = 24.0 * scale
    semi, rotation, centre = vesicle.semi_axes_px[0], vesicle.rotation[0], vesicle.centre_xyz_px[0]
    n = int(rng.integers(6, 40))
    direction = rng.standard_normal((n, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    heads = (direction * (semi + 1.2 * radius)) @ rotation.T + centre
    heads = heads[~room.is_taken(heads)]
    for head in heads:
        room.take_ball(head, radius)
    return balls(heads, np.full(len(heads), radius), PROTEIN)


def _path(
    kind: Filament,
    half: NDArray[np.float64],
    thickness: float,
    length_angstrom: float,
    angle: float,
    scale: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Axis of a filament in ångström, and two directions across it: one that lies in the slab, bent a little."""
    n = round(length_angstrom / kind.rise_angstrom)
    middle = np.array([*(half[:2] * rng.uniform(-1, 1, 2)), thickness / 2 * rng.uniform(-0.8, 0.8)]) / scale
    bend = np.sqrt(2 * kind.rise_angstrom / kind.persistence_angstrom) * rng.standard_normal((n, 2))
    # A slope that would leave the slab within the length of the path is of no use.
    slope = rng.uniform(-0.5, 0.5) * thickness / scale / length_angstrom
    azimuth, rise = angle + np.cumsum(bend[:, 0]), slope + 0.3 * np.cumsum(bend[:, 1])
    along = np.stack([np.cos(azimuth) * np.cos(rise), np.sin(azimuth) * np.cos(rise), np.sin(rise)], axis=1)
    path = np.cumsum(kind.rise_angstrom * along, axis=0)
    path += middle - path[n // 2]
    first = np.cross(along, [0.0, 0.0, 1.0])
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    return path, np.stack([first, np.cross(along, first)], axis=1)


def _longest_free(
    kind: Filament, path: NDArray[np.float64], frames: NDArray[np.float64], room: Room, scale: float
) -> slice:
    """The longest stretch of a path that is free out to the filament's radius."""
    turn = 2 * np.pi * np.arange(8) / 8
    ring = np.cos(turn)[:, None, None] * frames[:, 0] + np.sin(turn)[:, None, None] * frames[:, 1]
    points = np.concatenate([path[None], *(path + part * kind.radius_angstrom * ring for part in (0.5, 1.0))])
    free = ~room.is_taken(points * scale).any(axis=0)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], free.astype(int), [0]])))
    starts, stops = edges[::2], edges[1::2]
    if not len(starts):
        return slice(0, 0)
    longest = int(np.argmax(stops - starts))
    return slice(int(starts[longest]), int(stops[longest]))


def _take(kind: Filament, path: NDArray[np.float64], room: Room, scale: float) -> None:
    """Take the room of a filament: balls along its axis, one by one, whether free or not."""
    radius = kind.radius_angstrom * scale
    for point in path[:: max(1, int(0.7 * kind.radius_angstrom / kind.rise_angstrom))]:
        room.take_ball(point * scale, radius)
