"""Alignment refined against the field: corrections of shifts, tilts, rotations and magnifications of views."""
