"""tomokit: reconstruction and denoising of electron tomograms."""

from tomokit.version import __version__ as __version__
