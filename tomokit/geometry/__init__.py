"""Axes, centres, signs and units of a single-axis tilt series: the conventions of the whole package."""

from tomokit.geometry.alignment import Alignment
from tomokit.geometry.frame import SpecimenFrame
from tomokit.geometry.tilt import ORIENTATION, TiltGeometry, centre

__all__ = ["ORIENTATION", "Alignment", "SpecimenFrame", "TiltGeometry", "centre"]
