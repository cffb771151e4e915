"""The regularizer `patch-nlm`: like patches, in the leaf or beyond its borders, are drawn together."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tomokit.octree import Forest
from tomokit.plugin.options import option
from tomokit.regularizers.interface import Field

if TYPE_CHECKING:
    from tomokit_patch_nlm.device import PatchesOnDevice

_BATCH = 16


@dataclass(frozen=True)
class PatchNlmOptions:
    """Options of :class:`PatchNlm`: what users set by ``--set regularizers.patch_nlm.weight=...``."""

    weight: float = option(0.0, "Weight in the loss; 0 switches it off.", minimum=0.0)
    every: int = option(4, "The penalty is evaluated every so many steps, its weight scaled to match.", minimum=1)
    space: str = option(
        "rho", "What the penalty acts on: densities, or the raw values before activation.", choices=("rho", "raw")
    )
    bandwidth: float = option(
        0.1, "Root mean square distance of two patches at which they count as different, in units of the values.",
        minimum=1e-6,
    )  # fmt: skip
    search: int = option(3, "Half-width of the search window, in vertices of the leaf.", minimum=1, maximum=8)
    offsets: int = option(
        8, "Number of places of the search window compared at each evaluation, drawn anew each time.", minimum=1
    )


class PatchNlm:
    """Mean robust distance between 3^3 patches and those in a window about them.

    The mean is over the vertices of all leaves in the region of interest and over the offsets drawn; windows reach
    across leaf borders and level jumps.

    Parameters
    ----------
    options : PatchNlmOptions
    """

    name: ClassVar[str] = "patch-nlm"
    summary: ClassVar[str] = "non-local means: like patches, across leaf borders too, are drawn together"
    Options: ClassVar[type] = PatchNlmOptions

    def __init__(self, options: PatchNlmOptions) -> None:
        self.options = options
        along_axis = range(-options.search, options.search + 1)
        # Half the window: a pair of places is the same whichever of the two is looked from.
        self._window = np.array([o for o in product(along_axis, repeat=3) if o > (0, 0, 0)], np.int64)
        self._forest: Forest | None = None
        self._on_device: PatchesOnDevice | None = None

    def cuda_unsupported_reason(self, options: PatchNlmOptions) -> str | None:
        """None, as there are kernels for all options (see :class:`tomokit.regularizers.interface.Regularizer`)."""
        return None

    def cuda_bytes(self, options: PatchNlmOptions, n_leaves: int, n: int) -> int:
        """Most bytes held on a device (see :class:`tomokit.regularizers.interface.Regularizer`)."""
        from tomokit_patch_nlm.device import device_bytes

        return device_bytes(n_leaves, n, options.search + 1, min(options.offsets, len(self._window)))

    def value_and_gradient(self, field: Field, gradient: Any, scale: float) -> Any:
        """The penalty, and `scale` times its gradient (see :class:`tomokit.regularizers.interface.Regularizer`)."""
        forest = field.forest
        count = min(self.options.offsets, len(self._window))
        # Drawn before anything else is decided, so that how many numbers are drawn depends on the options alone.
        offsets = self._window[np.sort(field.rng.choice(len(self._window), count, replace=False))]
        leaves = np.flatnonzero(field.inside)
        if not leaves.size:
            return 0.0
        mean_factor = 1.0 / (leaves.size * forest.n**3 * count)
        if field.device is not None:
            on_device = self._patches_on_device(field)
            values: Any = field.values  # an array on the device
            summed: Any = on_device.add(values, offsets, self.options.bandwidth, scale * mean_factor, gradient)
            return mean_factor * summed
        from tomokit_patch_nlm.halo import find_owners
        from tomokit_patch_nlm.kernels import patches

        if self._forest is not forest:
            self._owners, self._forest = find_owners(forest), forest
        margin = int(np.abs(offsets).max()) + 1
        edge = forest.n + 2 * margin
        slopes = np.empty((min(_BATCH, leaves.size), edge, edge, edge), field.values.dtype)
        owners = self._owners
        total = patches(
            np.ascontiguousarray(field.values), owners.owner, owners.cube, owners.cubes, leaves, offsets,
            self.options.bandwidth, scale * mean_factor, margin, slopes, gradient,
        )  # fmt: skip
        return float(total * mean_factor)

    def _patches_on_device(self, field: Field) -> PatchesOnDevice:
        """What is kept on the field's device while the octree stays as it is."""
        from tomokit_patch_nlm.device import PatchesOnDevice

        kept = self._on_device
        if (
            kept is None
            or kept.forest is not field.forest
            or kept.device is not field.device
            or not np.array_equal(kept.inside, field.inside)
        ):
            assert field.device is not None
            count = min(self.options.offsets, len(self._window))
            kept = PatchesOnDevice(field.device, field.forest, field.inside, self.options.search + 1, count)
            self._on_device = kept
        return kept
