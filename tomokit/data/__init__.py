"""Tilt series, volumes and problems as types, and the linearization that makes images line integrals."""

from tomokit.data.acquisition import Acquisition
from tomokit.data.series import TiltSeries, Volume

__all__ = ["Acquisition", "TiltSeries", "Volume"]
