"""tomokit: reconstruction and denoising of electron tomograms."""

__version__ = "0.2.0"
