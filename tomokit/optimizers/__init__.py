"""Optimizers of the octree field."""
