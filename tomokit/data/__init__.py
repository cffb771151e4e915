"""Tilt series, volumes and problems as types, and the linearization that makes images line integrals."""

from tomokit.data.series import TiltSeries, Volume

__all__ = ["TiltSeries", "Volume"]
