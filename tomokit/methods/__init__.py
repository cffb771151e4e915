"""Reconstruction methods and the contract they share."""
