"""Projection and adjoint under a single-axis tilt, one footprint per basis."""

from tomokit.projector.voxels import DenseProjector

__all__ = ["DenseProjector"]
