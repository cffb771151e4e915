"""Reconstruction methods and the interface that they share."""
