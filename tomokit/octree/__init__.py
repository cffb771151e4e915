"""The adaptive octree: its leaves and their neighbours, sampling of the field on them, and changes of structure."""

from tomokit.octree.forest import Forest

__all__ = ["Forest"]
