"""Denoising of tomograms by a network that is trained on the halves of one series."""
