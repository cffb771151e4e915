"""What a simulation images: ellipsoids, and a layer that cuts some of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tomokit.geometry import TiltGeometry, centre
from tomokit.phantom.ellipsoids import Ellipsoids
from tomokit.phantom.layer import STEEPEST, Layer
from tomokit.phantom.sampling import project_analytic, run_in_threads, turn_matrix, voxelize

_LARGE_PX = 16.0
"""A shadow with semi-axes above this is smooth enough for two samples a pixel."""


@dataclass(frozen=True)
class Specimen:
    """Ellipsoids, and perhaps a layer of ice around them that cuts some.

    Attributes
    ----------
    whole : Ellipsoids
        Those that are imaged as they are, in pixels from the centre of the field.
    cut : Ellipsoids
        Those of which only what lies in the layer is there.
    layer : Layer or None
        The ice, whose density those of the ellipsoids are added to.
    gold_xyz_px : ndarray of float64, shape (n, 3)
        Centres of the gold beads among the ellipsoids.
    """

    whole: Ellipsoids
    cut: Ellipsoids = field(default_factory=lambda: Ellipsoids.concatenate([]))
    layer: Layer | None = None
    gold_xyz_px: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 3)))

    def __len__(self) -> int:
        return len(self.whole) + len(self.cut)

    def project(self, geometry: TiltGeometry, supersample: int = 3, *, turned_deg: float = 0.0) -> NDArray[np.float32]:
        """Project the specimen: its line integrals, averaged over each detector pixel.

        Parameters
        ----------
        geometry : TiltGeometry
            Angles, shifts and detector.
        supersample : int
            Samples per pixel, as of :func:`~tomokit.phantom.project_analytic`.
        turned_deg : float
            Angle by which the views are turned about the detector's centre, after their shifts.

        Returns
        -------
        ndarray of float32, shape (n_views, n_v, n_u)
            Projections ``[tilt, y, x]`` in density x pixels.
        """
        images = project_analytic(self.whole, geometry, supersample, turned_deg=turned_deg)
        if self.layer is None:
            return images
        matrices = self.cut.shape_matrices()
        turn = turn_matrix(turned_deg)
        layer, cut = self.layer, self.cut

        def project(view: int) -> None:
            from tomokit.phantom.cut_kernels import project_cut

            tilt = float(geometry.tilt_rad[view])
            shift = np.array([geometry.shift_u_px[view], geometry.shift_v_px[view]])
            low, high = self._depths(layer, geometry, tilt, shift, turn)
            axes = np.array([[np.cos(tilt), 0, -np.sin(tilt)], [0, 1, 0], [np.sin(tilt), 0, np.cos(tilt)]])
            axes[:2] = turn @ axes[:2]
            # All three axes are of length one and upright on each other: so are shapes and their inverses turned.
            shape = axes @ matrices @ axes.T
            place = cut.centre_xyz_px @ axes.T
            place[:, :2] += turn @ shift + [centre(geometry.n_u), centre(geometry.n_v)]
            half = np.sqrt(np.stack([shape[:, 0, 0], shape[:, 1, 1]], axis=1))
            inverse = np.linalg.inv(shape)[:, [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]]
            samples = np.where(half.min(axis=1) > _LARGE_PX, 2, supersample + 1)
            image = layer.density * (high - low)[1:-1, 1:-1]
            project_cut(image, low, high, place, np.ascontiguousarray(inverse), half, cut.density, samples)
            images[view] += image

        run_in_threads(project, geometry.n_views)
        return images

    def voxelize(self, shape_zyx: tuple[int, int, int], supersample: int = 3) -> NDArray[np.float32]:
        """Sample the density on a grid, averaged over each voxel.

        Of a voxel that a surface of the layer crosses, ice and what is cut are the mean over the whole voxel times the
        part within the layer.

        Parameters
        ----------
        shape_zyx : tuple of int
            Voxels of the box along z, y and x.
        supersample : int
            Samples per voxel, as of :func:`~tomokit.phantom.voxelize`.

        Returns
        -------
        ndarray of float32, shape `shape_zyx`
            The volume ``[z, y, x]``.
        """
        density = voxelize(self.whole, shape_zyx, supersample)
        if self.layer is not None:
            within = voxelize(self.cut, shape_zyx, supersample)
            within += np.float32(self.layer.density)
            within *= self.layer.fractions(shape_zyx)
            density += within
        return density

    @staticmethod
    def _depths(
        layer: Layer,
        geometry: TiltGeometry,
        tilt_rad: float,
        shift_px: NDArray[np.float64],
        turn: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where the rays of pixels, and of one more on each side, enter and leave the layer."""
        a = np.arange(-1, geometry.n_u + 1) - centre(geometry.n_u)
        b = np.arange(-1, geometry.n_v + 1) - centre(geometry.n_v)
        # Back from the turned detector to positions from the tilt axis.
        u, v = np.einsum("ij,j...->i...", turn.T, np.stack(np.meshgrid(a, b)))
        return layer.depths(tilt_rad, u - shift_px[0], v - shift_px[1])


def divide_by_layer(ellipsoids: Ellipsoids, layer: Layer) -> tuple[Ellipsoids, Ellipsoids]:
    """Tell which ellipsoids lie within a layer and which its surfaces cut; those outside are dropped.

    Parameters
    ----------
    ellipsoids : Ellipsoids
    layer : Layer

    Returns
    -------
    whole, cut : Ellipsoids
    """
    x, y, z = ellipsoids.centre_xyz_px.T
    half_x, half_y, half_z = ellipsoids.half_extent_xyz().T
    # The surfaces over the whole of an ellipsoid are within so much of those over its centre.
    slack = STEEPEST * np.hypot(half_x, half_y)
    top, bottom = layer.top.height(x, y), layer.bottom.height(x, y)
    outside = (z - half_z > top + slack) | (z + half_z < bottom - slack)
    within = (z + half_z < top - slack) & (z - half_z > bottom + slack)

    def chosen(which: NDArray[np.bool_]) -> Ellipsoids:
        return Ellipsoids(
            ellipsoids.centre_xyz_px[which],
            ellipsoids.semi_axes_px[which],
            ellipsoids.rotation[which],
            ellipsoids.density[which],
        )

    return chosen(within), chosen(~within & ~outside)
