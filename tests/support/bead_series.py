"""Small series with beads at known places, and models of them as IMOD writes them."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tomokit.geometry import TiltGeometry

TILT_DEG = np.arange(-50.0, 51.0, 10.0)
GEOMETRY = TiltGeometry(TILT_DEG, n_u=128, n_v=120)
BEADS = np.array([[-30.0, -35.2, 12.0], [20.4, 10.0, -14.0], [5.0, 40.0, 8.5], [33.0, -12.5, 0.0], [-20.0, 20.7, -9.0]])
RADIUS_PX = 4.0


def bead_series(
    depth: float = 6.0,
    seed: int = 0,
    painted: Sequence[int] = (),
    beads: NDArray[np.float64] = BEADS,
    geometry: TiltGeometry = GEOMETRY,
) -> NDArray[np.float32]:
    """Views of level 10 with noise of deviation 1 in which each bead is so much darker; some are painted over."""
    rng = np.random.default_rng(seed)
    images = 10 + rng.normal(size=(geometry.n_views, geometry.n_v, geometry.n_u))
    u, v = geometry.locate(beads)
    rows = np.arange(geometry.n_v)[:, None] - (geometry.n_v - 1) / 2
    columns = np.arange(geometry.n_u)[None, :] - (geometry.n_u - 1) / 2
    for view in range(geometry.n_views):
        for bead in range(len(beads)):
            distance = np.hypot(rows - v[view, bead], columns - u[view, bead])
            if bead in painted:
                images[view][distance < RADIUS_PX] = 10.0
            else:
                images[view] -= depth * np.clip(RADIUS_PX + 0.5 - distance, 0, 1)
    return images.astype(np.float32)


def model_points(beads: NDArray[np.float64] = BEADS, geometry: TiltGeometry = GEOMETRY) -> list[NDArray[np.float64]]:
    """Points ``(x, y, view)`` of each bead in IMOD's coordinates, those beyond the field too."""
    u, v = geometry.locate(beads)
    x, y = u + geometry.n_u / 2, v + geometry.n_v / 2
    views = np.arange(geometry.n_views, dtype=np.float64)
    return [np.stack([x[:, bead], y[:, bead], views], axis=1) for bead in range(len(beads))]


def imod_model(contours: Sequence[NDArray[np.float64]], size: tuple[int, int, int] = (128, 120, 11)) -> bytes:
    """A binary model of one object with these contours, and a chunk of each other kind."""
    head = b"IMODV1.2" + struct.pack(
        ">128s4iI4i6f5ifi i3f", b"beads", *size, 1, 0, 1, 0, 0, 255, *[0.0] * 3, *[1.0] * 3, 0, 0, 0, 3, 128, 1.0, 0, 0,
        *[0.0] * 3,
    )  # fmt: skip
    body = b"OBJT" + struct.pack(
        ">64s16IiI2i3fi8B2i", b"", *[0] * 16, len(contours), 0, 0, 1, 0, 1, 0, 2, *[1] * 8, 0, 0
    )
    for points in contours:
        body += b"CONT" + struct.pack(">iI2i", len(points), 0, 0, 0) + np.asarray(points, ">f4").tobytes()
    body += b"MESH" + struct.pack(">2iI2h", 2, 3, 0, 0, 0) + np.zeros(6, ">f4").tobytes() + np.zeros(3, ">i4").tobytes()
    body += b"IMAT" + struct.pack(">I", 12) + bytes(12)
    return head + body + b"IEOF"
