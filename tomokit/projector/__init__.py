"""Projection and adjoint under a single-axis tilt, one footprint per basis."""

from tomokit.projector.dense import DenseProjector

__all__ = ["DenseProjector"]
