"""What a fit on a device must do when it is paused within an epoch."""

from __future__ import annotations

import numpy as np
import pytest
from cases import small_problem
from on_cpu import CpuDevice

from tomokit.methods.octree.method import start_fit
from tomokit.methods.octree.options import OctreeOptions
from tomokit.methods.octree.run import OctreeRun
from tomokit.methods.pausing import EpochPaused


def check_pauses(whole: OctreeRun, options: OctreeOptions) -> None:
    """A fit that is paused twice in its second epoch, each time going on elsewhere, is `whole` bit for bit."""
    rest = start_fit(small_problem("cuda"), options, [CpuDevice(5)])
    rest.advance()
    for seed in (6, 7):
        rest.pause = lambda: True
        with pytest.raises(EpochPaused):
            rest.advance()
        state = {name: array.copy() for name, array in rest.arrays().items()}
        rest = start_fit(small_problem("cuda"), options, [CpuDevice(seed)])
        rest.restore(1, state)
    terms = rest.advance()
    assert terms["loss"] == pytest.approx(whole._losses[-1], rel=1e-9)
    for name in ("values", "optimizer_mean_square", "offsets_fine"):
        np.testing.assert_array_equal(rest.arrays()[name], whole.arrays()[name], err_msg=name)
