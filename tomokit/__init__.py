"""tomokit: reconstruction and denoising of electron tomograms."""

__version__ = "0.1.0"
