"""Tilt series and volumes as types, and the transform from images to line integrals."""

from tomokit.data.series import TiltSeries, Volume

__all__ = ["TiltSeries", "Volume"]
