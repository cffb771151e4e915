"""The regularizers on a GPU: the paths of their raw kernels, and in modules of their own what launches Numba's."""

from __future__ import annotations

from pathlib import Path

# Loaded by tomokit.methods.octree.cuda.penalties, which knows the defines.
BOUNDARY_SOURCE = Path(__file__).with_name("boundary.cu")
LOCAL_PENALTY_SOURCE = Path(__file__).with_name("local_penalty.cu")
