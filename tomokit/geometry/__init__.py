"""Conventions: axes, centres, signs and units of a single-axis tilt series."""

from tomokit.geometry.tilt import TiltGeometry, centre

__all__ = ["TiltGeometry", "centre"]
