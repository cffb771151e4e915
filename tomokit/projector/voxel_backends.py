"""Where the voxel projector computes: one implementation for each backend, chosen once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import OptionError
from tomokit.geometry import TiltGeometry
from tomokit.projector import along_axis

_ROWS_PER_ITEM = 512  # rows along y of a work item on the CPU: a tile's rows of this length stay in cache

Shape = tuple[int, int, int]


class VoxelBackend(Protocol):
    """The voxel projector's computation, on arrays of the host that have been checked."""

    def forward(self, volume: NDArray[np.floating]) -> NDArray[np.floating]:
        """Line integrals of a volume, with every view's shift along y.

        Parameters
        ----------
        volume : ndarray, shape (n_x, n_z, n_y)
            Density ``[x, z, y]``, C-ordered.

        Returns
        -------
        ndarray, shape (n_views, n_u, n_v)
            ``[tilt, u, y]``, in pixels times density.
        """
        ...

    def adjoint(self, stack: NDArray[np.floating]) -> NDArray[np.floating]:
        """Back-project a stack: the transpose of :meth:`forward`.

        Parameters
        ----------
        stack : ndarray, shape (n_views, n_u, n_v)
            ``[tilt, u, y]``, C-ordered.

        Returns
        -------
        ndarray, shape (n_x, n_z, n_y)
            ``[x, z, y]``.
        """
        ...


class _ShiftedAlongAxis(ABC):
    """A backend on the host: what it computes itself knows no shift along y, which is a resampling of rows.

    Parameters
    ----------
    geometry : TiltGeometry
    volume_shape : tuple of int
        ``(n_x, n_z, n_y)``.
    """

    def __init__(self, geometry: TiltGeometry, volume_shape: Shape) -> None:
        self._geometry, self._volume_shape = geometry, volume_shape
        self._is_aligned = not geometry.shift_v_px.any() and volume_shape[2] == geometry.n_v

    def forward(self, volume: NDArray[np.floating]) -> NDArray[np.floating]:
        """Project, then shift the rows (see :class:`VoxelBackend`)."""
        stack = self._project(volume)
        if self._is_aligned:
            return stack
        return along_axis.shift_rows(stack, self._geometry.shift_v_px, self._geometry.n_v)

    def adjoint(self, stack: NDArray[np.floating]) -> NDArray[np.floating]:
        """Shift the rows back, then back-project (see :class:`VoxelBackend`)."""
        if not self._is_aligned:
            # The transpose of a shift is the shift back, rows shared in the same way.
            stack = along_axis.shift_rows(stack, -self._geometry.shift_v_px, self._volume_shape[2])
        return self._back_project(stack)

    @abstractmethod
    def _project(self, volume: NDArray[np.floating]) -> NDArray[np.floating]: ...

    @abstractmethod
    def _back_project(self, stack: NDArray[np.floating]) -> NDArray[np.floating]: ...


class ReferenceVoxels(_ShiftedAlongAxis):
    """The projector in float64 and NumPy, by which the others are tested (see :class:`VoxelBackend`)."""

    def _project(self, volume: NDArray[np.floating]) -> NDArray[np.floating]:
        from tomokit.projector import reference

        return reference.forward(volume, self._geometry)

    def _back_project(self, stack: NDArray[np.floating]) -> NDArray[np.floating]:
        from tomokit.projector import reference

        return reference.adjoint(stack, self._geometry, *self._volume_shape[:2])


class CpuVoxels(_ShiftedAlongAxis):
    """The projector in float32 on all cores (see :class:`VoxelBackend`)."""

    def _project(self, volume: NDArray[np.floating]) -> NDArray[np.floating]:
        from tomokit.projector.voxels_cpu import forward

        g = self._geometry
        stack = np.zeros((g.n_views, g.n_u, self._volume_shape[2]), np.float32)
        forward(volume, g.tilt_rad, g.shift_u_px, stack, self._n_slabs())
        return stack

    def _back_project(self, stack: NDArray[np.floating]) -> NDArray[np.floating]:
        from tomokit.projector.voxels_cpu import adjoint

        volume = np.zeros(self._volume_shape, np.float32)
        adjoint(stack, self._geometry.tilt_rad, self._geometry.shift_u_px, volume)
        return volume

    def _n_slabs(self) -> int:
        """Work items along y: one per 512 rows, more where a few views would leave threads idle."""
        import numba

        from tomokit.projector.voxels_cpu import VIEW_GROUP

        n_y = self._volume_shape[2]
        groups = -(-self._geometry.n_views // VIEW_GROUP)
        wanted = -(-2 * numba.get_num_threads() // groups)
        return int(min(max(1, n_y // 32), max(wanted, -(-n_y // _ROWS_PER_ITEM))))


def _on_gpus(geometry: TiltGeometry, volume_shape: Shape) -> VoxelBackend:
    from tomokit.gpu.discovery import devices
    from tomokit.projector.cuda.voxels import VoxelProjectorInSlabs

    return VoxelProjectorInSlabs(devices(), geometry, volume_shape)


_MAKERS: dict[str, tuple[Callable[[TiltGeometry, Shape], VoxelBackend], type[np.floating]]] = {
    "cpu": (CpuVoxels, np.float32),
    "cuda": (_on_gpus, np.float32),
    "reference": (ReferenceVoxels, np.float64),
}


def backend_maker(name: str) -> tuple[Callable[[TiltGeometry, Shape], VoxelBackend], type[np.floating]]:
    """What makes a backend, and the type that it computes in.

    Parameters
    ----------
    name : str
        ``"cpu"``, ``"cuda"`` or ``"reference"``.

    Returns
    -------
    make : callable
        From geometry and volume shape ``(n_x, n_z, n_y)`` to a :class:`VoxelBackend`; GPUs are looked for when it is
        called.
    dtype : type
        Of volumes and stacks: float32, or float64 for the reference.

    Raises
    ------
    OptionError
        If there is no such backend.
    """
    if name not in _MAKERS:
        raise OptionError(f"no backend {name!r}", field="--backend", remedy="choose cpu, cuda or reference")
    return _MAKERS[name]
