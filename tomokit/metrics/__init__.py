"""Error and similarity of a reconstructed volume against the truth."""

from tomokit.metrics.boxes import Box, parse_box
from tomokit.metrics.compare import compare_arrays
from tomokit.metrics.error import fit_scale, psnr, rmse
from tomokit.metrics.similarity import global_ssim, windowed_ssim

__all__ = ["Box", "compare_arrays", "fit_scale", "global_ssim", "parse_box", "psnr", "rmse", "windowed_ssim"]
