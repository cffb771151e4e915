"""Line integrals of a volume, and the operator behind them with its transpose, for methods of one's own.

python examples/project_and_backproject.py [SIZE]
"""

from __future__ import annotations

import sys

import numpy as np

import tomokit


def main(size: int = 48) -> float:
    """Project a cube, check the adjoint identity ``<A x, y> = <x, A^T y>``, and return its relative error."""
    angles = np.arange(-60.0, 61.0, 4.0)
    volume = np.zeros((size // 2, size, size), np.float32)  # [z, y, x]
    volume[size // 6 : size // 3, size // 4 : size // 2, size // 4 : size // 2] = 1

    views = tomokit.project(volume, angles)
    print(f"{views.n_views} views of {views.images.shape[1:]}, longest line integral {views.images.max():.1f} voxels")

    # The operator has the tilt axis last: volumes [x, z, y], stacks [tilt, u, y].
    A = tomokit.DenseProjector(views.geometry, thickness_px=size // 2)
    x = np.ascontiguousarray(volume.transpose(2, 0, 1))
    y = np.random.default_rng(0).normal(size=A.stack_shape).astype(np.float32)
    forward, back = (float(np.vdot(a.astype(float), b.astype(float))) for a, b in ((A(x), y), (x, A.T(y))))
    error = abs(forward - back) / abs(forward)
    print(f"<A x, y> and <x, A^T y> differ by {error:.1e} of their size")
    return error


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
