"""The projector over voxels as a linear operator: ``A(volume)``, ``A.T(stack)``, ``A.views(indices)``."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tomokit.errors import InputError
from tomokit.geometry import TiltGeometry
from tomokit.projector.voxel_backends import VoxelBackend, backend_maker


class DenseProjector:
    """Line integrals of cubic voxels of one detector pixel, and their exact transpose.

    Arrays put the tilt axis last, where every weight is shared: volumes are ``[x, z, y]``, stacks ``[tilt, u, y]``,
    C-ordered float32 (float64 on the reference backend). Line integrals are in pixels times density.

    Parameters
    ----------
    geometry : TiltGeometry
        Views and detector.
    thickness_px : int
        Voxels along z.
    n_x, n_y : int, optional
        Voxels across and along the tilt axis; the detector's columns and rows if not given.
    backend : str
        ``"cpu"``, ``"cuda"`` or ``"reference"``.

    Attributes
    ----------
    volume_shape, stack_shape : tuple of int
        ``(n_x, n_z, n_y)`` and ``(n_views, n_u, n_v)``.
    dtype : type
        Of volumes and stacks: float32, or float64 on the reference backend.

    Raises
    ------
    OptionError
        If the backend is unknown.
    InputError
        If the volume has no voxels, or (on call) an array has the wrong shape.
    """

    def __init__(
        self,
        geometry: TiltGeometry,
        thickness_px: int,
        n_x: int | None = None,
        n_y: int | None = None,
        backend: str = "cpu",
    ) -> None:
        self._make_backend, self.dtype = backend_maker(backend)
        self.geometry = geometry
        self.backend = backend
        self.volume_shape = (
            geometry.n_u if n_x is None else n_x,
            thickness_px,
            geometry.n_v if n_y is None else n_y,
        )
        if min(self.volume_shape) < 1:
            raise InputError(f"volume of {self.volume_shape} voxels (x, z, y)")
        self.stack_shape = (geometry.n_views, geometry.n_u, geometry.n_v)

    def __call__(self, volume: NDArray[np.floating]) -> NDArray[np.floating]:
        """Line integrals of a volume.

        Parameters
        ----------
        volume : ndarray, shape (n_x, n_z, n_y)
            Density ``[x, z, y]``.

        Returns
        -------
        ndarray, shape (n_views, n_u, n_v)
            ``[tilt, u, y]``, in pixels times density.
        """
        return self._computation.forward(self._check_array(volume, self.volume_shape, "volume"))

    def T(self, stack: NDArray[np.floating]) -> NDArray[np.floating]:
        """Back-project a stack: the transpose of the projection, not its inverse.

        Parameters
        ----------
        stack : ndarray, shape (n_views, n_u, n_v)
            ``[tilt, u, y]``.

        Returns
        -------
        ndarray, shape (n_x, n_z, n_y)
            ``[x, z, y]``.
        """
        return self._computation.adjoint(self._check_array(stack, self.stack_shape, "stack"))

    def views(self, index: ArrayLike) -> DenseProjector:
        """The projector of the same volume for only some of the views.

        Parameters
        ----------
        index : array_like
            Integer indices of views, or a boolean mask of shape (n_views,).

        Returns
        -------
        DenseProjector
        """
        n_x, n_z, n_y = self.volume_shape
        return DenseProjector(self.geometry.select(index), n_z, n_x, n_y, self.backend)

    def norm(self, weights: Callable[[NDArray[np.floating]], NDArray[np.floating]] | None = None) -> float:
        """An upper bound of ``||A||^2`` (with weights ``||W^(1/2) A||^2``) to rounding.

        All weights are non-negative, so the largest of ``A^T W A 1`` bounds the largest eigenvalue (Perron-Frobenius).

        Parameters
        ----------
        weights : callable, optional
            Multiplies a stack ``[tilt, u, y]`` by W, element by element; none if not given.

        Returns
        -------
        float
            In pixels squared, times the weights.
        """
        rays = self(np.ones(self.volume_shape, self.dtype))
        return float(self.T(rays if weights is None else weights(rays)).max())

    @cached_property
    def _computation(self) -> VoxelBackend:
        """What computes, made when it is first used: a GPU's tables are sent only then."""
        return self._make_backend(self.geometry, self.volume_shape)

    def _check_array(self, array: NDArray[np.floating], shape: tuple[int, ...], name: str) -> NDArray[np.floating]:
        if array.shape != shape:
            raise InputError(f"{name} of shape {array.shape}, expected {shape}")
        return np.ascontiguousarray(array, self.dtype)
