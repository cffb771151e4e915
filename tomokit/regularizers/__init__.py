"""Penalties on the octree field, each with its gradient."""
