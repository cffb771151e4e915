"""Projection and adjoint under a single-axis tilt, one footprint per basis."""

from tomokit.projector.along_axis import shift_rows
from tomokit.projector.voxels import DenseProjector

__all__ = ["DenseProjector", "shift_rows"]
