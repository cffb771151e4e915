"""The adaptive octree: leaves, neighbours, sampling, and changes of structure."""

from tomokit.octree.forest import Forest

__all__ = ["Forest"]
