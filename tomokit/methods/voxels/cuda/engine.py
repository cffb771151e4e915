"""What engines of the voxel methods on a device share: the run's arrays there, and the memory that they need."""

from __future__ import annotations

import numpy as np

from tomokit.data.problem import Problem
from tomokit.gpu.device import Device
from tomokit.gpu.discovery import devices
from tomokit.gpu.mirrored_arrays import MirroredArrays
from tomokit.methods.voxels.engine import HostArrays

_USABLE_FRACTION = 0.9  # of the free memory, since the memory pool rounds sizes up
_MOST_BLOCKS = 65535  # of a launch's grid along y and along z


class EngineOnDevice:
    """A run's arrays mirrored on a device (see :class:`tomokit.methods.voxels.engine.Engine`).

    Parameters
    ----------
    device : Device
    arrays : mapping of str to ndarray
        The run's arrays on the host by name. They stay the same objects: what is fetched is written into them.
    """

    def __init__(self, device: Device, arrays: HostArrays) -> None:
        self.device = device
        self._mirrored = MirroredArrays(device, arrays)

    def fetch(self, *names: str) -> None:
        """Copy arrays that the device has changed to the host (see :class:`tomokit.methods.voxels.engine.Engine`)."""
        self._mirrored.bring(*names)

    def take_host_arrays(self) -> None:
        """Give up the device's arrays for the host's (see :class:`tomokit.methods.voxels.engine.Engine`)."""
        self._mirrored.forget()

    def resolved_parameters(self) -> dict[str, bool]:
        """That nothing is sent in slabs (see :class:`tomokit.methods.voxels.engine.Engine`)."""
        return {"in_slabs": False}


def device_with_room(
    problem: Problem, volume_shape: tuple[int, int, int], volumes: int, views: int, more_bytes: int = 0
) -> Device | None:
    """The first device, if a run fits into its free memory and its launches into a grid.

    Parameters
    ----------
    problem : Problem
        What is fitted; its projections, mask and one more array of their size lie on the device.
    volume_shape : tuple of int
        ``(n_x, n_z, n_y)`` in voxels, margins included.
    volumes : int
        Arrays of the volume's size that are there at a time.
    views : int
        Views taken at a time.
    more_bytes : int
        Bytes beside all that.

    Returns
    -------
    Device or None
        None where it does not fit.
    """
    device, g = devices()[0], problem.geometry
    n_y = max(g.n_v, volume_shape[2])
    # Projections, mask, and rays' weights or the data's dual; of the views residuals, shifted and not, there and back.
    stacks = (2 + (problem.mask is not None)) * g.n_views * g.n_u * g.n_v + 3 * views * g.n_u * n_y
    needed = 4 * (volumes * int(np.prod(volume_shape, dtype=np.int64)) + stacks) + more_bytes
    fits = needed <= _USABLE_FRACTION * device.free_bytes() and max(g.n_views, *volume_shape[:2]) <= _MOST_BLOCKS
    return device if fits else None
