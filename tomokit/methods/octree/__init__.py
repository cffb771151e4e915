"""Fitting the octree field to projections: pyramid, fused step, schedule."""
